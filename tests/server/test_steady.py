"""Whoever sets the clock on the wall does not move our timers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.selectreactor import SelectReactor

from mailstack.server.steady import steady


class Steady:
    """A clock that counts from some moment, like the real one."""

    now = 500.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def reactor() -> Iterator[SelectReactor]:
    reactor = SelectReactor()
    yield reactor
    for call in reactor.getDelayedCalls():
        call.cancel()
    reactor.disconnectAll()


def test_timers_follow_the_steady_clock(reactor: SelectReactor) -> None:
    rung: list[str] = []
    clock = Steady()
    steady(reactor, clock)
    reactor.callLater(60, rung.append, "new")
    clock.now += 59
    reactor.runUntilCurrent()
    assert rung == []
    clock.now += 1
    reactor.runUntilCurrent()
    assert rung == ["new"]


def test_what_waits_already_keeps_the_time_that_is_left(reactor: SelectReactor) -> None:
    rung: list[str] = []
    call = reactor.callLater(60, rung.append, "old")
    clock = Steady()
    steady(reactor, clock)
    assert 559 < call.getTime() <= 560
    clock.now += 61
    reactor.runUntilCurrent()
    assert rung == ["old"]
