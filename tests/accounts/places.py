"""A folder with a users file and an aliases file, and settings that name them."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from mailstack.config.settings import Accounts, Limits, Server, Settings
from mailstack.model.address import Address
from tests.fakes import ListLog


def ssha(password: str, salt: bytes = b"salt") -> str:
    """A password that is checked quickly."""
    digest = hashlib.sha1(password.encode() + salt).digest()
    return "{SSHA}" + base64.b64encode(digest + salt).decode()


def notes(log: ListLog) -> list[str]:
    """What was warned of."""
    return [str(fields["note"]) for _, fields in log.warnings]


class Place:
    def __init__(self, folder: Path, domains: tuple[str, ...] = ("office.test",)) -> None:
        self.users, self.aliases = folder / "users", folder / "aliases"
        self.settings = Settings(
            folder / "mail.ini",
            Server("mail.office.test", domains, folder / "data", Address("postmaster", domains[0])),
            Accounts(self.users, self.aliases),
            limits=Limits(auth_failures_per_minute=10),
        )

    def write(self, users: str | None = None, aliases: str | None = None) -> None:
        """Each file is replaced, as a careful program does."""
        for path, text in ((self.users, users), (self.aliases, aliases)):
            if text is not None:
                new = path.with_suffix(".new")
                new.write_text(text, "utf-8", "surrogateescape")
                new.replace(path)
