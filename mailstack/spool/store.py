"""The queue's rows, written: a batch is one transaction, each of its statements runs once for all rows."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mailstack.durable import Sync, write_anew
from mailstack.spool.adding import add_letters
from mailstack.spool.batch import Batch
from mailstack.spool.errors import Busy, as_os_error
from mailstack.spool.rows import history_row, result_row
from mailstack.spool.schema import prepare, version
from mailstack.spool.states import ARRIVED, DONE, HELD, UNREPORTED, WAITING, listed
from mailstack.spool.transaction import transaction

#: What the administrator has decided during the attempt holds, unless the letter has arrived. One that is recorded once
#: more, because the sync has failed, is in the history already, and counts once.
SETTLE = f"""
UPDATE recipients SET state = new.value ->> 2, next_attempt = new.value ->> 3,
       attempts = attempts + NOT EXISTS (SELECT 1 FROM history WHERE history.id = recipients.id
           AND history.number = recipients.number AND history.at = new.value ->> 8),
       code = new.value ->> 4, status = new.value ->> 5, reply = new.value ->> 6, relay = new.value ->> 7
FROM json_each(?) AS new WHERE recipients.id = new.value ->> 0 AND recipients.number = new.value ->> 1
      AND (state IN {listed(WAITING)} OR new.value ->> 2 IN {listed(ARRIVED)})
"""
#: A letter that somebody has dropped meanwhile has none.
REMEMBER = """
INSERT OR REPLACE INTO history (id, number, at, state, code, status, reply, relay)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7
FROM json_each(?) WHERE EXISTS (SELECT 1 FROM recipients WHERE id = value ->> 0 AND number = value ->> 1)
"""
REROUTE = """
UPDATE recipients SET destination = new.value ->> 2 FROM json_each(?) AS new
WHERE recipients.id = new.value ->> 0 AND recipients.number = new.value ->> 1
"""
#: A file or rows that are damaged. All ends that are not told of yet are still told.
QUARANTINE = f"""
UPDATE recipients SET state = 'hold', code = 451, status = '4.3.0', reply = new.value ->> 1
FROM json_each(?) AS new WHERE recipients.id = new.value ->> 0 AND state IN {listed(WAITING)}
"""
#: Not one that its sender holds back: it is "active" until its first attempt.
HASTEN = """
UPDATE recipients SET next_attempt = new.value ->> 2 FROM json_each(?) AS new
WHERE recipients.id = new.value ->> 0 AND recipients.number = new.value ->> 1
      AND state = 'deferred' AND next_attempt > new.value ->> 2
"""
CORRECT = (
    """
UPDATE messages SET arrived = new.value ->> 1, not_before = new.value ->> 2 FROM json_each(?) AS new
WHERE messages.id = new.value ->> 0
""",
    """
UPDATE recipients SET next_attempt = max(new.value ->> 1, new.value ->> 2) FROM json_each(?) AS new
WHERE recipients.id = new.value ->> 0 AND state = 'active'
""",
)
#: What came to be meanwhile, of other recipients, is still to be told.
REPORTED = f"""
UPDATE recipients SET state = iif(state = 'bounced', 'reported', 'sent') FROM json_each(?) AS told
WHERE recipients.id = told.value ->> 0 AND recipients.number = told.value ->> 1 AND state IN {listed(UNREPORTED)}
"""
WARNED = """
UPDATE messages SET warned = new.value ->> 1 FROM json_each(?) AS new WHERE messages.id = new.value ->> 0
"""
FINISHED = f"""
SELECT value FROM json_each(?) WHERE NOT EXISTS
    (SELECT 1 FROM recipients WHERE id = value AND state NOT IN {listed(DONE)})
    AND NOT EXISTS (SELECT 1 FROM unsaved WHERE id = value)
"""
REMOVE = tuple(
    f"DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?))"
    for table in ("history", "unsaved", "recipients", "messages")
)
SAVED = "DELETE FROM unsaved WHERE id IN (SELECT value FROM json_each(?))"

PATIENCE = 10_000  # milliseconds to wait for another process
CHECKPOINT = 4_000  # changed rows after which the log is copied into the database


def held(why: str) -> str:
    """The last reply of a recipient that is on hold for that reason."""
    return f"Held for the administrator: {why}"


class Store:
    """The database file, written by this process alone but for the command line's rare changes.

    A transaction only puts pages into the kernel's cache, so :meth:`write` belongs into the reactor's thread, where it
    waits for no lock; :meth:`sync` makes it durable and blocks. SQLite syncs nothing by itself but its checkpoints,
    which are made here. Every method raises OSError when SQLite or the disk fail, ENOSPC when it is full.
    """

    def __init__(self, path: Path, sync: Sync, destination: Callable[[str], str]) -> None:
        """``destination``: by domain, where a recipient goes next."""
        self._sync = sync
        self._destination = destination
        self._wal = path.with_name(f"{path.name}-wal")
        # What another process has left. If a sync of its has failed, the kernel does not tell us.
        left = self._wal.exists() and self._wal.stat().st_size > 0
        # At the start there is time to wait for the command line; later the reactor must not.
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=PATIENCE / 1000)
        version(self._db)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint = 0")
        prepare(self._db)
        self._reroute()
        self._undo: list[str] = []
        self._doubtful = left
        if left:
            self._begin_anew()
        self._db.execute("PRAGMA busy_timeout = 0")
        self._copied = self._db.total_changes
        self._version = self._data_version()

    def _reroute(self) -> None:
        """The routes may be others than when these letters came; those on hold may be released."""
        query = f"SELECT id, number, address, destination FROM recipients WHERE state IN {listed(WAITING + HELD)}"
        try:
            rows = self._db.execute(query).fetchall()
        except sqlite3.OperationalError:
            # One that is no text, perhaps: its letter does not go anywhere, and must not keep back the others.
            self._db.text_factory = lambda octets: octets.decode("utf-8", "replace")
            rows = self._db.execute(query).fetchall()
        found = ((id, number, self._destination(address.rpartition("@")[2]), was) for id, number, address, was in rows)
        changed = [(id, number, now) for id, number, now, was in found if now != was]
        if changed:
            self._db.execute(REROUTE, (json.dumps(changed),))

    @property
    def taken_back(self) -> set[str]:
        """Letters that are no more, but whose rows could not be removed yet."""
        return set(self._undo)

    def close(self) -> None:
        """Blocking: SQLite copies the log into the database, and removes it."""
        if self._doubtful:  # not one with a hole
            with suppress(OSError):
                self._begin_anew()
        self._db.close()

    def end_batch(self) -> None:
        """All that was written is durable: so the next start takes nothing of it for cut off. Blocking."""
        if self._doubtful:
            return  # it is not, and the next start looks at the last letters
        try:
            with transaction(self._db):
                self._remove(self._undo)
                self._db.execute("UPDATE counter SET batch = batch + 1")
        except sqlite3.Error as error:
            raise as_os_error(error) from error
        self._undo.clear()

    def write(self, batch: Batch) -> list[str]:
        """One transaction, not durable yet; returns the letters that are done with, whose files can go.

        Rows that a crash leaves before the sync are found by :mod:`mailstack.spool.recovery`. Busy: nothing was
        written, :meth:`write_patiently` may wait.
        """
        if not batch.has_rows:
            return []
        try:
            return self._transact(batch)
        except sqlite3.Error as error:
            raise as_os_error(error) from error

    def write_patiently(self, batch: Batch) -> list[str]:
        """The same, blocking."""
        self._db.execute(f"PRAGMA busy_timeout = {PATIENCE}")
        try:
            return self.write(batch)
        finally:
            self._db.execute("PRAGMA busy_timeout = 0")

    def sync(self, batch: Batch) -> None:
        """After it all of the batch holds: the transaction, the bodies, the deliveries. Blocking."""
        if self._doubtful:
            self._begin_anew()
            if self._doubtful:
                raise Busy(errno.EAGAIN, "queue database: another process is reading it")
        self._sync([*batch.paths, self._wal])

    def _begin_anew(self) -> None:
        """The log may have a hole that the kernel believes written. SQLite would stop reading there after a power loss:
        its pages go into the database, which is synced, and it begins anew. It stays in doubt while somebody reads.

        First it is written once more: or SQLite would put what stands in front of the hole, which is old, over pages of
        the database that are new. Nobody else may write it meanwhile."""
        try:
            with transaction(self._db):
                write_anew(self._wal)
        except sqlite3.Error as error:
            raise as_os_error(error) from error
        self._doubtful = self._checkpoint("TRUNCATE")

    @property
    def full(self) -> bool:
        """Whether the log has grown enough for a :meth:`checkpoint`."""
        return self._db.total_changes - self._copied > CHECKPOINT

    def checkpoint(self) -> None:
        """Copy the log into the database, so that it can begin anew. Blocking; not while a batch is on its way."""
        self._copied = self._db.total_changes
        if self._doubtful:
            self._begin_anew()
        else:
            self._checkpoint("PASSIVE")

    def _checkpoint(self, mode: str) -> bool:
        """Whether another process was in the way."""
        try:
            return bool(self._db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0])
        except sqlite3.Error as error:
            raise as_os_error(error) from error

    def take_back(self, batch: Batch) -> None:
        """The sync failed: remove the rows whose senders are told 4xx. If that fails too, the next batch does it."""
        self._doubtful = True
        self._undo += [letter.id for letter in batch.letters]
        try:
            with transaction(self._db):
                self._remove(self._undo)
            self._undo.clear()
        except sqlite3.Error:
            pass

    def _transact(self, batch: Batch) -> list[str]:
        with transaction(self._db):
            if not self._doubtful:
                # Else the last one is not durable, and its letters are gone: so both are one to whoever looks after a
                # crash. No number is passed before it is durable.
                self._db.execute("UPDATE counter SET batch = batch + 1")
            self._remove(self._undo)
            add_letters(self._db, batch.letters, self._destination)
            self._settle(batch)
            finished = self._finished(batch.touched)
            self._remember(batch, set(finished))
            self._remove(finished)
        self._undo.clear()
        return finished

    def _finished(self, touched: list[str]) -> list[str]:
        if not touched:
            return []
        return [row[0] for row in self._db.execute(FINISHED, (json.dumps(touched),))]

    def _remember(self, batch: Batch, finished: set[str]) -> None:
        """For who asks why a letter is still there; of those that go nobody asks."""
        staying = [done for done in batch.settlements if done.id not in finished]
        if staying:
            rows = [history_row(done.id, result) for done in staying for result in done.results]
            self._db.execute(REMEMBER, (json.dumps(rows),))

    def _settle(self, batch: Batch) -> None:
        if batch.settlements:
            rows = [result_row(done.id, result) for done in batch.settlements for result in done.results]
            self._db.execute(SETTLE, (json.dumps(rows),))
        if batch.quarantined:
            self._db.execute(QUARANTINE, (json.dumps([(id, held(why)) for id, why in batch.quarantined]),))
        if batch.hastened:
            self._db.execute(
                HASTEN, (json.dumps([(each.id, each.number, each.next_attempt) for each in batch.hastened]),)
            )
        if batch.corrected:
            corrected = json.dumps([(each.id, each.arrived, each.not_before) for each in batch.corrected])
            for statement in CORRECT:
                self._db.execute(statement, (corrected,))
        if batch.saved:
            self._db.execute(SAVED, (json.dumps(batch.saved),))
        if batch.reported:
            told = [(report.id, number) for report in batch.reported for number in report.numbers]
            self._db.execute(REPORTED, (json.dumps(told),))
            self._db.execute(WARNED, (json.dumps([(report.id, report.warned) for report in batch.reported]),))

    def _remove(self, ids: list[str]) -> None:
        if ids:
            for statement in REMOVE:
                self._db.execute(statement, (json.dumps(ids),))

    def changed(self) -> bool:
        """Whether another connection has changed the database since the last call."""
        before, self._version = self._version, self._data_version()
        return before != self._version

    def _data_version(self) -> int:
        try:
            version: int = self._db.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error as error:
            raise as_os_error(error) from error
        return version
