"""Attempts that take their time give their places to others."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailstack.queue.places import Place

PATIENCE = 2.0  # seconds for which an attempt may keep its place from others
EARLY = 0.001  # seconds by which a timer may strike before its time, as sums of floats are not exact


class Overtime:
    """One timer for all: for the oldest of those that keep their places, and mostly it finds that one gone."""

    def __init__(self, clock: IReactorTime, on_room: Callable[[], None]) -> None:
        """``on_room``: places are free now."""
        self._clock = clock
        self._on_room = on_room
        self._began: dict[Place, float] = {}  # the oldest first
        self._timer: IDelayedCall | None = None

    def begin(self, place: Place) -> None:
        self._began[place] = self._clock.seconds()
        self._watch()

    def end(self, place: Place) -> None:
        """The attempt is over, in time or not."""
        self._began.pop(place, None)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        if self._timer is None and self._began:
            until = next(iter(self._began.values())) + PATIENCE
            self._timer = self._clock.callLater(max(0.0, until - self._clock.seconds()), self._strike)

    def _strike(self) -> None:
        self._timer = None
        late = self._clock.seconds() - PATIENCE + EARLY
        for place in [place for place, since in self._began.items() if since <= late]:
            del self._began[place]
            place.move()
        self._watch()
        self._on_room()
