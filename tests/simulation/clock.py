"""Time that passes when nothing is left to do in it: one line of events for the whole world."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import ceil
from typing import Any

from attrs import define
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

TICK = 2.0**-20  #: seconds; all times are so many of these, so that sums of them are exact
EPOCH = 1_750_000_000.0  #: Unix time at which every world begins


def in_ticks(seconds: float) -> float:
    """As much or a little more: no timer strikes before its time."""
    return ceil(seconds / TICK) * TICK if seconds > 0 else 0.0


@implementer(IDelayedCall)
class Call:
    """Something that is to happen, to somebody whose clock may stand still meanwhile."""

    __slots__ = ("_args", "_function", "at", "called", "cancelled", "moves", "owner", "slept")

    def __init__(self, owner: Owner, at: float, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.owner = owner
        self.at = at  #: by the world's time
        self.slept = owner.slept
        self.moves = 0
        self.cancelled = self.called = False
        self._function, self._args = function, args

    def getTime(self) -> float:
        return self.at - self.slept

    def active(self) -> bool:
        return not (self.cancelled or self.called)

    def cancel(self) -> None:
        self._must_wait()
        self.cancelled = True
        self.owner.waiting -= 1
        del self._function, self._args

    def delay(self, seconds: float) -> None:
        self._must_wait()
        self._move(self.at + in_ticks(seconds))

    def reset(self, seconds: float) -> None:
        self._must_wait()
        self._move(self.owner.time.now + in_ticks(seconds))

    def _move(self, at: float) -> None:
        self.at, self.slept = at, self.owner.slept
        self.moves += 1
        self.owner.time.push(self)

    def _must_wait(self) -> None:
        if self.cancelled:
            raise AlreadyCancelled
        if self.called:
            raise AlreadyCalled

    def run(self) -> None:
        self.called = True
        self.owner.waiting -= 1
        self._function(*self._args)


@define(eq=False)
class Owner:
    """Who has events: a server, as long as it lives, or somebody outside. A machine that sleeps hears of its events
    when it wakes up, with the time that they had left."""

    time: Time
    name: str
    alive: bool = True
    slept: float = 0.0  #: seconds for which its clock stood still, so far or already begun
    waiting: int = 0  #: events that are to come

    def seconds(self) -> float:
        return self.time.now - self.slept

    def later(self, seconds: float, function: Callable[..., object], *args: Any) -> Call:
        call = Call(self, self.time.now + in_ticks(seconds), function, args)
        self.waiting += 1
        self.time.push(call)
        return call


class Time:
    """``now`` begins at 0."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events = 0
        self._heap: list[tuple[float, int, Call, int]] = []
        self._count = 0

    def push(self, call: Call) -> None:
        self._count += 1
        heappush(self._heap, (call.at, self._count, call, call.moves))

    def step(self, until: float) -> bool:
        """The next event; False: there is none before ``until``, where time is then."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            at, _, call, moves = heappop(heap)
            owner = call.owner
            if moves != call.moves or call.cancelled or not owner.alive:
                continue
            if call.slept != owner.slept:
                call._move(at + owner.slept - call.slept)
                continue
            self.now = at
            self.events += 1
            call.run()
            return True
        self.now = max(self.now, until)
        return False
