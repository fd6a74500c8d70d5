"""Changes of the users file: one line, everything else left as it is, by one program at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mailstack import durable
from mailstack.accounts import extra_fields, verifiers
from mailstack.accounts.lines import text_of
from mailstack.accounts.users import canonical, entries
from mailstack.model.address import Address

Lines = list[str]


class NoSuchAccount(LookupError):
    pass


class AccountExists(LookupError):
    pass


class UsersFile:
    """All methods block and raise OSError. ``address`` is canonical, ``password`` as it will be stored, and so are the
    ``keys`` for SCRAM that stand beside it ("": none).

    A missing file is an error: a new one with one account would make all others unknown.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()  # or a symbolic link would be replaced by a file

    def add(self, address: Address, password: str, keys: str = "") -> None:
        """AccountExists."""

        def appended(lines: Lines) -> Lines:
            if _find(lines, address) is not None:
                raise AccountExists(str(address))
            return [*lines, _line(str(address), password, "", "", keys)]

        self._change(appended)

    def set_password(self, address: Address, password: str, keys: str = "") -> None:
        """NoSuchAccount."""

        def changed(lines: Lines) -> Lines:
            place = _existing(lines, address)
            name, _, fields = lines[place].removesuffix("\r").partition(":")
            _, colon, further = fields.partition(":")
            end = "\r" if lines[place].endswith("\r") else ""
            return [*lines[:place], _line(name, password, colon, further, keys) + end, *lines[place + 1 :]]

        self._change(changed)

    def set_field(self, address: Address, name: str, value: str) -> None:
        """An extra field; "" takes it away. NoSuchAccount."""

        def changed(lines: Lines) -> Lines:
            place = _existing(lines, address)
            line = lines[place].removesuffix("\r")
            user, _, fields = line.partition(":")
            password, colon, further = fields.partition(":")
            after = extra_fields.replaced(further, name, value)
            end = "\r" if lines[place].endswith("\r") else ""
            written = f"{user}:{password}{colon or ':' * bool(after)}{after}{end}"
            return [*lines[:place], written, *lines[place + 1 :]]

        self._change(changed)

    def remove(self, address: Address) -> None:
        """NoSuchAccount."""

        def shortened(lines: Lines) -> Lines:
            place = _existing(lines, address)
            return [*lines[:place], *lines[place + 1 :]]

        self._change(shortened)

    def _change(self, edit: Callable[[Lines], Lines]) -> None:
        with _locked(self._path):
            before = text_of(self._path)
            lines = before.split("\n")
            if not lines[-1]:
                lines.pop()
            after = "".join(f"{line}\n" for line in edit(lines))
            durable.replace(self._path, after.encode("utf-8", "surrogateescape"), 0o600)


def _line(name: str, password: str, colon: str, further: str, keys: str) -> str:
    """``colon`` is "" where no field has followed the password so far."""
    fields = verifiers.replaced(further, keys)
    return f"{name}:{password}{colon or ':' * bool(fields)}{fields}"


def _existing(lines: Lines, address: Address) -> int:
    place = _find(lines, address)
    if place is None:
        raise NoSuchAccount(str(address))
    return place


def _find(lines: Lines, address: Address) -> int | None:
    """The place of an account's line; the first one counts, as in reading."""
    for number, line in entries("\n".join(lines)):
        try:
            if canonical(line.partition(":")[0], (address.domain,)) == address:
                return number - 1
        except ValueError:
            continue
    return None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the file's lock. It is replaced as a whole, so whoever got the lock of an old one must try again."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(fd), path.stat()):
                yield
                return
        finally:
            os.close(fd)
