"""The queue from another process: the command line beside the running server.

Changes are rows; the server sees that the database has changed (``PRAGMA data_version``) and looks again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from attrs import evolve
from zope.interface import implementer

from mailstack.interfaces.spool import IQueueDesk
from mailstack.model.deed import Deed
from mailstack.model.entry import Ages, Changed, Entry, Moment
from mailstack.model.selection import Selection
from mailstack.spool import changes, entries, notes
from mailstack.spool.ages import ages
from mailstack.spool.content import opened
from mailstack.spool.errors import as_os_error
from mailstack.spool.neighbours import beyond_doubt, connected, neighbour
from mailstack.spool.schema import VERSION, must_be_current, prepare, version

#: Ids that may be named for a beginning that several share.
NAMED = 10


@implementer(IQueueDesk)
class QueueDesk:
    """Every method raises OSError when the database does not answer. Without a database the queue is empty."""

    def __init__(self, data: Path) -> None:
        self._database = data / "spool" / "queue.db"
        self._messages = data / "spool" / "messages"
        self._unsure = False

    def letters(self, selection: Selection, limit: int | None = None) -> Iterator[Entry]:
        with self._read() as db:
            yield from entries.letters(db, selection, limit)

    def entry(self, id: str) -> Entry | None:
        with self._read() as db:
            return next(iter(entries.entries(db, [id])), None)

    def beginning(self, start: str) -> Sequence[str]:
        query = "SELECT id FROM messages WHERE substr(id, 1, length(?1)) = upper(?1) ORDER BY id LIMIT ?2"
        with self._read() as db:
            return [id for (id,) in db.execute(query, (start, NAMED))]

    def history(self, id: str) -> Sequence[Moment]:
        with self._read() as db:
            return entries.history(db, id)

    def content(self, id: str) -> BinaryIO:
        return opened(str(self._messages / Path(id).name))

    def ages(self, by: str, states: Sequence[str], steps: Sequence[float], now: float) -> Ages:
        with self._read() as db:
            return ages(db, by, states, steps, now)

    def choose(self, verb: str, selection: Selection, ids: Sequence[str] | None = None) -> Mapping[str, int]:
        with self._read() as db:
            return changes.choose(db, verb, selection, ids)

    def change(self, deed: Deed, ids: Sequence[str], selection: Selection) -> Changed:
        if not self._database.exists():
            return Changed()
        with self._transaction() as db:
            changed, finished = changes.change(db, deed, ids, selection, self._messages)
            for id in changed.ids:
                notes.leave(db, id, what=changes.words(deed), by=deed.by)
        if not changed.ids:
            return changed
        # Who has waited in vain does not wait again.
        self._unsure = self._unsure or not beyond_doubt(self._messages.parent)
        if self._unsure:
            return evolve(changed, unsure=True)  # and the files stay: the next start puts them aside
        # After the rows: what a crash in between leaves is a file without a row, which start-up puts aside.
        for id in finished:
            with suppress(OSError, ValueError):  # what stands there may be no file: the next start puts it aside
                (self._messages / id).unlink()
        return changed

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        """A database of this version. One of an older mailstack is brought up to it in memory, and stays as it is."""
        with self._open() as db:
            if version(db) == VERSION:
                yield db
                return
            with closing(sqlite3.connect(":memory:")) as copy:
                db.backup(copy)
                prepare(copy)
                yield copy

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._open() as db:
            must_be_current(db)
            db.execute("BEGIN IMMEDIATE")
            with db:
                yield db

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Without a database, an empty one in memory."""
        try:
            with neighbour(self._messages.parent), closing(_connected(self._database)) as db:
                db.text_factory = lambda octets: octets.decode("utf-8", "replace")
                yield db
        except sqlite3.Error as error:
            raise as_os_error(error) from error


def _connected(database: Path) -> sqlite3.Connection:
    return connected(database) if database.exists() else sqlite3.connect(":memory:", isolation_level=None)
