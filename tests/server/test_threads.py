"""Calls in other threads: what comes back, in which order, and how many run at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from zope.interface import implementer

from mailstack.server.threads import Threads

ENOUGH = 20  # seconds, when something hangs


@implementer(IReactorFromThreads)
class Mailbag:
    """The reactor's end: what threads have to tell, until the test takes it."""

    def __init__(self) -> None:
        self.told: Queue[tuple[Callable[..., Any], tuple[Any, ...]]] = Queue()

    def callFromThread(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.told.put((callable, args))

    def take(self, count: int = 1) -> None:
        for _ in range(count):
            tell, arguments = self.told.get(timeout=ENOUGH)
            tell(*arguments)


def outcome(result: Any) -> list[Any]:
    """Where the result comes when it is there."""
    assert isinstance(result, Deferred)
    came: list[Any] = []
    result.addBoth(came.append)
    return came


def test_what_is_returned_comes_back() -> None:
    bag = Mailbag()
    came = outcome(Threads("x", 1, bag).run(divmod, 7, 2))
    assert came == []
    bag.take()
    assert came == [(3, 1)]


def test_what_is_raised_comes_back_and_the_thread_goes_on() -> None:
    bag = Mailbag()
    threads = Threads("x", 1, bag)
    bad, good = outcome(threads.run(int, "x")), outcome(threads.run(int, "7"))
    bag.take(2)
    assert isinstance(bad[0].value, ValueError) and good == [7]


def test_one_thread_runs_calls_in_order() -> None:
    bag = Mailbag()
    threads = Threads("x", 1, bag)
    order: list[int] = []
    for number in range(100):
        threads.run(order.append, number)
    bag.take(100)
    assert order == list(range(100))


def test_a_thread_that_cannot_be_started_is_an_error_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this call alone; the next one tries again."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    bag = Mailbag()
    threads = Threads("x", 2, bag)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(OSError, match="no thread for x"):
            threads.run(int)
    first = outcome(threads.run(int, "1"))
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        second = outcome(threads.run(int, "2"))
    bag.take(2)
    assert (first, second) == ([1], [2])


@pytest.mark.parametrize("size", [1, 3])
def test_at_most_so_many_at_a_time(size: int) -> None:
    bag = Mailbag()
    threads = Threads(f"limit-{size}", size, bag)
    gate, began = threading.Event(), Queue[None]()

    def wait() -> None:
        began.put(None)
        gate.wait(ENOUGH)

    for _ in range(5):
        threads.run(wait)
    for _ in range(size):
        began.get(timeout=ENOUGH)
    mine = [thread for thread in threading.enumerate() if thread.name.startswith(f"limit-{size}-")]
    assert len(mine) == size and all(thread.daemon for thread in mine)
    assert began.empty()
    gate.set()
    bag.take(5)


def test_a_thread_that_is_free_is_used_again() -> None:
    bag = Mailbag()
    threads = Threads("again", 3, bag)
    for _ in range(10):
        threads.run(int)
        bag.take()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("again-")] == ["again-1"]
