"""A short wait for the others: so that what ends at nearly the same moment is told in one report."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime


class Gathering:
    """Of one letter."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._gate: Deferred[None] | None = None
        self.again = False  #: something has come that may not be told yet

    async def wait(self, seconds: float) -> None:
        """Until the time is over, or :meth:`end`."""
        self._gate = Deferred()
        timer = self._clock.callLater(seconds, self.end)
        try:
            await self._gate
        finally:
            self._gate = None
            if timer.active():
                timer.cancel()

    def end(self) -> None:
        if self._gate is not None and not self._gate.called:
            self._gate.callback(None)
