"""What the command line has done with letters, for the server's log: it leaves a note in the database, beside what it
has done and in the same transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from mailstack.interfaces.log import IEventLog
from mailstack.spool.schema import VERSION, version


def leave(db: sqlite3.Connection, id: str, **fields: object) -> None:
    """Fields of the log's line, as ``IEventLog.event`` takes them. An older database has no place for it."""
    if version(db) == VERSION:
        db.execute("INSERT INTO notes (id, fields) VALUES (?, ?)", (id, json.dumps(fields)))


def take(db: sqlite3.Connection) -> Sequence[tuple[str, dict[str, Any]]]:
    """Queue id and fields of all that were left, in order; they are gone then."""
    if db.execute("SELECT 1 FROM notes LIMIT 1").fetchone() is None:
        return ()  # most changes leave none, and a DELETE would be one more for others to see
    found = db.execute("DELETE FROM notes RETURNING number, id, fields").fetchall()
    notes = []
    for _, id, fields in sorted(found):
        with suppress(ValueError, TypeError):  # damaged, and no more than a line in the log
            notes.append((id, dict(json.loads(fields))))
    return notes


class Retold:
    """What the command line has done comes into our log, for it cannot write there by itself."""

    def __init__(self, log: IEventLog) -> None:
        self._log = log
        self._waiting = False  #: another process may have left notes
        self._trouble = ""

    def tell(self, notes: Sequence[tuple[str, dict[str, Any]]]) -> None:
        for id, fields in notes:
            self._log.event(id, **fields)

    async def look(self, changed: bool, read: Callable[[], Awaitable[Sequence[tuple[str, dict[str, Any]]]]]) -> None:
        """After a look at the database. If they cannot be had now, next time; who wants to know of the change does not
        wait for that."""
        self._waiting |= changed
        if not self._waiting:
            return
        try:
            self.tell(await read())
            self._waiting, self._trouble = False, ""
        except OSError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._log.warn("spool", what=f"what the command line has done is not in the log yet: {error}")
