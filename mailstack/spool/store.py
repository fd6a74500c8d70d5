"""The queue's rows in SQLite. Blocking; one thread uses it at a time.

A batch is one transaction, each of its statements runs once for all rows (``json_each``): a second thread that makes
many small calls would fight the reactor for the interpreter's lock.
"""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mailstack.durable import Sync
from mailstack.interfaces import Result
from mailstack.model.address import Address
from mailstack.model.letter import Due, Letter, Pending, Recipient
from mailstack.model.outcome import Failed
from mailstack.model.reply import Reply
from mailstack.spool.batch import Batch

#: Recipients with these states wait for an attempt. The others: ``hold`` waits for the administrator, ``sent`` and
#: ``reported`` are done, ``bounced`` waits for the report to the sender.
SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id TEXT PRIMARY KEY,
    sender TEXT NOT NULL,            -- '' is the null sender
    arrived REAL NOT NULL,           -- Unix time
    size INTEGER NOT NULL,           -- octets of the file
    lines INTEGER NOT NULL,
    relay_offset INTEGER NOT NULL,
    eight_bit INTEGER NOT NULL,
    checksum INTEGER NOT NULL,       -- CRC-32 of the file
    warned INTEGER NOT NULL DEFAULT 0,
    batch INTEGER NOT NULL           -- the transaction that added it, see recovery
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS recipients (
    id TEXT NOT NULL,
    number INTEGER NOT NULL,
    address TEXT NOT NULL,
    original TEXT NOT NULL,
    state TEXT NOT NULL,             -- active, deferred, hold, sent, bounced, reported
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt REAL NOT NULL,
    code INTEGER NOT NULL DEFAULT 0, -- the last reply
    status TEXT NOT NULL DEFAULT '',
    reply TEXT NOT NULL DEFAULT '',
    relay TEXT NOT NULL DEFAULT 'none', -- who gave it
    PRIMARY KEY (id, number)
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS waiting ON recipients (next_attempt) WHERE state IN ('active', 'deferred');
CREATE INDEX IF NOT EXISTS bounced ON recipients (id) WHERE state = 'bounced';
CREATE TABLE IF NOT EXISTS counter (batch INTEGER NOT NULL) STRICT;
INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM counter);
PRAGMA user_version = 1;
"""

ADD_MESSAGES = """
INSERT INTO messages (id, sender, arrived, size, lines, relay_offset, eight_bit, checksum, batch)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
       (SELECT batch FROM counter)
FROM json_each(?)
"""
ADD_RECIPIENTS = """
INSERT INTO recipients (id, number, address, original, state, next_attempt)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 'active', value ->> 4 FROM json_each(?)
"""
SETTLE = """
UPDATE recipients SET state = new.value ->> 2, next_attempt = new.value ->> 3, attempts = attempts + 1,
       code = new.value ->> 4, status = new.value ->> 5, reply = new.value ->> 6, relay = new.value ->> 7
FROM json_each(?) AS new WHERE recipients.id = new.value ->> 0 AND recipients.number = new.value ->> 1
"""
REPORTED = "UPDATE recipients SET state = 'reported' WHERE state = 'bounced' AND id IN (SELECT value FROM json_each(?))"
WARNED = """
UPDATE messages SET warned = new.value ->> 1 FROM json_each(?) AS new WHERE messages.id = new.value ->> 0
"""
FINISHED = """
SELECT value FROM json_each(?) WHERE NOT EXISTS
    (SELECT 1 FROM recipients WHERE id = value AND state NOT IN ('sent', 'reported'))
"""
REMOVE = (
    "DELETE FROM recipients WHERE id IN (SELECT value FROM json_each(?))",
    "DELETE FROM messages WHERE id IN (SELECT value FROM json_each(?))",
)
DUE = """
SELECT id FROM (
    SELECT id, next_attempt FROM recipients WHERE state IN ('active', 'deferred') AND next_attempt <= :now
    UNION ALL SELECT id, 0.0 FROM recipients WHERE state = 'bounced'
) WHERE id NOT IN (SELECT value FROM json_each(:exclude)) GROUP BY id ORDER BY min(next_attempt), id LIMIT :limit
"""


class Store:
    """The database file. Every method raises OSError when SQLite or the disk fail, ENOSPC when it is full."""

    def __init__(self, path: Path, sync: Sync, each_synced: bool) -> None:
        """``sync`` ends every batch; with ``each_synced`` SQLite also syncs its own files, because ``sync`` does not
        cover what it is not told."""
        self._sync = sync
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {'FULL' if each_synced else 'NORMAL'}")
        self._db.executescript(SCHEMA)
        self._undo: list[str] = []
        self._version = self._data_version()

    def close(self) -> None:
        self._db.close()

    def commit(self, batch: Batch) -> list[str]:
        """Make a batch durable; returns the letters that are done with, whose files can go.

        After an OSError nothing of the batch holds: its letters are taken back. Rows that a crash leaves before the
        sync are found by :mod:`mailstack.spool.recovery`.
        """
        try:
            removed = self._transact(batch)
        except sqlite3.Error as error:
            raise as_os_error(error) from error
        try:
            # One transaction at NORMAL, then one sync for it and for the bodies: after it, all of the batch holds.
            self._sync(batch.paths)
        except OSError:
            self._take_back([letter.id for letter in batch.letters])
            raise
        return removed

    def _transact(self, batch: Batch) -> list[str]:
        if not (batch.letters or batch.touched):
            return []
        with _transaction(self._db):
            self._db.execute("UPDATE counter SET batch = batch + 1")
            self._remove(self._undo)
            self._add(batch.letters)
            self._settle(batch)
            finished = [row[0] for row in self._db.execute(FINISHED, (json.dumps(batch.touched),))]
            self._remove(finished)
        self._undo.clear()
        return finished

    def _add(self, letters: list[Letter]) -> None:
        if not letters:
            return
        self._db.execute(ADD_MESSAGES, (json.dumps([_message_row(letter) for letter in letters]),))
        rows = [
            (letter.id, number, str(recipient.address), str(recipient.original), letter.arrived)
            for letter in letters
            for number, recipient in enumerate(letter.recipients)
        ]
        self._db.execute(ADD_RECIPIENTS, (json.dumps(rows),))

    def _settle(self, batch: Batch) -> None:
        if batch.settlements:
            rows = [_result_row(done.id, result) for done in batch.settlements for result in done.results]
            self._db.execute(SETTLE, (json.dumps(rows),))
        if batch.reported:
            self._db.execute(REPORTED, (json.dumps([report.id for report in batch.reported]),))
            self._db.execute(WARNED, (json.dumps([(report.id, report.warned) for report in batch.reported]),))

    def _remove(self, ids: list[str]) -> None:
        if ids:
            for statement in REMOVE:
                self._db.execute(statement, (json.dumps(ids),))

    def _take_back(self, ids: list[str]) -> None:
        """Remove rows whose senders are told 4xx. If that fails too, the next batch does it."""
        self._undo += ids
        try:
            with _transaction(self._db):
                self._remove(self._undo)
            self._undo.clear()
        except sqlite3.Error:
            pass

    # ---- Reading

    def due(self, now: float, limit: int, exclude: Iterable[str]) -> list[Due]:
        skip = json.dumps([*exclude, *self._undo])
        found = self._rows(DUE, {"now": now, "limit": limit, "exclude": skip})
        return [due for (id,) in found if (due := self._due(id, now))]

    def _due(self, id: str, now: float) -> Due | None:
        letter, warned = self.letter(id)
        if letter is None:
            return None
        rows = self._rows(
            "SELECT number, attempts FROM recipients WHERE id = ? AND state IN ('active', 'deferred')"
            " AND next_attempt <= ? ORDER BY number",
            (id, now),
        )
        pending = tuple(Pending(number, letter.recipients[number], attempts) for number, attempts in rows)
        return Due(letter, pending, warned=warned, unreported=bool(self.failures(id)))

    def letter(self, id: str) -> tuple[Letter | None, int]:
        """A letter and how many delay warnings it had."""
        rows = self._rows(
            "SELECT sender, arrived, size, lines, relay_offset, eight_bit, checksum, warned FROM messages WHERE id = ?",
            (id,),
        )
        if not rows:
            return None, 0
        sender, arrived, size, lines, offset, eight_bit, checksum, warned = rows[0]
        found = self._rows("SELECT address, original FROM recipients WHERE id = ? ORDER BY number", (id,))
        recipients = tuple(Recipient(_address(address), _address(original)) for address, original in found)
        origin = _address(sender) if sender else None
        return Letter(id, origin, recipients, arrived, size, lines, offset, bool(eight_bit), checksum), warned

    def failures(self, id: str) -> list[tuple[Recipient, Failed]]:
        rows = self._rows(
            "SELECT address, original, code, status, reply, relay FROM recipients"
            " WHERE id = ? AND state = 'bounced' ORDER BY number",
            (id,),
        )
        return [
            (Recipient(_address(address), _address(original)), Failed(Reply(code, status, text), relay))
            for address, original, code, status, text, relay in rows
        ]

    def next_due(self, after: float) -> float | None:
        rows = self._rows(
            "SELECT min(next_attempt) FROM recipients WHERE state IN ('active', 'deferred') AND next_attempt > ?",
            (after,),
        )
        earliest: float | None = rows[0][0]
        return earliest

    def surviving(self, ids: Sequence[str]) -> set[str]:
        rows = self._rows(
            "SELECT DISTINCT id FROM recipients WHERE id IN (SELECT value FROM json_each(?)) AND state <> 'hold'",
            (json.dumps(ids),),
        )
        return {id for (id,) in rows}

    def changed(self) -> bool:
        """Whether another connection has changed the database since the last call."""
        before, self._version = self._version, self._data_version()
        return before != self._version

    def _data_version(self) -> int:
        version: int = self._db.execute("PRAGMA data_version").fetchone()[0]
        return version

    def _rows(self, query: str, parameters: Sequence[Any] | dict[str, Any]) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise as_os_error(error) from error


class _transaction:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._db.execute("COMMIT")
        elif self._db.in_transaction:
            self._db.execute("ROLLBACK")


def as_os_error(error: Exception) -> OSError:
    """SQLite's errors in the terms of the disk."""
    if isinstance(error, OSError):
        return error
    full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return OSError(errno.ENOSPC if full else errno.EIO, f"queue database: {error}")


def _message_row(letter: Letter) -> tuple[object, ...]:
    return (
        letter.id,
        str(letter.sender or ""),
        letter.arrived,
        letter.size,
        letter.lines,
        letter.relay_offset,
        int(letter.eight_bit),
        letter.checksum,
    )


def _result_row(id: str, result: Result) -> tuple[object, ...]:
    reply = result.reply
    return (id, result.number, result.state, result.next_attempt, reply.code, reply.status, reply.text, result.relay)


def _address(text: str) -> Address:
    return Address.parse(text)
