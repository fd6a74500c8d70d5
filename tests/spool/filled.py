"""A queue on disk with letters in it, as a server leaves it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import evolve

from mailstack.interfaces.spool import Result
from mailstack.model.letter import NOT_SAID
from mailstack.model.reply import Reply
from tests.spool.contract import letter
from tests.spool.test_spool import Runner, open_spool

BUSY = Reply(450, "4.2.0", "mailbox busy")
CONTENT = b"Subject: x\n\nbody\n"


class Filled:
    """The server runs while letters are added and tried, and not in between."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.run = Runner()

    def add(self, id: str, *to: str, notify: Sequence[str] = (), content: bytes = CONTENT, **options: Any) -> None:
        wishes = {name: options.pop(name) for name in ("ret", "envid", "smtputf8", "require_tls") if name in options}
        added = evolve(letter(id, *to, content=content, **options), **wishes)
        wanted = frozenset(notify) or NOT_SAID
        added = evolve(added, recipients=tuple(evolve(each, notify=wanted) for each in added.recipients))
        spool = open_spool(self.data, self.run)
        incoming = spool.receive(id)
        incoming.write(content)
        self.run(spool.add(added, incoming))
        self.run(spool.stop())

    def settle(self, id: str, *results: Result) -> None:
        spool = open_spool(self.data, self.run)
        self.run(spool.settle({id: results}))
        self.run(spool.stop())

    def defer(self, id: str, *numbers: int, at: float = 1100.0, until: float = 9000.0, reply: Reply = BUSY) -> None:
        relay = "mx.x.test[192.0.2.1]:25"
        self.settle(id, *(Result(number, "deferred", reply, relay, until, at=at) for number in numbers or (0,)))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.data / "spool/queue.db")) as db:
            return db.execute(query).fetchall()

    def script(self, text: str) -> None:
        with closing(sqlite3.connect(self.data / "spool/queue.db")) as db:
            db.executescript(text)

    @property
    def files(self) -> set[str]:
        return {path.name for path in (self.data / "spool/messages").iterdir()}
