"""A few threads for what blocks, as a Twisted service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from twisted.application.service import Service
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

P = ParamSpec("P")
T = TypeVar("T")


class _Pool(ThreadPool):
    """Its threads end with the process: a DNS server that does not answer must not keep us from stopping."""

    class threadFactory(Thread):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, daemon=True, **kwargs)


class Threads(Service):
    def __init__(self, name: str, size: int, reactor: Any) -> None:
        self.name = name
        self._reactor = reactor
        self._pool = _Pool(0, size, name)

    def startService(self) -> None:
        Service.startService(self)
        self._pool.start()

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Call it in one of the threads; what it returns or raises comes back."""
        result: Awaitable[T] = deferToThreadPool(self._reactor, self._pool, function, *args, **kwargs)
        return result
