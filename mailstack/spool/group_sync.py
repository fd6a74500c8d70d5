"""One sync for all files and folders that are to be durable, while the log of the database goes its own way.

Who waits here is in no hurry, or has brought a large message, which the log does not take in. One sync at a time: so
each hears of every error of the disk that concerns it, as the kernel tells it once.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailstack.durable import NotOpened
from mailstack.spool.incoming import Arrivals

#: Seconds in which those gather for whom nobody waits. Longer, and what is kept of their letters falls out of the
#: processor's caches.
LEISURE = 0.025

#: And what he wants to be durable.
Waiter = tuple[Deferred[None], frozenset[Path]]


class GroupSync:
    """``sync`` makes these paths durable, or raises OSError, and then nobody who has come by then may believe that what
    they have written will ever be durable."""

    def __init__(
        self, sync: Callable[[Iterable[Path]], Awaitable[None]], arrivals: Arrivals, clock: IReactorTime
    ) -> None:
        self._sync = sync
        self._arrivals = arrivals
        self._clock = clock
        self._waiters: list[Waiter] = []
        self._hurry = False
        self._busy = False
        self._start: IDelayedCall | None = None
        #: hears what the disk says, before those who wait do
        self.on_failure: Callable[[OSError], None] = lambda error: None

    @property
    def busy(self) -> bool:
        return self._busy or bool(self._waiters)

    async def idle(self) -> None:
        """Until nobody waits, which is soon."""
        while self.busy:
            with suppress(OSError):  # those who wait hear of it
                await self.join((), hurry=True)

    def join(self, paths: Iterable[Path], hurry: bool = False, before: int | None = None) -> Deferred[None]:
        """Fires when they are durable; OSError when they are not, for good: NotOpened if that is about some of these
        paths alone. ``before``: how many syncs had failed when the first of it was written, if that is a while ago."""
        if before is not None and self._arrivals.failed_syncs > before:
            return fail(OSError(errno.EIO, "a sync has failed since this was written"))
        waiter: Waiter = (Deferred(), frozenset(paths))
        self._waiters.append(waiter)
        self._hurry |= hurry
        self._plan()
        return waiter[0]

    def _plan(self) -> None:
        if self._busy or not self._waiters:
            return
        if self._hurry:
            if self._start is not None:
                self._start.cancel()
            self._run()
        elif self._start is None:
            self._start = self._clock.callLater(LEISURE, self._run)

    def _run(self) -> None:
        self._start = None
        Deferred.fromCoroutine(self._run_once())

    async def _run_once(self) -> None:
        waiters, self._waiters = self._waiters, []
        self._hurry, self._busy = False, True
        error: Exception | None = None
        try:
            await self._sync({path for _, paths in waiters for path in paths})
        except NotOpened as problem:
            error = problem
        except Exception as problem:
            error = problem
            # The kernel may have given up pages of theirs, too, and the next sync would not say so.
            waiters += self._waiters
            self._waiters, self._hurry = [], False
            self._arrivals.failed_syncs += 1
            if isinstance(problem, OSError):
                self.on_failure(problem)
        self._busy = False
        self._plan()
        for waiter, paths in waiters:
            if isinstance(error, NotOpened):
                his = error.paths & paths
                _tell(waiter, NotOpened(error, his) if his else None)
            else:
                _tell(waiter, error)


def _tell(waiter: Deferred[None], error: Exception | None) -> None:
    if error is None:
        waiter.callback(None)
    else:
        waiter.errback(error)
