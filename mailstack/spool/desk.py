"""The queue from another process: the command line beside the running server.

Changes are rows; the server sees that the database has changed (``PRAGMA data_version``) and looks again.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from zope.interface import implementer

from mailstack.interfaces.spool import IQueueDesk
from mailstack.model.address import Address
from mailstack.model.entry import Entry, EntryRecipient
from mailstack.model.reply import Reply
from mailstack.spool import notes
from mailstack.spool.errors import as_os_error
from mailstack.spool.schema import prepare, version
from mailstack.spool.states import WAITING, listed

_SELECT = """
SELECT m.id, m.sender, m.size + m.lines, m.arrived, r.address, r.original, r.state, r.attempts, r.next_attempt,
       r.code, r.status, r.reply
FROM messages AS m JOIN recipients AS r USING (id) {where} ORDER BY m.id, r.number
"""
#: States that only say whether the sender was told; what they mean is shown.
AS_SHOWN = {"reported": "bounced", "delivered": "sent", "relayed": "sent", "expanded": "sent"}
#: Seconds to wait while the server is in the middle of a transaction.
PATIENCE = 10.0


@implementer(IQueueDesk)
class QueueDesk:
    """Every method raises OSError when the database does not answer. Without a database the queue is empty."""

    def __init__(self, data: Path) -> None:
        self._database = data / "spool" / "queue.db"
        self._messages = data / "spool" / "messages"

    def entries(self) -> Sequence[Entry]:
        with self._open() as db:
            rows = db.execute(_SELECT.format(where="")).fetchall()
        return [_entry(list(group)) for _, group in groupby(rows, key=lambda row: row[0])]

    def entry(self, id: str) -> Entry | None:
        with self._open() as db:
            rows = db.execute(_SELECT.format(where="WHERE m.id = ?"), (id,)).fetchall()
        return _entry(rows) if rows else None

    def content(self, id: str) -> BinaryIO:
        return (self._messages / Path(id).name).open("rb")

    def retry(self, ids: Sequence[str]) -> int:
        with self._open() as db:
            known = _known(db, ids)
            db.executemany(
                "UPDATE recipients SET next_attempt = (SELECT not_before FROM messages WHERE id = recipients.id)"
                f" WHERE id = ? AND state IN {listed(WAITING)}",
                [(id,) for id in known],
            )
        return len(known)

    def drop(self, ids: Sequence[str]) -> int:
        with self._open() as db:
            known = _known(db, ids)
            for id in known:
                notes.leave(db, id, what=f"dropped by uid {os.getuid()}: nobody is told")
            for table in ("history", "recipients", "messages"):
                db.executemany(f"DELETE FROM {table} WHERE id = ?", [(id,) for id in known])
        # After the rows: what a crash in between leaves is a file without a row, which start-up removes.
        for id in known:
            (self._messages / id).unlink(missing_ok=True)
        return len(known)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection and one transaction on it."""
        try:
            if self._database.exists():
                db = sqlite3.connect(self._database, timeout=PATIENCE)
            else:
                db = sqlite3.connect(":memory:")
                prepare(db)
            with closing(db), db:
                version(db)
                yield db
        except sqlite3.Error as error:
            raise as_os_error(error) from error


def _known(db: sqlite3.Connection, ids: Sequence[str]) -> list[str]:
    query = "SELECT id FROM messages WHERE id IN (SELECT value FROM json_each(?))"
    return [id for (id,) in db.execute(query, (json.dumps(ids),))]


def _entry(rows: list[tuple[Any, ...]]) -> Entry:
    id, sender, size, arrived = rows[0][:4]
    recipients = tuple(_recipient(row[4:], arrived) for row in rows)
    waiting = [recipient.next_attempt for recipient in recipients if recipient.next_attempt is not None]
    return Entry(
        id,
        Address.parse(sender) if sender else None,
        size,
        arrived,
        min(waiting, default=None),
        _state({recipient.state for recipient in recipients}),
        recipients,
    )


def _recipient(row: tuple[Any, ...], arrived: float) -> EntryRecipient:
    address, original, state, attempts, next_attempt, code, status, text = row
    if state == "active" and next_attempt > arrived:
        state = "deferred"  # what its sender holds back waits as what was tried does
    return EntryRecipient(
        Address.parse(address),
        Address.parse(original),
        AS_SHOWN.get(state, state),
        attempts,
        next_attempt if state in WAITING else None,
        str(Reply(code, status, text)) if code else "",
    )


def _state(states: set[str]) -> str:
    """A letter's state in one word: what its waiting recipients have in common, at most."""
    for state in (*WAITING, "hold"):
        if state in states:
            return state
    return "active"
