"""How long a server may take: for its next answer, and for all of a letter."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from twisted.internet.interfaces import IDelayedCall, IReactorTime

EARLY = 0.001  #: seconds by which a timer may strike before its time, as sums of floats are not exact


class Deadline:
    """One timer for both. As the next wait mostly ends later, it is set anew only when it strikes."""

    def __init__(self, clock: IReactorTime, look: Callable[[], None]) -> None:
        """``look`` is called when it may be time; it asks what is :attr:`over` and :attr:`late`, or goes on by
        :meth:`set`."""
        self._clock = clock
        self._look = look
        self._patient_until = inf
        self._allowed_until = inf
        self._timer: IDelayedCall | None = None
        self.allowed = 0.0  #: seconds for all

    def allow(self, seconds: float) -> None:
        self.allowed = seconds
        self._allowed_until = self._clock.seconds() + seconds

    def be_patient(self, timeout: float) -> None:
        """Seconds for the next answer."""
        self._patient_until = self._clock.seconds() + timeout
        self.set()

    def set(self) -> None:
        due = min(self._patient_until, self._allowed_until)
        if self._timer is None:
            self._timer = self._clock.callLater(max(0, due - self._clock.seconds()), self._strike)
        elif self._timer.getTime() > due:
            self._timer.reset(max(0, due - self._clock.seconds()))

    @property
    def over(self) -> bool:
        """All of the time is."""
        return self._clock.seconds() + EARLY >= self._allowed_until

    @property
    def late(self) -> bool:
        """The next answer is."""
        return self._clock.seconds() + EARLY >= self._patient_until

    def stop(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _strike(self) -> None:
        self._timer = None
        self._look()
