"""Who waits for whom: at most so many attempts at a time in all, and at most so many at one destination."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from twisted.internet.defer import DeferredSemaphore


class Lines:
    """A waiting line for each destination, then one for all. So a dead destination holds few of the common places."""

    def __init__(self, total: int, per_destination: int) -> None:
        self._all = DeferredSemaphore(total)
        self._per_destination = per_destination
        self._lines: dict[str, DeferredSemaphore] = {}

    @asynccontextmanager
    async def place(self, destination: str) -> AsyncIterator[None]:
        """Wait for a place at the destination, and hold it."""
        line = self._lines.setdefault(destination, DeferredSemaphore(self._per_destination))
        await line.acquire()
        try:
            await self._all.acquire()
            try:
                yield
            finally:
                self._all.release()
        finally:
            line.release()
            if line.tokens == line.limit:
                self._lines.pop(destination, None)
