"""A configuration in a folder, a queue in memory, and the command line at work on them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from attrs import evolve
from click.testing import CliRunner, Result
from zope.interface import implementer

from mailstack.admin.cli import main
from mailstack.admin.site import Site
from mailstack.interfaces.spool import IQueueDesk
from mailstack.model.address import Address
from mailstack.model.entry import Entry, EntryRecipient

MAIL_INI = "[server]\nhostname = mail.office.test\ndomains = office.test\ndata = data\n"


@implementer(IQueueDesk)
class MemoryDesk:
    def __init__(self, entries: Sequence[Entry] = (), contents: dict[str, bytes] | None = None) -> None:
        self.letters = {entry.id: entry for entry in entries}
        self.contents = contents or {}
        self.retried: list[str] = []

    def entries(self) -> Sequence[Entry]:
        return list(self.letters.values())

    def entry(self, id: str) -> Entry | None:
        return self.letters.get(id)

    def content(self, id: str) -> BinaryIO:
        if id not in self.contents:
            raise FileNotFoundError(id)
        return io.BytesIO(self.contents[id])

    def retry(self, ids: Sequence[str]) -> int:
        found = [id for id in ids if id in self.letters]
        self.retried += found
        return len(found)

    def drop(self, ids: Sequence[str]) -> int:
        return len([self.letters.pop(id) for id in ids if id in self.letters])


WAITING = Entry(
    id="4Xq1",
    sender=Address("alice", "office.test"),
    size=2048,
    arrived=1795530461.9,
    next_attempt=1795530761.0,
    state="deferred",
    recipients=(
        EntryRecipient(
            Address("friend", "far.test"),
            Address("away", "office.test"),
            "deferred",
            2,
            1795530761.0,
            "450 4.2.0 not \x1b[31mnow",
        ),
        EntryRecipient(Address("bob", "far.test"), Address("bob", "far.test"), "sent", 1, None, "250 2.0.0 Ok"),
    ),
)
BOUNCE = evolve(WAITING, id="4Xq2", sender=None, next_attempt=None, state="hold", recipients=())


class Office:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ini = folder / "mail.ini"
        self.ini.write_text(MAIL_INI)
        self.desk = MemoryDesk()

    @property
    def users(self) -> Path:
        return self.folder / "data/users"

    @property
    def aliases(self) -> Path:
        return self.folder / "data/aliases"

    def run(self, *args: str, input: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, list(args), input=input, obj=Site(self.ini, lambda data: self.desk))

    def json(self, *args: str) -> Any:
        result = self.run(*args, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)
