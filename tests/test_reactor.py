"""The reactor: what an event raises is logged and ends one connection."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from twisted.internet import error, main
from twisted.internet.posixbase import _ContinuousPolling
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

from mailstack import startup

if not sys.platform.startswith("linux"):
    pytest.skip("without epoll(7)", allow_module_level=True)

from select import EPOLLHUP, EPOLLIN, EPOLLOUT

from mailstack.reactor import Reactor


class Poller:
    """What epoll(7) would say next."""

    def __init__(self) -> None:
        self.events: list[tuple[int, int]] = []

    def poll(self, timeout: float | None, most: int) -> list[tuple[int, int]]:
        events, self.events = self.events, []
        return events

    def register(self, fd: int, flags: int) -> None:
        pass

    modify = register

    def unregister(self, fd: int) -> None:
        pass


class Quiet(Reactor):
    """Without descriptors."""

    def __init__(self) -> None:
        self._poller = Poller()
        self._reads, self._writes, self._selectables = set(), set(), {}
        self._continuousPolling = _ContinuousPolling(self)

    def on(self, *events: tuple[int, int]) -> None:
        self._poller.events = list(events)
        self.doIteration(None)


class Selectable:
    """One connection; ``read`` is what its doRead does."""

    def __init__(self, reactor: Quiet, fd: int, read: Callable[[], Any] = lambda: None) -> None:
        self.fd = fd
        self.read = read
        self.calls: list[str] = []
        self.lost: list[Failure] = []
        reactor.addReader(self)

    def fileno(self) -> int:
        return self.fd

    def doRead(self) -> Any:
        self.calls.append("read")
        return self.read()

    def doWrite(self) -> None:
        self.calls.append("write")

    def connectionLost(self, reason: Failure) -> None:
        self.lost.append(reason)


class Failing(Selectable):
    """Its end fails, too."""

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        raise ValueError("lost")


def bug() -> None:
    raise SystemExit("a bug")


@pytest.fixture
def reactor() -> Quiet:
    return Quiet()


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def test_each_is_told_what_it_can_do(reactor: Quiet) -> None:
    one, two = Selectable(reactor, 1), Selectable(reactor, 2)
    reactor.addWriter(two)
    reactor.on((1, EPOLLIN), (2, EPOLLIN | EPOLLOUT))
    assert (one.calls, two.calls) == (["read"], ["read", "write"])


def test_a_bug_ends_one_connection(reactor: Quiet, logged: list[LogEvent]) -> None:
    """Whatever it raises, it is logged, and the others of the same round are served."""
    one, two = Selectable(reactor, 1, bug), Selectable(reactor, 2)
    reactor.on((1, EPOLLIN), (2, EPOLLIN))
    assert [each.type for each in one.lost] == [SystemExit]
    assert [event["log_failure"].type for event in logged] == [SystemExit]
    assert two.calls == ["read"]
    assert reactor.getReaders() == [two]


def test_an_end_that_fails_is_logged(reactor: Quiet, logged: list[LogEvent]) -> None:
    one, two, three = Failing(reactor, 1, bug), Failing(reactor, 2), Selectable(reactor, 3)
    reactor.on((1, EPOLLIN), (2, EPOLLHUP), (3, EPOLLIN))
    assert [event["log_failure"].type for event in logged] == [SystemExit, ValueError, ValueError]
    assert len(one.lost) == len(two.lost) == 1
    assert three.calls == ["read"]


def test_who_has_nothing_more_to_say_is_let_go(reactor: Quiet, logged: list[LogEvent]) -> None:
    one = Selectable(reactor, 1, lambda: main.CONNECTION_DONE)
    two = Selectable(reactor, 2, lambda: main.CONNECTION_LOST)
    reactor.on((1, EPOLLIN), (2, EPOLLIN))
    assert one.lost[0].type is error.ConnectionDone
    assert two.lost[0].type is error.ConnectionLost
    assert not reactor.getReaders() and not logged


def test_one_that_is_gone_meanwhile_is_passed_over(reactor: Quiet, logged: list[LogEvent]) -> None:
    """The first of a round may end others that have something to read, too."""
    two = Selectable(reactor, 2)
    one = Selectable(reactor, 1, lambda: reactor.removeReader(two))
    reactor.on((1, EPOLLIN), (2, EPOLLIN))
    assert (one.calls, two.calls) == (["read"], [])
    assert not logged


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    found: list[object] = []
    monkeypatch.setattr(startup, "installReactor", found.append)
    monkeypatch.setattr("mailstack.reactor.Reactor", Quiet)
    return found


def test_it_is_used_when_nobody_chose(installed: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "twisted.internet.reactor", raising=False)
    startup.choose_reactor()
    assert [type(each) for each in installed] == [Quiet]


def test_a_choice_is_respected(installed: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """``twistd --reactor`` has it in place before our options are read."""
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", ModuleType("chosen"))
    startup.choose_reactor()
    assert not installed


def test_without_epoll_twisted_chooses(installed: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "twisted.internet.reactor", raising=False)
    monkeypatch.setitem(sys.modules, "mailstack.reactor", None)  # type: ignore[arg-type]  # how an import is refused
    startup.choose_reactor()
    assert not installed
