"""The spool on disk: ``spool/queue.db`` and ``spool/messages/ID``."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time
from typing import Any, BinaryIO

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mailstack.durable import FilesystemSync, Sync, make_folders, own_filesystem, sync_paths
from mailstack.interfaces.delivery import LOCAL
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import IDurable, IIncoming, ISpool, Lagging, Result, Wanted
from mailstack.model.letter import Due, Letter
from mailstack.model.outcome import Outcome
from mailstack.spool.alarm import Alarm
from mailstack.spool.batch import Batch, Reported, Settlement
from mailstack.spool.commit import GroupCommit, InThread
from mailstack.spool.custody import ROWS, Custody
from mailstack.spool.errors import Damaged, as_os_error
from mailstack.spool.files import Files
from mailstack.spool.incoming import FileIncoming, finished
from mailstack.spool.lock import locked
from mailstack.spool.reader import Reader
from mailstack.spool.recovery import Repairs, recover
from mailstack.spool.salvage import sound_database
from mailstack.spool.store import Store
from mailstack.spool.times import Times

SQLITE = (3, 38, 0)  # has the operator ->> that the statements use


@implementer(ISpool, IDurable)
class DiskSpool:
    """Everything accepted goes through here. Also makes deliveries durable, in the same batches."""

    _store: Store
    _commit: GroupCommit
    _sync: Sync

    def __init__(
        self,
        data: Path,
        sync: str,
        in_thread: InThread,
        clock: IReactorTime,
        log: IEventLog,
        destination: Callable[[str], str],
    ) -> None:
        """``sync`` is [spool] sync; ``in_thread`` must run one call at a time, in order; ``destination`` says by domain
        where a recipient goes next."""
        self._destination = destination
        self._data = data
        self._folder = data / "spool"
        self._files = Files(self._folder / "messages")
        self._mode = sync
        self._by_file = True
        self._alarm = Alarm(log, clock.seconds)
        self._in_thread = in_thread = self._alarm.watching(in_thread)
        self.custody = Custody(self._files, in_thread, clock.seconds, log)
        self._clock = clock
        self._log = log
        self._adding: set[str] = set()
        self._damaged: set[str] = set()
        self._noted = False  #: another process may have left notes for the log

    def start(self) -> Repairs:
        """Open, or make, the spool, and repair what a crash left. Blocking; before any other call.

        A damaged database is replaced by one with all that can be read of it. OSError: the disk, another server on the
        same folder, or a database of a newer mailstack.
        """
        if sqlite3.sqlite_version_info < SQLITE:
            raise OSError(f"SQLite {sqlite3.sqlite_version} is too old, the queue needs {'.'.join(map(str, SQLITE))}")
        messages = self._files.folder
        make_folders(messages)
        self._lock = locked(self._folder / "lock")
        try:
            return self._open(messages)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, messages: Path) -> Repairs:
        self._by_file = self._mode == "file" or (self._mode == "auto" and not own_filesystem(self._data))
        self._sync = sync_paths if self._by_file else FilesystemSync(self._data)
        database = self._folder / "queue.db"
        now = time()
        try:
            salvage = sound_database(self._folder, now)
            self._store = Store(database, self._sync, self._destination)
            repairs = recover(database, self._folder, salvage, now)
            self._store.end_batch()
            self._reader = Reader(database)
        except sqlite3.Error as error:
            raise as_os_error(error) from error
        self._tell(self._reader.notes())
        database.chmod(0o600)
        self._sync([self._folder, messages])
        self._commit = GroupCommit(
            self._store, self._in_thread, self._clock, self._remove, self._files.arriving, self._log
        )
        self._times = Times(self._reader, self._in_thread, self._join)
        return repairs

    async def _join(self, change: Callable[[Batch], object], urgent: bool = True) -> None:
        try:
            await self._commit.join(change, urgent)
        except Damaged as error:
            self._alarm(error)
            raise

    async def stop(self) -> None:
        """Close it when all is written that has been given to it, also by those who were cut off while they waited: or
        what they have delivered would be delivered again. And when the files of letters that are done with are removed:
        or the next start would find them, and speak of a crash."""
        await self._commit.idle()
        await self._in_thread(self._end)

    def _end(self) -> None:
        with suppress(OSError):  # or the next start looks at the last letters once more
            self._store.end_batch()
        self.close()

    def close(self) -> None:
        """At once. Blocking."""
        self._reader.close()
        self._store.close()
        if isinstance(self._sync, FilesystemSync):
            self._sync.close()
        os.close(self._lock)

    # ---- Accepting

    def receive(self, id: str) -> IIncoming:
        return self._files.receive(id)

    async def add(self, letter: Letter, content: IIncoming) -> None:
        file = finished(content)
        with self._hidden(letter.id):
            await self._enter(letter, file)

    @contextmanager
    def _hidden(self, id: str) -> Iterator[None]:
        """Nobody is to see a letter that is not durable, or not yet to be seen."""
        self._adding.add(id)
        try:
            yield
        finally:
            self._adding.discard(id)

    async def _enter(self, letter: Letter, file: FileIncoming) -> None:
        def change(batch: Batch) -> None:
            batch.letters.append(letter)
            if self._by_file:
                batch.paths.update((Path(file.name), self._files.folder))

        try:
            self._alarm.check()
            await self._join(change)
        except OSError:
            file.discard()
            raise
        file.keep()
        self._files.written(letter.id, self._clock.seconds())
        if file.whole and any(self._destination(each.address.domain) != LOCAL for each in letter.recipients):
            self._files.remember(letter.id, file.whole)

    # ---- Delivering

    async def settle(self, results: Mapping[str, Sequence[Result]]) -> None:
        settlements = [Settlement(id, each) for id, each in results.items()]
        await self._join(lambda batch: batch.settlements.extend(settlements), urgent=False)

    async def report(
        self, id: str, told: Sequence[int], bounce: Letter | None, content: IIncoming | None, warned: int
    ) -> None:
        reported = Reported(id, told, warned)
        if bounce is None or content is None:
            await self._join(lambda batch: batch.reported.append(reported))
            return
        file = finished(content)
        with self._hidden(bounce.id):
            # One after the other: in one batch a crash could keep the mark and lose the report's body.
            await self._enter(bounce, file)
            await self._join(lambda batch: batch.reported.append(reported))

    async def unsaved(self, now: float, limit: int, exclude: Iterable[str] = ()) -> Sequence[Letter]:
        hidden = self._hidden_ids()
        found = await self._in_thread(self._reader.unsaved, now, limit, [*exclude, *hidden])
        return [letter for letter in found if letter.id not in self._hidden_ids()]

    async def saved(self, ids: Sequence[str]) -> None:
        await self._join(lambda batch: batch.saved.extend(ids), urgent=False)

    async def hasten(self, domain: str, subdomains: bool) -> int:
        return await self._times.hasten(domain, subdomains, self._visible)

    async def hurry(self, destination: str, since: float, after: float, now: float, limit: int) -> float | None:
        return await self._times.hurry(destination, since, after, now, limit)

    async def rectify(self, now: float, longest: float) -> int:
        return await self._times.rectify(now, longest)

    async def flush(self, paths: Iterable[Path]) -> None:
        await self._commit.flush(paths)

    def _remove(self, ids: list[str]) -> None:
        self._files.forget(ids)
        for id in ids:
            self._log.event(id, what="removed")
        # Not in the reactor's thread: where no Maildir has a link to the file, its blocks are freed, and that waits for
        # the file system's journal while a sync is under way.
        Deferred.fromCoroutine(self._unlink(ids))

    async def _unlink(self, ids: Sequence[str]) -> None:
        await self._in_thread(self._files.unlink, ids)

    # ---- Asking

    async def destinations(
        self, now: float, limit: int, exclude: Iterable[str] = (), newest: bool = False
    ) -> Sequence[str]:
        found: Sequence[str] = await self._in_thread(self._reader.destinations, now, limit, list(exclude), newest)
        return found

    async def due(self, now: float, wanted: Sequence[Wanted]) -> Sequence[Sequence[Due]]:
        # Not asked for, or an answer with fewer than there was room for would seem to be all.
        hidden = self._hidden_ids()
        asked = [evolve(each, exclude=each.exclude | hidden) for each in wanted] if hidden else wanted
        found: Sequence[Sequence[Due]] = await self._without_damaged(self._reader.due, now, asked)
        return [self._seen(each) for each in found]

    async def untold(self, limit: int, after: str = "") -> Sequence[Due]:
        found: Sequence[Due] = await self._without_damaged(self._reader.untold, limit, after)
        return self._seen(found)

    async def _without_damaged(self, query: Callable[..., Any], *args: Any) -> Any:  # Any: as the query has it
        """Letters whose rows make no sense are on hold then, and for the same reason it is asked again without them.
        Until somebody has changed something nobody looks at them again."""
        while True:
            damaged = set(self._damaged)
            found = await self._in_thread(query, *args, damaged)
            new, self._damaged = damaged - self._damaged, self._damaged | damaged
            if not new:
                return found
            with suppress(OSError):  # nobody delivers them in any case
                await self.quarantine(dict.fromkeys(sorted(new), ROWS))

    def _seen(self, dues: Sequence[Due]) -> Sequence[Due]:
        visible = self._visible(due.letter.id for due in dues)
        return [due for due in dues if due.letter.id in visible]

    def _visible(self, ids: Iterable[str]) -> set[str]:
        """Without those that are not ours yet, or not any more."""
        return set(ids) - self._hidden_ids()

    def _hidden_ids(self) -> set[str]:
        return self._adding | self._store.taken_back

    async def waiting(self, domains: Sequence[str]) -> Sequence[str]:
        found: set[str] = set()
        for domain in domains:
            rows = await self._in_thread(self._reader.waiting, domain, False)
            found.update(id for id, _, _ in rows)
        return sorted(self._visible(found))  # ids are in the order of time

    async def ahead_of_time(self, id: str, domains: Sequence[str]) -> Due | None:
        found: Due | None = await self._in_thread(self._reader.ahead_of_time, id, list(domains))
        return found

    async def unreported(self, id: str) -> Mapping[int, Outcome]:
        found: Mapping[int, Outcome] = await self._in_thread(self._reader.unreported, id)
        return found

    async def lagging(self, id: str, now: float) -> Lagging:
        found: Lagging = await self._in_thread(self._reader.lagging, id, now)
        return found

    async def next_due(self, after: float) -> float | None:
        found: float | None = await self._in_thread(self._reader.next_due, after)
        return found

    async def surviving(self, ids: Sequence[str]) -> Mapping[str, Collection[int]]:
        found: Mapping[str, Collection[int]] = await self._in_thread(self._reader.surviving, ids)
        return found

    async def changed(self) -> bool:
        found: bool = await self._in_thread(self._store.changed)
        self._noted |= found
        if found:
            self._damaged.clear()
        if self._noted:
            await self._tell_notes()
        return found

    async def _tell_notes(self) -> None:
        """If they cannot be had now, next time; who wants to know of the change does not wait for that."""
        try:
            self._tell(await self._in_thread(self._reader.notes))
            self._noted = False
        except OSError as error:
            self._log.warn("spool", what=f"what the command line has done is not in the log yet: {error}")

    def _tell(self, notes: Sequence[tuple[str, Mapping[str, object]]]) -> None:
        """What the command line has done: it cannot write to our log by itself."""
        for id, fields in notes:
            self._log.event(id, **fields)

    async def faults(self, letters: Iterable[Letter]) -> Mapping[str, str]:
        return await self.custody.faults(letters)

    async def quarantine(self, faults: Mapping[str, str]) -> None:
        await self.custody.quarantine(self._join, faults)

    def open(self, id: str) -> BinaryIO:
        return self._files.open(id)

    def path(self, id: str) -> str:
        return self._files.path(id)
