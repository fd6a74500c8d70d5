"""One group commit for all that waits for the disk at one moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater

from mailstack.interfaces.log import IEventLog
from mailstack.spool.batch import Batch
from mailstack.spool.errors import Busy
from mailstack.spool.group_sync import LEISURE, GroupSync
from mailstack.spool.incoming import Arrivals
from mailstack.spool.ledger import Care, Ledger

#: Seconds that a batch waits for messages that are just arriving, while it has fewer letters than the last ones: fewer
#: syncs, and each serves more.
COMPANY = 0.003
#: Letters in a batch that are no crowd.
FEW = 2

#: Seconds until what must be durable is tried again.
PATIENCE = 5.0
#: How far the reserve may be used, see :class:`Batch`.
HALF, ALL = 1, 2

InThread = Callable[..., Awaitable[Any]]


def _nothing() -> None:
    pass


class GroupCommit:
    """Gathers changes into a batch; while one batch is on its way to the disk, the next one gathers.

    Many messages share the price of one transaction and one sync, and a lone one waits for nobody. Only the sync
    runs in a thread: it is one long call, where many short ones would fight the reactor for the interpreter's lock.
    """

    def __init__(
        self,
        ledger: Ledger,
        in_thread: InThread,
        clock: IReactorTime,
        finished: Callable[[list[str]], None],
        files: GroupSync,
        arrivals: Arrivals,
        log: IEventLog,
        care: Care,
        on_leisure: Callable[[], None] = lambda: None,
    ) -> None:
        """``in_thread`` must run one call at a time, in order. ``finished`` is told the letters that are done with,
        while nothing is being synced; it does not raise. Each of the ``arrivals`` is waited for once. ``on_leisure`` is
        called when others than the clients have their turn: after few letters at once, after many when clients wait for
        the next sync."""
        self._on_leisure = on_leisure
        self._log = log
        self._care = care
        self._ledger = ledger
        self._in_thread = in_thread
        self._clock = clock
        self._finished = finished
        self._files = files
        files.on_failure = self._files_failed
        self._arrivals = arrivals
        self._batch = Batch()
        self._waiters: list[Deferred[None]] = []
        self._pressing = 0
        self._busy = False
        self._sizes = deque([0], maxlen=8)  #: of the last batches with letters
        self._owed = False  #: time for others, since the last letters
        self._start: IDelayedCall | None = None
        self._idle: list[Deferred[None]] = []
        self._ending = False
        self._pauses: set[Deferred[None]] = set()  #: of those who insist
        self._done: list[str] = []  #: letters whose rows are removed, but not durably yet

    @property
    def in_doubt(self) -> bool:
        """Whether a batch, of whatever, would make good what a failed sync has left."""
        return self._ledger.doubtful or bool(self._ledger.taken_back)

    async def end(self) -> None:
        """Until nothing is on its way to the disk, and nothing waits for that. Who insists has one more try."""
        self._ending = True
        for pause in list(self._pauses):
            pause.cancel()
        while self._busy or self._waiters or self._files.busy:
            if self._files.busy:
                await self._files.idle()
                continue
            waiter: Deferred[None] = Deferred()
            self._idle.append(waiter)
            await waiter

    async def join(self, change: Callable[[Batch], object], urgent: bool = True, must: int = 0) -> None:
        """Add to the batch that gathers; returns when it is durable, OSError when it is not. ``urgent``: somebody waits
        for an answer. ``must``: see :class:`Batch`."""
        change(self._batch)
        self._batch.must = max(self._batch.must, must)
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        self._pressing += urgent
        self._plan()
        await waiter

    async def insist(self, change: Callable[[Batch], object], must: int) -> None:
        """The same, tried until it is durable; or until the :meth:`end`, then OSError."""
        while True:
            try:
                await self.join(change, must=must)
                return
            except OSError:
                if self._ending:
                    raise
            pause: Deferred[None] = deferLater(self._clock, PATIENCE)
            self._pauses.add(pause)
            with suppress(CancelledError):
                await pause
            self._pauses.discard(pause)

    def _plan(self, at_once: bool = False) -> None:
        """When to go: in the next round of the reactor, which lets come along what is ready in this one, or later.
        ``at_once``: now instead, as enough may have come along while the disk was busy."""
        if self._busy or not self._waiters:
            return
        delay = self._delay()
        if at_once and not delay:
            Deferred.fromCoroutine(self._run())
            return
        if self._start is not None:
            if self._start.getTime() <= self._clock.seconds() + delay:
                return
            self._start.cancel()
        self._start = self._clock.callLater(delay, lambda: Deferred.fromCoroutine(self._run()))

    def _delay(self) -> float:
        """Seconds."""
        if not self._pressing:
            return LEISURE
        return COMPANY if self._arrivals.awaited and self._pressing < max(self._sizes) else 0.0

    async def _run(self) -> None:
        batch, self._batch = self._batch, Batch()
        waiters, self._waiters = self._waiters, []
        self._pressing, self._start, self._busy = 0, None, True
        # Who did not come in time is not waited for again: it may be a slow one.
        self._arrivals.awaited.clear()
        error: Exception | None = None
        try:
            batch.failed_syncs = self._arrivals.failed_syncs
            batch.close()
            if batch.letters:
                self._sizes.append(len(batch.letters))
            self._done += await self._write(batch)
            await self._sync(batch)
        except Exception as problem:
            error = problem
        self._tell(batch, error)
        self._owed |= bool(batch.letters)
        if error is None and self._pressing and not self._untidy:
            # They have the disk before we see to those who have waited: it takes us as long as a sync.
            self._part_with_done()
            self._next()
            self._answer(waiters, None)
        else:
            # Nothing is quicker than an answer.
            self._answer(waiters, error)
            if error is None:
                self._part_with_done()
            await self._tidy()
            self._next()
        if self._owed and len(batch.letters) <= FEW and not (self._pressing or self._arrivals.awaited):
            self._give_time()
        idle, self._idle = self._idle, []
        for each in idle:
            each.callback(None)

    def _part_with_done(self) -> None:
        removed, self._done = list(dict.fromkeys(self._done)), []
        self._finished(removed)

    def _answer(self, waiters: list[Deferred[None]], error: Exception | None) -> None:
        for waiter in waiters:
            if error is None:
                waiter.callback(None)
            else:
                waiter.errback(error)

    def _next(self) -> None:
        """The disk is free."""
        self._busy = False
        self._plan(at_once=True)

    def _files_failed(self, error: OSError) -> None:
        """The kernel may also have given up pages of files that are written for the next batch, and the next sync would
        not say so: its letters hear the same, and come again."""
        self._care.failed(error, 0)
        if self._batch.files:
            waiters, self._waiters = self._waiters, []
            self._batch, self._pressing = Batch(), 0
            self._answer(waiters, error)

    def _give_time(self) -> None:
        self._owed = False
        self._clock.callLater(0, self._on_leisure)

    def _tell(self, batch: Batch, error: Exception | None) -> None:
        if isinstance(error, OSError):
            self._care.failed(error, batch.must)
        elif error is None and batch.has_rows:
            self._care.wrote()

    @property
    def _untidy(self) -> bool:
        return self._ledger.full or self._care.tight

    async def _tidy(self) -> None:
        """Between two batches, when everybody has their answer: a failure here is nobody's."""
        if not self._untidy:
            return
        try:
            await self._in_thread(self._ledger.checkpoint)
        except OSError as error:
            self._log.warn("spool", what=f"the log of the queue database stays long: {error}")

    async def _write(self, batch: Batch) -> list[str]:
        try:
            return self._ledger.write(batch)
        except Busy:
            removed: list[str] = await self._in_thread(self._ledger.write_patiently, batch)
            return removed
        except OSError as error:
            return await self._write_in_need(batch, error)

    async def _write_in_need(self, batch: Batch, error: OSError) -> list[str]:
        """Once more, with what the reserve gives, if it must be."""
        error = await self._in_thread(self._care.explained, error)
        for everything in (False, True)[: batch.must]:
            if await self._in_thread(self._care.make_room, error, everything):
                self._care.given_up(error)
                try:
                    removed: list[str] = await self._in_thread(self._ledger.write_patiently, batch)
                    return removed
                except OSError as again:
                    error = await self._in_thread(self._care.explained, again)
        raise error

    async def _sync(self, batch: Batch) -> None:
        try:
            if self._owed:
                self._give_time()
            if self._ledger.doubtful or not batch.files:
                await self._sync_log(batch)
            if batch.files:
                looks = Deferred.fromCoroutine(self._looks_are_over(batch))
                try:
                    await self._sync_files(batch)
                finally:
                    await looks
            if batch.letters:
                # Or they would be ours in a folder where nobody will look for them. Not in the thread: it would have to
                # get the interpreter's lock once more.
                self._care.verify()
        except Exception as error:
            self._ledger.take_back(letter.id for letter in batch.letters)
            await self._make_room_after(error, batch)
            raise

    async def _sync_log(self, batch: Batch) -> None:
        """Meanwhile the files of letters that it makes durable are written: they would be once more after a crash."""
        synced = Deferred.fromCoroutine(self._sync_ledger())
        try:
            refused = batch.write_files()
        finally:
            await synced
        if refused:
            # Their clients hear that they keep them, and that is to hold, too.
            await self._in_thread(self._ledger.take_back_patiently, refused)
            await self._sync_ledger()

    async def _sync_ledger(self) -> None:
        await self._in_thread(self._ledger.sync)

    async def _looks_are_over(self, batch: Batch) -> None:
        """In that thread's order: who has read what is settled as it was before must be heard first."""
        if batch.settlements:
            await self._in_thread(_nothing)

    async def _sync_files(self, batch: Batch) -> None:
        try:
            await self._files.join(batch.paths, hurry=True, before=batch.failed_syncs)
        except OSError:
            # The log was to be durable with them.
            await self._in_thread(self._ledger.doubt)
            raise

    async def _make_room_after(self, error: Exception, batch: Batch) -> None:
        """For the next try: some file systems find out about their room only now."""
        if not isinstance(error, OSError) or batch.must < ALL:
            return
        if await self._in_thread(self._care.make_room, error, True):
            self._care.given_up(error)
