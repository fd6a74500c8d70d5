"""The thread that writes to the disk of a machine, and how long that takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tests.simulation.clock import Owner
from tests.simulation.disk import Disk


class Spans:
    """How long the disk takes."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.slow = 0.0  #: how likely a call takes seconds

    def wait(self) -> float:
        return self._rng.choice((0.0, 0.0, 0.0, 0.002))

    def work(self) -> float:
        if self.slow and self._rng.random() < self.slow:
            return self._rng.uniform(0.1, 3.0)
        return self._rng.uniform(0.0005, 0.01)


class Thread:
    """Calls run one at a time, in order, each at one moment; a sync is durable when it returns."""

    def __init__(self, owner: Owner, disk: Disk, spans: Spans) -> None:
        self._owner = owner
        self._disk = disk
        self._spans = spans
        self._calls: deque[tuple[Callable[[], Any], Deferred[Any]]] = deque()
        self._busy = False

    def run(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        result: Deferred[Any] = Deferred()
        self._calls.append((lambda: self._call(function, *args, **kwargs), result))
        if not self._busy:
            self._busy = True
            self._owner.later(self._spans.wait(), self._begin)
        return result

    def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        disk = self._disk
        # A sync begins a log in doubt anew, which is a checkpoint.
        store: Any = getattr(function, "__self__", None)
        if function.__name__ != "checkpoint" and not (function.__name__ == "sync" and store.doubtful):
            return function(*args, **kwargs)
        disk.before_checkpoint()
        try:
            return function(*args, **kwargs)
        finally:
            disk.after_checkpoint()

    def _begin(self) -> None:
        function, result = self._calls.popleft()
        answer: Any
        try:
            answer = function()
        except Exception:
            answer = Failure()
        flights = self._disk.taken_off()
        if flights or isinstance(answer, Failure):
            self._owner.later(self._spans.work(), self._end, flights, answer, result)
        else:
            self._end(flights, answer, result)

    def _end(self, flights: Sequence[Any], answer: Any, result: Deferred[Any]) -> None:
        for flight in flights:
            self._disk.land(flight)
        if self._calls:
            self._owner.later(self._spans.wait(), self._begin)
        else:
            self._busy = False
        result.callback(answer)
