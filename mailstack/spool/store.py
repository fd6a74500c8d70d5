"""The queue's rows, written: a batch is one transaction, each of its statements runs once for many rows."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from mailstack.durable import LogSync, NotOpened, Sync, write_anew
from mailstack.spool.adding import add_contents, add_letters
from mailstack.spool.batch import Batch
from mailstack.spool.changes import change
from mailstack.spool.contents import restore
from mailstack.spool.errors import Busy, as_os_error
from mailstack.spool.neighbours import Doubt
from mailstack.spool.schema import WIPE, prepare, version
from mailstack.spool.settling import FINISHED, FIRM, finished_by, remember, remove, settle
from mailstack.spool.states import HELD, WAITING, listed
from mailstack.spool.transaction import transaction

REROUTE = """
UPDATE recipients SET destination = new.value ->> 2 FROM json_each(?) AS new
WHERE recipients.id = new.value ->> 0 AND recipients.number = new.value ->> 1
"""

PATIENCE = 10_000  # milliseconds to wait for another process
CHECKPOINT = 4_000  # changed rows after which the log is copied into the database
FAREWELL = 2  # tries to begin the log anew at the end: the first one may hear of an error that we know of


class Store:
    """The database file, written by this process alone but for the command line's rare changes.

    A transaction only puts pages into the kernel's cache, so :meth:`write` belongs into the reactor's thread, where it
    waits for no lock; :meth:`sync` makes it durable and blocks. SQLite syncs nothing by itself but its checkpoints,
    which are made here. Every method raises OSError when SQLite or the disk fail, ENOSPC when it is full.
    """

    def __init__(
        self,
        path: Path,
        sync: Sync,
        destination: Callable[[str], str],
        doubt: Doubt,
        log_sync: Callable[[Path], LogSync] = LogSync,
    ) -> None:
        """``destination``: by domain, where a recipient goes next. ``doubt`` is for the neighbours, and not closed.
        ``log_sync`` opens what syncs the log alone."""
        self._path = path
        self._sync = sync
        self._doubt = doubt
        self._destination = destination
        self._wal = path.with_name(f"{path.name}-wal")
        self._holes = False  #: whether files that are not durable yet may have some
        # What another process has left. If a sync of its has failed, the kernel does not tell us.
        left = self._wal.exists() and self._wal.stat().st_size > 0
        # At the start there is time to wait for the command line; later the reactor must not.
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=PATIENCE / 1000)
        self._undo: list[str] = []
        self.doubtful = left  #: whether the log may have a hole; the next batch or checkpoint begins it anew
        try:
            self._prepare()
            self._sync_log = log_sync(self._wal)
            if left:
                doubt.begin()
                self._begin_anew()
            self._copied = self._db.total_changes
            self._version = self._data_version()
        except BaseException:
            self._leave_log()
            raise

    def _prepare(self) -> None:
        version(self._db)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint = 0")
        self._db.execute(WIPE)
        prepare(self._db)
        self._reroute()

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

    def begun(self) -> None:
        """The start is over: from now on nobody is waited for but by :meth:`write_patiently`."""
        self._db.execute("PRAGMA busy_timeout = 0")

    @property
    def taken_back(self) -> set[str]:
        """Letters that are no more, but whose rows could not be removed yet."""
        return set(self._undo)

    def close(self) -> None:
        """Blocking: SQLite copies the log into the database, and removes it; not one with a hole."""
        for _ in range(FAREWELL):
            if self.doubtful:
                with suppress(OSError):
                    self._begin_anew()
        if self.doubtful:
            self._leave_log()
        else:
            self._db.close()
        self._sync_log.close()

    def abandon(self) -> None:
        """The start has failed: the log stays as it is, for the next one. Blocking."""
        self._leave_log()
        self._sync_log.close()

    def _leave_log(self) -> None:
        """For the next start, which begins it anew. SQLite copies it when the last connection is closed, unless it may
        only read."""
        with ExitStack() as stack:
            with suppress(sqlite3.Error):
                reader = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, isolation_level=None)
                stack.enter_context(closing(reader))
                version(reader)
            self._db.close()

    def end_batch(self, firm: Iterable[str] = ()) -> None:
        """All that was written is durable: so the next start takes nothing of it for cut off; also the files of these
        small letters. Blocking."""
        if self.doubtful:
            return  # it is not, and the next start looks at the last letters
        try:
            with transaction(self._db):
                remove(self._db, self._undo)
                self._db.execute(FIRM, (json.dumps(list(firm)),))
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
        with self._patience():
            return self.write(batch)

    @contextmanager
    def _patience(self) -> Iterator[None]:
        self._db.execute(f"PRAGMA busy_timeout = {PATIENCE}")
        try:
            yield
        finally:
            self._db.execute("PRAGMA busy_timeout = 0")

    def sync(self) -> None:
        """After it all that was written here holds, and with it the contents of small letters. Blocking."""
        if self.doubtful:
            self._begin_anew()
            if self.doubtful:
                raise Busy(errno.EAGAIN, "queue database: another process is reading it")
        try:
            self._sync_log()
        except BaseException:
            self.doubt()
            raise

    def doubt(self) -> None:
        """The log may have a hole. Before anybody hears of it: what neighbours commit from now on may stand behind
        that. Blocking."""
        self.doubtful = True
        self._doubt.begin()

    def sync_files(self, paths: Iterable[Path]) -> None:
        """After it these files and folders hold, and the log with all that was written before. Blocking; in a thread of
        its own."""
        if self._holes:
            self._restore()
        self._holes = True
        try:
            self._sync([*paths, self._wal])
        except NotOpened as error:
            if self._wal in error.paths:
                raise OSError(error.errno, error.strerror, error.filename) from error
            self._holes = False
            raise
        except OSError:
            # At once, or the kernel may forget what it believes written; and then before the next sync.
            with suppress(OSError):
                self._restore()
            raise
        self._holes = False

    def _restore(self) -> None:
        """On a connection of this thread."""
        try:
            with closing(sqlite3.connect(self._path, isolation_level=None)) as db:
                restore(db, self._path.with_name("messages"), create=False)
        except sqlite3.Error as error:
            raise as_os_error(error) from error

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
        self.doubtful = self._checkpoint("TRUNCATE")
        if not self.doubtful:
            self._doubt.end()

    @property
    def full(self) -> bool:
        """Whether the log has grown enough for a :meth:`checkpoint`."""
        return self._db.total_changes - self._copied > CHECKPOINT

    def checkpoint(self) -> None:
        """Copy the log into the database, so that it can begin anew. Blocking; not while a batch is on its way."""
        self._copied = self._db.total_changes
        if self.doubtful:
            self._begin_anew()
        else:
            self._checkpoint("PASSIVE")

    def _checkpoint(self, mode: str) -> bool:
        """Whether another process was in the way."""
        try:
            return bool(self._db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0])
        except sqlite3.Error as error:
            raise as_os_error(error) from error

    def take_back(self, ids: Iterable[str]) -> None:
        """Remove the rows of letters whose senders are told 4xx. If that fails too, the next batch does it."""
        self._undo += ids
        try:
            with transaction(self._db):
                remove(self._db, self._undo)
            self._undo.clear()
        except sqlite3.Error:
            pass

    def take_back_patiently(self, ids: Iterable[str]) -> None:
        """The same, blocking."""
        with self._patience():
            self.take_back(ids)

    def _transact(self, batch: Batch) -> list[str]:
        with transaction(self._db):
            if not self.doubtful:
                # Else the last one is not durable, and its letters are gone: so both are one to whoever looks after a
                # crash. No number is passed before it is durable.
                self._db.execute("UPDATE counter SET batch = batch + 1")
            remove(self._db, self._undo)
            add_letters(self._db, batch.letters, self._destination)
            add_contents(self._db, batch.contents)
            over = dict.fromkeys(finished_by(self._db, batch.settlements))
            settlements = [done for done in batch.settlements if done.id not in over]
            settle(self._db, batch, settlements)
            finished = over | dict.fromkeys(self._finished([id for id in batch.touched if id not in over]))
            remember(self._db, [done for done in settlements if done.id not in finished])
            remove(self._db, finished, finished=True)
            # Behind what has happened: nobody takes back what was sent just now.
            carried_out = [change(self._db, each.deed, [each.id], each.selection) for each in batch.orders]
        self._undo.clear()
        for order, (changed, _) in zip(batch.orders, carried_out, strict=True):
            order.changed = changed
        return [*finished, *(id for _, gone in carried_out for id in gone)]

    def _finished(self, touched: list[str]) -> list[str]:
        if not touched:
            return []
        return [row[0] for row in self._db.execute(FINISHED, (json.dumps(touched),))]

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
