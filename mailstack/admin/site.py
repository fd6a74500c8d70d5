"""What the commands work on: one configuration and the files that it names."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from time import sleep, time
from typing import TypeVar

import click
from attrs import define

from mailstack.accounts import aliases, users
from mailstack.accounts.aliases import Aliases
from mailstack.accounts.book import Book, Origin, no_origin
from mailstack.accounts.returns import key_file, returns
from mailstack.accounts.users import Users
from mailstack.accounts.users_file import UsersFile
from mailstack.admin.output import clean
from mailstack.config.reader import load
from mailstack.config.settings import Settings
from mailstack.interfaces.spool import IQueueDesk
from mailstack.model.address import Address
from mailstack.model.transcript import Transcript
from mailstack.server import session_file

OpenQueue = Callable[[Path], IQueueDesk]
T = TypeVar("T", Users, Aliases)


class Failed(click.ClickException):
    """It did not work: one line, mostly, and exit code 1. It may name what others have named: a file, a folder."""

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(map(clean, message.split("\n"))))


def open_queue(data: Path) -> IQueueDesk:
    from mailstack.spool.desk import QueueDesk  # here, because most commands need no database

    desk: IQueueDesk = QueueDesk(data)
    return desk


@define(slots=False)
class Site:
    """Everything is read when it is asked for. ConfigurationError from whatever needs the settings."""

    source: Path
    open_queue: OpenQueue = open_queue
    now: Callable[[], float] = time  #: Unix time
    pause: Callable[[float], object] = sleep  #: seconds

    @cached_property
    def settings(self) -> Settings:
        """Without a look at certificate and key: few commands need them, and not everybody may read them."""
        return load(self.source, files=False)

    @cached_property
    def queue(self) -> IQueueDesk:
        return self.open_queue(self.settings.server.data)

    @property
    def users_file(self) -> UsersFile:
        return UsersFile(self.settings.accounts.users)

    def sessions(self) -> list[Transcript]:
        """The oldest first; none where the server has never run. OSError."""
        return session_file.read(session_file.path_below(self.settings.server.data))

    def users(self) -> Users:
        """OSError."""
        return users.read(self.settings.accounts.users, self.settings.server.domains)

    def aliases(self) -> Aliases:
        """OSError."""
        path = self.settings.accounts.aliases
        return aliases.read(path, self.settings.server.domains) if path else Aliases({})

    def book(self) -> Book:
        """As the server sees it; what is wrong with the files goes to standard error."""
        return Book(self.settings, _readable(self.users), _readable(self.aliases), self._origin())

    def _origin(self) -> Origin:
        """Whom return addresses stand for now; the server makes the key when it first starts."""
        path = key_file(self.settings.server.data)
        try:
            srs = returns(self.settings, path.read_bytes())
        except FileNotFoundError:
            return no_origin
        except OSError as error:
            warn(f"{path} cannot be read, so return addresses (SRS) are unknown: {error.strerror}")
            return no_origin
        return no_origin if srs is None else lambda address: srs.homeward(address, time())

    def address(self, text: str) -> Address:
        """An address as people type it: a bare name belongs to the first domain."""
        try:
            return Address.parse(text if "@" in text else f"{text}@{self.settings.server.domains[0]}")
        except ValueError as error:
            raise Failed(str(error)) from None


def _readable(read: Callable[[], T]) -> T | None:
    try:
        found = read()
    except OSError as error:
        warn(f"{error.filename} cannot be read: {error.strerror}")
        return None
    for line in found.broken:
        warn(str(line))
    return found


def warn(text: str) -> None:
    click.echo(clean(f"Warning: {text}"), err=True)
