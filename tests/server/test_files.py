"""Descriptors: as many as the system lets us have, and some that no client gets."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from mailstack.model.condition import FILES
from mailstack.server.connections import LOCAL, Connections
from mailstack.server.files import Descriptors, raise_limit
from mailstack.server.ports import REST, rest_when_nothing_comes
from tests.fakes import ListAlarms, ListCounts


class Many:
    """Takes descriptors, and gives them back."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    def take(self, up_to: int) -> None:
        while not self.taken or self.taken[-1] < up_to:
            self.taken.append(os.open(os.devnull, os.O_RDONLY))

    def give_back(self) -> None:
        while self.taken:
            os.close(self.taken.pop())


@pytest.fixture
def many() -> Any:
    made = Many()
    yield made
    made.give_back()


class Caller:
    peer = LOCAL

    def flush(self) -> None: ...

    def stop(self) -> None: ...

    def abort(self) -> None: ...


def test_half_of_few_are_kept(many: Many) -> None:
    alarms = ListAlarms()
    used = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
    spare = Descriptors(2 * (used + 20), alarms)
    connections = Connections(1000, 1000, ListCounts(), spare=spare)
    one, other, third = Caller(), Caller(), Caller()
    assert connections.enter(one)
    many.take(used + 20)
    assert not connections.enter(other), "there are descriptors, but not for clients"
    assert f"of {2 * (used + 20)} are in use" in alarms.lasting[FILES]
    connections.leave(other)
    assert FILES in alarms.lasting
    many.give_back()
    connections.leave(one)
    assert FILES not in alarms.lasting, "the alarm waits for no other client"
    assert connections.enter(third)
    spare.close()


def test_without_any_nobody_is_let_in(many: Many) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = Descriptors(hard, ListAlarms())
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with suppress(OSError):
            many.take(10_000)
        assert spare.scarce()
    finally:
        many.give_back()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    spare.close()


def test_the_limit_is_raised_as_far_as_it_goes() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        assert raise_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(256, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Port:
    """Where somebody waits, and accept(2) gives nobody while ``fails``."""

    connected = True

    def __init__(self) -> None:
        self.sessionno = 0
        self.fails = False
        self.reading = True

    def doRead(self) -> None:
        self.sessionno += not self.fails

    def startReading(self) -> None:
        self.reading = True

    def stopReading(self) -> None:
        self.reading = False


def test_a_port_that_gives_no_connection_rests() -> None:
    clock, port = Clock(), Port()
    rest_when_nothing_comes(port, clock)
    port.doRead()
    assert port.reading
    port.fails = True
    port.doRead()
    assert not port.reading
    clock.advance(REST)
    assert port.reading


def test_a_port_that_was_closed_meanwhile_stays_so() -> None:
    clock, port = Clock(), Port()
    rest_when_nothing_comes(port, clock)
    port.fails = True
    port.doRead()
    port.connected = False
    clock.advance(REST)
    assert not port.reading
