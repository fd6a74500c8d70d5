"""Coroutines that usually have nothing to wait for, started without the price of a Deferred.

``Deferred.fromCoroutine`` costs as much as parsing the command that it answers; most answers are there at once.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

Done = Callable[[Failure | None], Failure | None]


def run(work: Coroutine[Any, Any, None], done: Done) -> None:
    """Run ``work``; ``done`` is told when it has ended, with the Failure that ended it: at once if nothing waits."""
    try:
        waits_for = work.send(None)
    except StopIteration:
        done(None)
    except Exception:
        fail(Failure()).addErrback(done)
    else:
        Deferred.fromCoroutine(_rest(work, waits_for)).addBoth(done)


def _rest(work: Coroutine[Any, Any, None], waits_for: object) -> Generator[Any, Any, None]:
    """A coroutine that has begun to wait, as a generator: Twisted takes only fresh coroutines."""
    while True:
        go_on = work.send
        try:
            value = yield waits_for
        except Exception as error:
            go_on, value = work.throw, error
        try:
            waits_for = go_on(value)
        except StopIteration:
            return
