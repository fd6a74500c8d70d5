"""Who goes next, where there may be more callers than time: a password takes 100 ms to check, and guessers are many."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred

T = TypeVar("T")


@frozen
class _Call:
    function: Callable[[], Any]
    result: Deferred[Any]


class Turns:
    """Calls in threads, ``places`` at a time. Friends go first; of the others each party has one call in turn, so a
    party with hundreds of callers takes no more time from the others than one with a single caller.

    How many wait is bounded by the connections: none asks before it has its last answer.
    """

    def __init__(self, in_thread: Callable[[Callable[[], Any]], Awaitable[Any]], places: int) -> None:
        self._in_thread = in_thread
        self._places = places
        self._busy = 0
        self._friends: deque[_Call] = deque()
        self._parties: OrderedDict[str, deque[_Call]] = OrderedDict()

    def run(self, function: Callable[[], T], party: str, friend: bool) -> Awaitable[T]:
        """What the function returns or raises, when its turn has come."""
        call = _Call(function, Deferred())
        waiting = self._friends if friend else self._parties.setdefault(party, deque())
        waiting.append(call)
        self._go_on()
        return call.result

    def _go_on(self) -> None:
        while self._busy < self._places and (call := self._next()) is not None:
            self._busy += 1
            work = Deferred.fromCoroutine(self._call(call.function))
            work.addBoth(self._done).chainDeferred(call.result)

    async def _call(self, function: Callable[[], T]) -> T:
        result: T = await self._in_thread(function)
        return result

    def _done(self, result: Any) -> Any:
        self._busy -= 1
        self._go_on()
        return result

    def _next(self) -> _Call | None:
        if self._friends:
            return self._friends.popleft()
        if not self._parties:
            return None
        party, waiting = self._parties.popitem(last=False)
        call = waiting.popleft()
        if waiting:
            self._parties[party] = waiting  # behind all the others
        return call
