"""Ports as a service: bound early, told clearly when they can't be, closed in order."""

from __future__ import annotations

import errno
from socket import AF_INET, AF_INET6, AF_UNIX, IPPROTO_TCP, TCP_NODELAY
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorTCP, IReactorTime
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import Clock
from zope.interface import implementer

from mailstack.server.connections import Connections, Peer
from mailstack.server.ports import GRACE, CannotListen, Port, Ports, let_answers_leave
from mailstack.server.proxied import Gate, ProxiedFactory
from tests.fakes import ListCounts, ListLog


@define
class Listening:
    port: int
    factory: Any
    closed: bool = False

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", self.port)

    def stopListening(self) -> None:
        self.closed = True


@implementer(IReactorTCP, IReactorTime)
class Reactor(Clock):
    """``taken`` are the ports that somebody else has, ``forbidden`` those for which we are not root."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: set[int] = set()
        self.bound: list[Listening] = []

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Listening:
        if port in self.taken:
            raise CannotListenError(interface, port, OSError(errno.EADDRINUSE, "Address already in use"))
        listening = Listening(port, factory)
        self.bound.append(listening)
        return listening

    def connectTCP(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


@define(eq=False)
class Busy:
    """A session that stops only when it is made to."""

    connections: Connections
    peer: Peer = field(factory=lambda: Peer("192.0.2.7", False))
    told: list[str] = field(factory=list)

    def stop(self) -> None:
        self.told.append("stop")

    def abort(self) -> None:
        self.told.append("abort")
        self.connections.leave(self)


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


def ports(reactor: Reactor, *endpoints: str, connections: Connections | None = None) -> Ports:
    factory = ServerFactory()
    listed = [Port("listen", endpoint, factory) for endpoint in endpoints]
    gate = Gate((), reactor, ListLog())
    return Ports("smtp", listed, connections or Connections(10, 10, ListCounts()), gate, reactor)


def test_ports_are_bound_while_we_are_root(reactor: Reactor) -> None:
    """privilegedStartService comes before twistd gives up its rights."""
    service = ports(reactor, "tcp:25", "tcp:26:interface=127.0.0.1")
    service.privilegedStartService()
    assert [each.port for each in reactor.bound] == [25, 26]
    service.startService()
    assert len(reactor.bound) == 2


def test_no_ports_are_no_service(reactor: Reactor) -> None:
    service = ports(reactor)
    service.privilegedStartService()
    service.startService()
    assert service.stopService().called


def test_busy_port(reactor: Reactor) -> None:
    """One line: which key of mail.ini, and why."""
    reactor.taken.add(25)
    with pytest.raises(CannotListen, match=r"^\[smtp\] listen = tcp:25: Address already in use$"):
        ports(reactor, "tcp:25").privilegedStartService()


@pytest.mark.parametrize("endpoint", ["", "tcp", "tcp:port", "nonsense:25", "tcp:25:colour=red", "ssl:25"])
def test_endpoint_that_is_none(reactor: Reactor, endpoint: str) -> None:
    """Whatever the parser of an endpoint does with it."""
    with pytest.raises(CannotListen, match=r"^\[smtp\] listen = "):
        ports(reactor, endpoint).privilegedStartService()


def stopped(service: Ports) -> list[None]:
    done: list[None] = []
    service.stopService().addCallback(done.append)
    return done


def test_stop_closes_the_ports_first(reactor: Reactor) -> None:
    """Nobody comes in any more while the others finish."""
    connections = Connections(10, 10, ListCounts())
    session = Busy(connections)
    connections.enter(session)
    service = ports(reactor, "tcp:25", connections=connections)
    service.privilegedStartService()
    service.startService()
    done = stopped(service)
    assert reactor.bound[0].closed
    assert session.told == ["stop"]
    assert not done
    connections.leave(session)
    assert done == [None]
    assert not reactor.getDelayedCalls()


def test_stop_does_not_wait_for_ever(reactor: Reactor) -> None:
    connections = Connections(10, 10, ListCounts())
    session = Busy(connections)
    connections.enter(session)
    service = ports(reactor, "tcp:25", connections=connections)
    service.privilegedStartService()
    done = stopped(service)
    reactor.advance(GRACE)
    assert session.told == ["stop", "abort"]
    assert done == [None]
    assert not reactor.getDelayedCalls()


def test_port_that_closes_later(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket of the file system, for one."""
    closing: Deferred[None] = Deferred()
    monkeypatch.setattr(Listening, "stopListening", lambda self: closing)
    service = ports(reactor, "tcp:25")
    service.privilegedStartService()
    done = stopped(service)
    assert not done
    closing.callback(None)
    assert done == [None]


def test_haproxy_is_ours(reactor: Reactor) -> None:
    """Twisted's own would greet before it knows whom."""
    ports(reactor, "haproxy:tcp:25:interface=127.0.0.1").privilegedStartService()
    (bound,) = reactor.bound
    assert bound.port == 25
    assert isinstance(bound.factory, ProxiedFactory)


@define
class Socket:
    family: int
    options: list[tuple[int, int, int]] = field(factory=list)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.options.append((level, option, value))


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_answers_do_not_wait_for_the_next_one(family: int) -> None:
    """A connection has it from the socket that it came by."""
    listening = Socket(family)
    let_answers_leave(listening)
    assert listening.options == [(IPPROTO_TCP, TCP_NODELAY, True)]


def test_unix_sockets_have_no_such_option() -> None:
    listening = Socket(AF_UNIX)
    let_answers_leave(listening)
    assert not listening.options
