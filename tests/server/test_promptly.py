"""Coroutines that end at once, wait, or fail."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailstack.server import promptly


class Watch:
    def __init__(self) -> None:
        self.ends: list[Failure | None] = []

    def done(self, result: Failure | None) -> None:
        self.ends.append(result)


def test_what_need_not_wait_has_ended_on_return() -> None:
    async def work() -> None:
        pass

    watch = Watch()
    promptly.run(work(), watch.done)
    assert watch.ends == [None]


def test_what_waits_goes_on_when_its_time_comes() -> None:
    gates: list[Deferred[Any]] = [Deferred(), Deferred()]
    heard = []

    async def work() -> None:
        for gate in gates:
            heard.append(await gate)

    watch = Watch()
    promptly.run(work(), watch.done)
    assert heard == [] and watch.ends == []
    gates[1].callback("second")
    gates[0].callback("first")
    assert heard == ["first", "second"] and watch.ends == [None]


def test_an_error_waited_for_can_be_caught() -> None:
    gate: Deferred[None] = Deferred()
    again: Deferred[str] = Deferred()
    heard = []

    async def work() -> None:
        try:
            await gate
        except OSError as error:
            heard.append(str(error))
        heard.append(await again)

    watch = Watch()
    promptly.run(work(), watch.done)
    gate.errback(OSError("no"))
    again.callback("yes")
    assert heard == ["no", "yes"] and watch.ends == [None]


def test_an_error_that_nobody_catches_is_told_early_and_late() -> None:
    gate: Deferred[None] = Deferred()

    async def at_once() -> None:
        raise RuntimeError("a bug")

    async def later() -> None:
        await gate
        raise RuntimeError("a later bug")

    for work in (at_once(), later()):
        watch = Watch()
        promptly.run(work, watch.done)
        if not gate.called:
            gate.callback(None) if not watch.ends else None
        assert [type(end.value) for end in watch.ends if end] == [RuntimeError]
