"""The spool on disk: ``spool/queue.db`` and ``spool/messages/ID``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mailstack.durable import SYNCS, FilesystemSync, Sync, Syncs, make_folders, own_filesystem
from mailstack.interfaces.alarms import SILENT, IAlarms
from mailstack.interfaces.delivery import LOCAL
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import IDurable, IIncoming, ISpool, Result
from mailstack.model.address import Address
from mailstack.model.entry import Entry
from mailstack.model.letter import Letter
from mailstack.spool.batch import Newcomer, Reported, Settlement
from mailstack.spool.commit import ALL, HALF, GroupCommit, InThread
from mailstack.spool.contents import Contents
from mailstack.spool.custody import Custody
from mailstack.spool.examination import Examination
from mailstack.spool.files import Files
from mailstack.spool.group_sync import GroupSync
from mailstack.spool.health import Health
from mailstack.spool.incoming import FileIncoming, ended
from mailstack.spool.lock import locked, mark
from mailstack.spool.neighbours import Doubt
from mailstack.spool.notes import Retold
from mailstack.spool.opening import opened
from mailstack.spool.own_letters import OwnLetters
from mailstack.spool.questions import Questions
from mailstack.spool.recovery import Repairs
from mailstack.spool.reschedule import Reschedule
from mailstack.spool.schema import check_sqlite
from mailstack.spool.store import Store


@implementer(ISpool, IDurable)
class DiskSpool(Questions):
    """Everything accepted goes through here. Also makes deliveries durable, in the same batches."""

    _store: Store
    _commit: GroupCommit
    _sync: Sync

    def __init__(
        self,
        data: Path,
        sync: str,
        in_thread: InThread,
        in_other_thread: InThread,
        clock: IReactorTime,
        log: IEventLog,
        destination: Callable[[str], str],
        alarms: IAlarms = SILENT,
        least: float = 0,
        syncs: Syncs = SYNCS,
    ) -> None:
        """``sync`` is [spool] sync; ``in_thread`` must run one call at a time, in order, and so must
        ``in_other_thread``; ``destination`` says by domain where a recipient goes next. With less than ``least`` octets
        of room nobody's mail is taken."""
        super().__init__()
        self._syncs = syncs
        self._destination = destination
        self._data = data
        self._folder = data / "spool"
        self._mode = sync
        self._by_file = True
        self._clock = clock
        self._log = log
        self._adding: set[str] = set()
        self._notes = Retold(log)
        self.on_leisure: Callable[[], None] = lambda: None
        self._health = Health(data, least, clock.seconds, alarms)
        self._in_thread = self._health.watching(in_thread)
        self._in_other_thread = self._health.watching(in_other_thread)
        self._files = Files(self._folder / "messages", self._health.noticed)
        self.custody = Custody(self._files, self._in_thread, clock.seconds, log)

    def start(self) -> Repairs:
        """Open, or make, the spool, and repair what a crash left. Blocking; before any other call.

        A damaged database is replaced by one with all that can be read of it. OSError: the disk, another server on the
        same folder, or a database of a newer mailstack.
        """
        check_sqlite()
        make_folders(self._files.folder)
        self._lock = locked(self._folder / "lock")
        self._doubt = Doubt(self._folder)
        try:
            return self._begin()
        except BaseException:
            self._doubt.close()
            os.close(self._lock)
            raise

    def _begin(self) -> Repairs:
        # The spool may be on a file system of its own. Deliveries say which folders they are about.
        messages = self._files.folder
        self._by_file = self._mode == "file" or (self._mode == "auto" and not own_filesystem(messages))
        self._sync = self._syncs.of_folder(messages, self._by_file)
        database = self._folder / "queue.db"
        try:
            repairs = self._open()
        except OSError as error:
            if not self._health.make_room_to_start(error):
                raise
            repairs = self._open()
        mark(self._lock)
        database.chmod(0o600)
        self._sync([self._folder, self._files.folder])
        self._health.start()
        arrivals = self._files.arrivals
        self._group_sync = GroupSync(partial(self._in_other_thread, self._store.sync_files), arrivals, self._clock)
        around = (self._in_thread, self._clock, self._remove, self._group_sync, arrivals, self._log, self._health)
        self._commit = GroupCommit(self._store, *around, lambda: self.on_leisure())
        self._contents = Contents(self._commit, self._group_sync, self._files, self._by_file, self._clock.seconds)
        self._examination = Examination(self._health, self._commit, self._files, self._in_thread)
        self._reschedule = Reschedule(self._reader, self._commit, self._in_thread, self._visible)
        self._own_letters = OwnLetters(self._reader, self._commit, self._in_thread, self._hidden_ids, self._log)
        return repairs

    def _open(self) -> Repairs:
        around = (self._sync, self._destination, self._doubt, self._syncs.of_log)
        self._store, self._reader, repairs = opened(self._folder, *around)
        self._notes.tell(self._reader.notes())
        return repairs

    async def stop(self) -> None:
        """Close it when all is written that has been given to it, also by those who were cut off while they waited: or
        what they have delivered would be delivered again. And when the files of letters that are done with are removed:
        or the next start would find them, and speak of a crash."""
        await self._commit.end()
        await self._in_thread(self._end, await self._contents.all_firm())

    def _end(self, firm: Sequence[str]) -> None:
        with suppress(OSError):  # or the next start looks at the last letters once more
            self._store.end_batch(firm)
        self.close()

    def close(self) -> None:
        """At once. Blocking."""
        self._reader.close()
        self._store.close()
        self._health.close()
        if isinstance(self._sync, FilesystemSync):
            self._sync.close()
        self._doubt.close()
        os.close(self._lock)

    # ---- Accepting

    def receive(self, id: str) -> IIncoming:
        return self._files.receive(id)

    def admit(self) -> None:
        """OSError: no new mail now, whatever room there seems to be."""
        self._health.admit()

    async def add(self, letter: Letter, content: IIncoming) -> None:
        try:
            self.admit()
        except OSError:
            content.discard()
            raise
        with self._hidden(letter.id):
            await self._enter(letter, ended(content))

    @contextmanager
    def _hidden(self, id: str) -> Iterator[None]:
        """Nobody is to see a letter that is not durable, or not yet to be seen."""
        self._adding.add(id)
        try:
            yield
        finally:
            self._adding.discard(id)

    async def _enter(self, letter: Letter, file: FileIncoming, must: int = 0) -> None:
        paths = (Path(file.name), self._files.folder) if self._by_file else ()
        newcomer = Newcomer(letter, file, file.small and self._contents.takes(letter), paths)
        try:
            await self._commit.join(lambda batch: batch.enter(newcomer), must=must)
            if newcomer.error is not None:
                raise newcomer.error
        except (OSError, MemoryError):
            self._files.discard(file)
            raise
        file.keep()
        if newcomer.logged:
            self._contents.add(letter.id)
        self._files.written(letter.id, self._clock.seconds(), light=bool(file.whole))
        if file.whole and any(self._destination(each.address.domain) != LOCAL for each in letter.recipients):
            self._files.remember(letter.id, file.whole)

    # ---- Delivering

    async def settle(self, results: Mapping[str, Sequence[Result]]) -> None:
        settlements = [Settlement(id, each) for id, each in results.items()]
        await self._commit.join(lambda batch: batch.settlements.extend(settlements), urgent=False, must=ALL)

    async def report(
        self, id: str, told: Sequence[int], bounce: Letter | None, content: IIncoming | None, warned: int
    ) -> None:
        reported = Reported(id, told, warned)
        if bounce is None or content is None:
            await self._commit.join(lambda batch: batch.reported.append(reported), must=ALL)
            return
        file = ended(content)
        await self._finish_in_need(file)
        # Whoever waits here may be cut off. The report comes in all the same, and then its mark must.
        waiter = Deferred[None]()
        Deferred.fromCoroutine(self._enter_marked(bounce, file, reported)).chainDeferred(waiter)
        await waiter

    async def _enter_marked(self, bounce: Letter, file: FileIncoming, reported: Reported) -> None:
        with self._hidden(bounce.id):
            # One after the other: in one batch a crash could keep the mark and lose the report's body.
            await self._enter(bounce, file, must=HALF)
            # Only a crash may lose the mark now: or the sender is told once more.
            await self._commit.insist(lambda batch: batch.reported.append(reported), must=ALL)

    async def _finish_in_need(self, file: FileIncoming) -> None:
        """Of a report, which may use the reserve."""
        try:
            try:
                file.finish()
            except OSError as error:
                if not await self._in_thread(self._health.make_room, error, False):
                    raise
                self._health.given_up(error)
                file.finish()
        except (OSError, MemoryError):
            file.discard()
            raise

    async def saved(self, ids: Sequence[str]) -> None:
        await self._commit.join(lambda batch: batch.saved.extend(ids), urgent=False, must=ALL)

    async def of_account(self, account: Address, limit: int) -> Sequence[Entry]:
        return await self._own_letters.of_account(account, limit)

    async def drop(self, id: str, account: Address, at: float) -> int:
        return await self._own_letters.drop(id, account, at)

    async def hasten(self, domain: str, subdomains: bool) -> int:
        return await self._reschedule.hasten(domain, self._destination(domain), subdomains)

    async def hurry(self, destination: str, since: float, after: float, now: float, limit: int) -> float | None:
        return await self._reschedule.hurry(destination, since, after, now, limit)

    async def rectify(self, now: float, longest: float) -> int:
        return await self._reschedule.rectify(now, longest)

    def failed_syncs(self) -> int:
        return self._files.arrivals.failed_syncs

    async def flush(self, paths: Iterable[Path], letters: Iterable[str], before: int) -> None:
        await self._group_sync.join([*paths, *self._contents.paths(letters)], before=before)

    def _remove(self, ids: list[str]) -> None:
        self._contents.forget(ids)
        for id in ids:
            self._log.event(id, what="removed")
        # Between two syncs, so that nothing waits for the file system's journal; and a thread would have to get the
        # interpreter's lock again after each of these short calls.
        if heavy := self._files.forget(ids):
            Deferred.fromCoroutine(self._unlink(heavy))

    async def _unlink(self, ids: Sequence[str]) -> None:
        await self._in_thread(self._files.unlink, ids)

    # ---- Its state

    def _hidden_ids(self) -> set[str]:
        return self._adding | self._store.taken_back

    def fit(self) -> bool:
        return self._health.fit

    async def examine(self) -> None:
        await self._examination.run()
        if self._health.fit:
            await self._contents.make_firm()

    async def changed(self) -> bool:
        found: bool = await self._in_thread(self._store.changed)
        if found:
            self._damaged.clear()
        await self._notes.look(found, partial(self._in_thread, self._reader.notes))
        return found

    async def faults(self, letters: Iterable[Letter]) -> Mapping[str, str]:
        return await self.custody.faults(letters)

    async def quarantine(self, faults: Mapping[str, str]) -> None:
        await self.custody.quarantine(partial(self._commit.join, must=ALL), faults)

    def open(self, id: str) -> BinaryIO:
        return self._files.open(id)

    def path(self, id: str) -> str:
        return self._files.path(id)
