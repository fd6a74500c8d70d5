"""The spool on disk: ``spool/queue.db`` and ``spool/messages/ID``."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mailstack.durable import FilesystemSync, Sync, make_folders, opened, own_filesystem
from mailstack.interfaces.delivery import LOCAL
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import IDurable, IIncoming, ISpool, Lagging, Result, Wanted
from mailstack.model.letter import ASKED, Due, Letter
from mailstack.model.outcome import Outcome
from mailstack.spool.batch import TOLERANCE, Batch, Corrected, Hastened, Reported, Settlement
from mailstack.spool.commit import GroupCommit, InThread
from mailstack.spool.errors import as_os_error
from mailstack.spool.files import Files
from mailstack.spool.incoming import FileIncoming
from mailstack.spool.lock import locked
from mailstack.spool.reader import Reader
from mailstack.spool.recovery import Repairs, recover
from mailstack.spool.store import Store

T = TypeVar("T")
OpenSync = Callable[[Path, bool], Sync]  #: for a folder; whether each file is synced by itself

AT_ONCE = 1_000  # rows changed in one transaction, which the reactor waits for
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
        open_sync: OpenSync = opened,
    ) -> None:
        """``sync`` is [spool] sync; ``in_thread`` must run one call at a time, in order; ``destination`` says by domain
        where a recipient goes next."""
        self._open_sync = open_sync
        self._destination = destination
        self._data = data
        self._folder = data / "spool"
        self._files = Files(self._folder / "messages")
        self._mode = sync
        self._by_file = True
        self._in_thread = in_thread
        self._clock = clock
        self._log = log
        self._adding: set[str] = set()
        self._damaged: set[str] = set()
        self._noted = False  #: another process may have left notes for the log

    def start(self) -> Repairs:
        """Open, or make, the spool, and repair what a crash left. Blocking; before any other call.

        OSError: the disk, another server on the same folder, or a database that is none.
        """
        if sqlite3.sqlite_version_info < SQLITE:
            raise OSError(f"SQLite {sqlite3.sqlite_version} is too old, the queue needs {'.'.join(map(str, SQLITE))}")
        messages = self._files.folder
        make_folders(messages)
        self._lock = locked(self._folder / "lock")
        self._by_file = self._mode == "file" or (self._mode == "auto" and not own_filesystem(self._data))
        self._sync = self._open_sync(self._data, self._by_file)
        database = self._folder / "queue.db"
        if not database.exists() and any(messages.iterdir()):
            raise OSError(f"{database} is missing, but there is mail in {messages}: restore it, or move the mail away")
        try:
            self._store = Store(database, self._sync, self._destination)
            repairs = recover(database, messages)
            self._reader = Reader(database)
        except sqlite3.Error as error:
            raise as_os_error(error) from error
        self._tell(self._reader.notes())
        database.chmod(0o600)
        self._sync([self._folder, messages, *(messages / id for id in repairs.fresh)])
        self._commit = GroupCommit(
            self._store, self._in_thread, self._clock, self._remove, self._files.arriving, self._log
        )
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

    async def add(self, letter: Letter, content: IIncoming) -> None:
        file = self._finish(content)
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
            await self._commit.join(change)
        except OSError:
            file.discard()
            raise
        file.keep()
        if file.whole and any(self._destination(each.address.domain) != LOCAL for each in letter.recipients):
            self._files.remember(letter.id, file.whole)

    def _finish(self, content: IIncoming) -> FileIncoming:
        assert isinstance(content, FileIncoming), "content comes from receive()"
        try:
            content.finish()
        except OSError:
            content.discard()
            raise
        return content

    # ---- Delivering

    async def settle(self, results: Mapping[str, Sequence[Result]]) -> None:
        settlements = [Settlement(id, each) for id, each in results.items()]
        await self._commit.join(lambda batch: batch.settlements.extend(settlements), urgent=False)

    async def report(
        self, id: str, told: Sequence[int], bounce: Letter | None, content: IIncoming | None, warned: int
    ) -> None:
        reported = Reported(id, told, warned)
        if bounce is None or content is None:
            await self._commit.join(lambda batch: batch.reported.append(reported))
            return
        file = self._finish(content)
        with self._hidden(bounce.id):
            # One after the other: in one batch a crash could keep the mark and lose the report's body.
            await self._enter(bounce, file)
            await self._commit.join(lambda batch: batch.reported.append(reported))

    async def unsaved(self, now: float, limit: int, exclude: Iterable[str] = ()) -> Sequence[Letter]:
        hidden = self._hidden_ids()
        found = await self._in_thread(self._reader.unsaved, now, limit, [*exclude, *hidden])
        return [letter for letter in found if letter.id not in self._hidden_ids()]

    async def saved(self, ids: Sequence[str]) -> None:
        await self._commit.join(lambda batch: batch.saved.extend(ids), urgent=False)

    async def hasten(self, domain: str, subdomains: bool) -> int:
        waiting = await self._in_thread(self._reader.waiting, domain, subdomains)
        visible = self._visible(id for id, _, _ in waiting)
        later = [Hastened(id, number, ASKED) for id, number, _ in waiting if id in visible]
        await self._in_pieces(later, lambda batch: batch.hastened)
        return len(visible)

    async def hurry(self, destination: str, since: float, after: float, now: float, limit: int) -> float | None:
        later = await self._in_thread(self._reader.later, destination, since, max(after, now), limit)
        if not later:
            return None
        hastened = [Hastened(id, number, now) for id, number, _ in later]
        await self._in_pieces(hastened, lambda batch: batch.hastened)
        last: float = later[-1][2]
        return last

    async def rectify(self, now: float, longest: float) -> int:
        future = await self._in_thread(self._reader.from_the_future, now + TOLERANCE)
        corrected = [Corrected.now(id, came, before, wish, now) for id, came, before, wish in future]
        await self._in_pieces(corrected, lambda batch: batch.corrected)
        late = await self._in_thread(self._reader.unbelievable, now + longest)
        hastened = [Hastened(id, number, now) for id, number in late]
        await self._in_pieces(hastened, lambda batch: batch.hastened)
        return len({each.id for each in corrected} | {each.id for each in hastened})

    async def _in_pieces(self, rows: Sequence[T], place: Callable[[Batch], list[T]]) -> None:
        """One batch after the other; ``place`` says where in it they belong."""

        def add(piece: Sequence[T], batch: Batch) -> None:
            place(batch).extend(piece)

        for start in range(0, len(rows), AT_ONCE):
            await self._commit.join(partial(add, rows[start : start + AT_ONCE]))

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

    def open(self, id: str) -> BinaryIO:
        return self._files.open(id)

    def path(self, id: str) -> str:
        return self._files.path(id)
