"""How long one client may take: a number that commands and octets put off, and one timer that seldom looks at it."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds between two looks at most: patience may have become shorter meanwhile (Connections.stressed).
LOOK = 10.0


def _never() -> float:
    return inf


def _nothing() -> None:
    pass


class Countdown:
    """Calls ``ring`` when ``patience()`` seconds have passed since :meth:`restart`; then it is over until the next one.

    ``patience`` is asked again at each look. Moving the start costs next to nothing: the timer stays where it is, and
    finds out when it comes how much is left. So a patience below LOOK may be seen that much too late.
    """

    def __init__(self, clock: IReactorTime, patience: Callable[[], float], ring: Callable[[], None]) -> None:
        self._clock = clock
        self._patience = patience
        self._ring = ring
        self._since = 0.0
        self._call: IDelayedCall | None = None

    def restart(self) -> None:
        """The client has all its time again."""
        self._since = self._clock.seconds()
        if self._call is None:
            self._look_after(self._patience())

    def earn(self, seconds: float) -> None:
        """The client has earned some of its time again, at most all of it."""
        self._since = min(self._clock.seconds(), self._since + seconds)

    def cancel(self) -> None:
        """For good. Its owner is let go: else both of them, and all that they hold, would wait for the collector of
        cycles, and their memory could not be used again meanwhile."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        self._patience, self._ring = _never, _nothing

    def _look(self) -> None:
        self._call = None
        left = self._since + self._patience() - self._clock.seconds()
        if left > 0:
            self._look_after(left)
        else:
            self._ring()

    def _look_after(self, seconds: float) -> None:
        self._call = self._clock.callLater(min(seconds, LOOK), self._look)
