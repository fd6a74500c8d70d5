"""A few threads for what blocks."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """At most ``size``, started as they are needed; with one, calls run in order.

    Twisted's thread pool takes the interpreter's lock a dozen times for a call, each time against a busy reactor; here
    it is once to begin and once to end. The threads end with the process: a DNS server that does not answer must not
    keep us from stopping.
    """

    def __init__(self, name: str, size: int, reactor: IReactorFromThreads) -> None:
        self._name = name
        self._size = size
        self._reactor = reactor
        self._calls: SimpleQueue[tuple[Callable[[], Any], Deferred[Any]]] = SimpleQueue()
        self._started = 0
        self._pending = 0

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Call it in one of the threads; what it returns or raises comes back."""
        if self._started < min(self._pending + 1, self._size):
            self._start()
        result: Deferred[T] = Deferred()
        self._pending += 1
        self._calls.put((partial(function, *args, **kwargs), result))
        return result

    def _start(self) -> None:
        """OSError: the system has no thread for us now, and there is none to do the work."""
        try:
            Thread(target=self._work, name=f"{self._name}-{self._started + 1}", daemon=True).start()
        except RuntimeError as error:
            if not self._started:
                raise OSError(errno.EAGAIN, f"no thread for {self._name}: {error}") from error
        else:
            self._started += 1

    def _work(self) -> None:
        while True:
            call, result = self._calls.get()
            tell: Callable[[Any], None] = result.callback
            try:
                answer = call()
            except BaseException:
                tell, answer = result.errback, Failure()
            self._reactor.callFromThread(self._tell, tell, answer)
            # A thread that waits for its next call holds nothing of the last one.
            del call, result, tell, answer

    def _tell(self, tell: Callable[[Any], None], answer: Any) -> None:
        self._pending -= 1
        tell(answer)
