"""Timers that go by a clock which nobody sets."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any


def steady(reactor: Any, seconds: Callable[[], float] = monotonic) -> None:
    """Twisted's timers go by the clock on the wall: set back by an hour, all of them would stand still for an hour, and
    nobody could tell that it was set. What waits already keeps the time that it has left."""
    before = reactor.seconds()
    waiting = [(call, call.getTime() - before) for call in reactor.getDelayedCalls()]
    reactor.seconds = seconds
    for call, left in waiting:
        call.seconds = seconds
        call.reset(max(0.0, left))
