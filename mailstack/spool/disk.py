"""The spool on disk: ``spool/queue.db`` and ``spool/messages/ID``."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mailstack.durable import FilesystemSync, Sync, make_folders, own_filesystem, sync_paths
from mailstack.interfaces.alarms import SILENT, IAlarms
from mailstack.interfaces.delivery import LOCAL
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import IDurable, IIncoming, ISpool, Lagging, Result, Wanted
from mailstack.model.letter import Due, Letter
from mailstack.model.outcome import Outcome
from mailstack.spool.batch import Batch, Reported, Settlement
from mailstack.spool.commit import ALL, HALF, GroupCommit, InThread
from mailstack.spool.errors import as_os_error
from mailstack.spool.examination import Examination
from mailstack.spool.files import Files
from mailstack.spool.health import Health
from mailstack.spool.incoming import FileIncoming
from mailstack.spool.lock import locked
from mailstack.spool.notes import Retold
from mailstack.spool.reader import Reader
from mailstack.spool.recovery import Repairs, recover
from mailstack.spool.reschedule import Reschedule
from mailstack.spool.schema import check_sqlite
from mailstack.spool.store import Store


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
        alarms: IAlarms = SILENT,
        least: float = 0,
    ) -> None:
        """``sync`` is [spool] sync; ``in_thread`` must run one call at a time, in order; ``destination`` says by domain
        where a recipient goes next. With less than ``least`` octets of room nobody's mail is taken."""
        self._destination = destination
        self._data = data
        self._folder = data / "spool"
        self._mode = sync
        self._by_file = True
        self._in_thread = in_thread
        self._clock = clock
        self._log = log
        self._adding: set[str] = set()
        self._damaged: set[str] = set()
        self._notes = Retold(log)
        self._health = Health(data, least, clock.seconds, alarms)
        self._files = Files(self._folder / "messages", self._health.noticed)

    def start(self) -> Repairs:
        """Open, or make, the spool, and repair what a crash left. Blocking; before any other call.

        OSError: the disk, another server on the same folder, or a database that is none.
        """
        check_sqlite()
        messages = self._files.folder
        make_folders(messages)
        self._lock = locked(self._folder / "lock")
        self._by_file = self._mode == "file" or (self._mode == "auto" and not own_filesystem(self._data))
        self._sync = sync_paths if self._by_file else FilesystemSync(self._data)
        database = self._folder / "queue.db"
        if not database.exists() and any(messages.iterdir()):
            raise OSError(f"{database} is missing, but there is mail in {messages}: restore it, or move the mail away")
        try:
            repairs = self._open(database)
        except OSError as error:
            if not self._health.make_room_to_start(error):
                raise
            repairs = self._open(database)
        database.chmod(0o600)
        self._sync([self._folder, messages])
        self._health.start()
        self._commit = GroupCommit(
            self._store, self._in_thread, self._clock, self._remove, self._files.arriving, self._log, self._health
        )
        self._examination = Examination(self._health, self._commit, self._files, self._in_thread)
        self._reschedule = Reschedule(self._reader, self._commit, self._in_thread, self._visible)
        return repairs

    def _open(self, database: Path) -> Repairs:
        try:
            self._store = Store(database, self._sync, self._destination)
            repairs = recover(database, self._files.folder)
            self._reader = Reader(database)
        except sqlite3.Error as error:
            raise as_os_error(error) from error
        self._notes.tell(self._reader.notes())
        return repairs

    async def stop(self) -> None:
        """Close it when all is written that has been given to it, also by those who were cut off while they waited: or
        what they have delivered would be delivered again. And when the files of letters that are done with are removed:
        or the next start would find them, and speak of a crash."""
        await self._commit.idle()
        await self._in_thread(self.close)

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

    def admit(self) -> None:
        """OSError: no new mail now, whatever room there seems to be."""
        self._health.admit()

    async def add(self, letter: Letter, content: IIncoming) -> None:
        try:
            self.admit()
            file = self._finish(content)
        except OSError:
            content.discard()
            raise
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

    async def _enter(self, letter: Letter, file: FileIncoming, must: int = 0) -> None:
        def change(batch: Batch) -> None:
            batch.letters.append(letter)
            if self._by_file:
                batch.paths.update((Path(file.name), self._files.folder))

        try:
            await self._commit.join(change, must=must)
        except OSError:
            self._files.discard(file)
            raise
        file.keep()
        if file.whole and any(self._destination(each.address.domain) != LOCAL for each in letter.recipients):
            self._files.remember(letter.id, file.whole)

    def _finish(self, content: IIncoming) -> FileIncoming:
        assert isinstance(content, FileIncoming), "content comes from receive()"
        content.finish()
        return content

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
        file = await self._finish_in_need(content)
        with self._hidden(bounce.id):
            # One after the other: in one batch a crash could keep the mark and lose the report's body.
            await self._enter(bounce, file, must=HALF)
            # Only a crash may lose the mark now: or the sender is told once more.
            await self._commit.insist(lambda batch: batch.reported.append(reported), must=ALL)

    async def _finish_in_need(self, content: IIncoming) -> FileIncoming:
        """Of a report, which may use the reserve."""
        try:
            return self._finish(content)
        except OSError as error:
            if not await self._in_thread(self._health.make_room, error, False):
                content.discard()
                raise
            self._health.given_up(error)
        try:
            return self._finish(content)
        except OSError:
            content.discard()
            raise

    async def unsaved(self, now: float, limit: int, exclude: Iterable[str] = ()) -> Sequence[Letter]:
        hidden = self._hidden_ids()
        found = await self._in_thread(self._reader.unsaved, now, limit, [*exclude, *hidden])
        return [letter for letter in found if letter.id not in self._hidden_ids()]

    async def saved(self, ids: Sequence[str]) -> None:
        await self._commit.join(lambda batch: batch.saved.extend(ids), urgent=False, must=ALL)

    async def hasten(self, domain: str, subdomains: bool) -> int:
        return await self._reschedule.hasten(domain, self._destination(domain), subdomains)

    async def hurry(self, destination: str, since: float, after: float, now: float, limit: int) -> float | None:
        return await self._reschedule.hurry(destination, since, after, now, limit)

    async def rectify(self, now: float, longest: float) -> int:
        return await self._reschedule.rectify(now, longest)

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
        damaged = set(self._damaged)
        # Not asked for, or an answer with fewer than there was room for would seem to be all.
        hidden = self._hidden_ids()
        asked = [evolve(each, exclude=each.exclude | hidden) for each in wanted] if hidden else wanted
        found: Sequence[Sequence[Due]] = await self._in_thread(self._reader.due, now, asked, damaged)
        self._warn_of(damaged)
        return [self._seen(each) for each in found]

    async def untold(self, limit: int, after: str = "") -> Sequence[Due]:
        damaged = set(self._damaged)
        found: Sequence[Due] = await self._in_thread(self._reader.untold, limit, after, damaged)
        self._warn_of(damaged)
        return self._seen(found)

    def _warn_of(self, damaged: set[str]) -> None:
        """Once; until the next start nobody looks at them again."""
        for id in damaged - self._damaged:
            self._log.warn(id, what="its row in the queue database makes no sense: it cannot be delivered")
        self._damaged |= damaged

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
            rows = await self._in_thread(self._reader.waiting, domain, self._destination(domain))
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

    def fit(self) -> bool:
        return self._health.fit

    async def examine(self) -> None:
        await self._examination.run()

    async def changed(self) -> bool:
        found: bool = await self._in_thread(self._store.changed)
        await self._notes.look(found, partial(self._in_thread, self._reader.notes))
        return found

    def open(self, id: str) -> BinaryIO:
        return self._files.open(id)

    def path(self, id: str) -> str:
        return self._files.path(id)
