"""One group commit for all that waits for the disk at one moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from zope.interface import implementer

from mailstack.interfaces import IDurable
from mailstack.spool.batch import Batch
from mailstack.spool.errors import Busy

#: Seconds that a batch in which nobody waits for an answer may gather.
LEISURE = 0.05

InThread = Callable[..., Awaitable[Any]]


class CallLater(Protocol):
    def __call__(self, delay: float, function: Callable[[], object], /) -> object: ...


class Ledger(Protocol):
    """Where batches are written: :class:`mailstack.spool.store.Store`."""

    def write(self, batch: Batch) -> list[str]: ...

    def write_patiently(self, batch: Batch) -> list[str]: ...

    def sync(self, batch: Batch) -> None: ...

    def take_back(self, batch: Batch) -> None: ...


@implementer(IDurable)
class GroupCommit:
    """Gathers changes into a batch; while one batch is on its way to the disk, the next one gathers.

    Many messages share the price of one transaction and one sync, and a lone one waits for nobody else. Only the sync
    runs in a thread: it is one long call, where many short ones would fight the reactor for the interpreter's lock.
    """

    def __init__(
        self, ledger: Ledger, in_thread: InThread, call_later: CallLater, finished: Callable[[list[str]], None]
    ) -> None:
        """``in_thread`` must run one call at a time, in order. ``finished`` is told the letters that are done with; it
        does not raise."""
        self._ledger = ledger
        self._in_thread = in_thread
        self._call_later = call_later
        self._finished = finished
        self._batch = Batch()
        self._waiters: list[Deferred[None]] = []
        self._due = False
        self._urgent = False
        self._busy = False

    async def flush(self, paths: Iterable[Path]) -> None:
        await self.join(lambda batch: batch.paths.update(paths), urgent=False)

    async def join(self, change: Callable[[Batch], object], urgent: bool = True) -> None:
        """Add to the batch that gathers; returns when it is durable, OSError when it is not."""
        change(self._batch)
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        self._urgent = self._urgent or urgent
        self._start()
        await waiter

    def _start(self) -> None:
        """Let what is ready in this round of the reactor come along, then go."""
        if self._busy:
            return
        if self._urgent:
            self._busy = True
            self._call_later(0, lambda: Deferred.fromCoroutine(self._run()))
        elif not self._due:
            self._due = True
            self._call_later(LEISURE, self._make_urgent)

    def _make_urgent(self) -> None:
        self._due = False
        self._urgent = self._urgent or bool(self._waiters)
        self._start()

    async def _run(self) -> None:
        batch, self._batch = self._batch, Batch()
        waiters, self._waiters = self._waiters, []
        self._urgent = False
        removed: list[str] = []
        error: Exception | None = None
        try:
            removed = await self._write(batch)
            await self._sync(batch)
        except Exception as problem:
            removed, error = [], problem
        self._busy = False
        self._start()
        for waiter in waiters:
            if error is None:
                waiter.callback(None)
            else:
                waiter.errback(error)
        self._finished(removed)

    async def _write(self, batch: Batch) -> list[str]:
        try:
            return self._ledger.write(batch)
        except Busy:
            removed: list[str] = await self._in_thread(self._ledger.write_patiently, batch)
            return removed

    async def _sync(self, batch: Batch) -> None:
        try:
            await self._in_thread(self._ledger.sync, batch)
        except Exception:
            self._ledger.take_back(batch)
            raise
