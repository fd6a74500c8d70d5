"""Turns the real reactor by hand, so a test can wait for something without a running service."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred

T = TypeVar("T")


def until(done: Callable[[], object], timeout: float = 10.0) -> None:
    end = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < end, "it takes too long"
        reactor.iterate(0.01)  # type: ignore[attr-defined]


def wait_for(coroutine: Coroutine[Any, Any, T], timeout: float = 10.0) -> T:
    results: list[T] = []
    failures: list[Any] = []
    Deferred.fromCoroutine(coroutine).addCallbacks(results.append, failures.append)
    until(lambda: results or failures, timeout)
    if failures:
        failures[0].raiseException()
    return results[0]


def nothing_left() -> bool:
    """Whether no timer and no connection waits."""
    calls = [call for call in reactor.getDelayedCalls() if call.active()]  # type: ignore[attr-defined]
    return not calls
