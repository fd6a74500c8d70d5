"""The ports of one service, as a Twisted service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from socket import AF_INET, AF_INET6, IPPROTO_TCP, TCP_NODELAY
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet import tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTime
from twisted.python.failure import Failure

from mailstack.server.connections import Connections
from mailstack.server.proxied import PREFIX, Gate, ProxiedFactory

#: Seconds that open sessions get to end when the server stops.
GRACE = 3.0
REST = 0.1  # seconds until a port that gave no connection is looked at again
BACKLOG = 1024  # connections that wait to be accepted; the kernel's net.core.somaxconn may allow fewer


class CannotListen(OSError):
    """A port is taken or not allowed; the message is one clear line."""


@frozen
class Port:
    """A Twisted endpoint string, the key of mail.ini that it comes from, and what speaks there."""

    key: str
    endpoint: str
    factory: IProtocolFactory


class Ports(Service):
    """Binds while we still are root; at the end lets the open sessions finish what they are at."""

    def __init__(self, name: str, ports: Sequence[Port], connections: Connections, gate: Gate, reactor: Any) -> None:
        """``gate`` is for ``haproxy:`` endpoints."""
        self.name = name
        self._ports = ports
        self._connections = connections
        self._gate = gate
        self._reactor = reactor
        self._listening: list[IListeningPort] = []

    def privilegedStartService(self) -> None:
        """CannotListen when a port can't be had."""
        Service.privilegedStartService(self)
        for port in self._ports:
            self._listening.append(self._bind(port))

    def addresses(self) -> Sequence[tuple[str, int]]:
        """IP addresses and ports where we listen; 0.0.0.0 and :: are all of this machine's."""
        hosts = [port.getHost() for port in self._listening]
        return [(host.host, host.port) for host in hosts if isinstance(host, IPv4Address | IPv6Address)]

    def _bind(self, port: Port) -> IListeningPort:
        results: list[IListeningPort | Failure] = []
        try:
            self._listen(port).addBoth(results.append)
        except Exception as error:
            # A parser of a plugin may raise anything at a string that it does not like.
            raise CannotListen(f"[{self.name}] {port.key} = {port.endpoint}: {error}") from error
        if not results or isinstance(results[0], Failure):
            raise CannotListen(f"[{self.name}] {port.key} = {port.endpoint}: {_reason(results)}")
        if isinstance(results[0], tcp.Port):
            _lengthen_backlog(results[0])
            let_answers_leave(results[0].socket)
            rest_when_nothing_comes(results[0], self._reactor)
        return results[0]

    def _listen(self, port: Port) -> Deferred[IListeningPort]:
        endpoint, factory = port.endpoint, port.factory
        if endpoint.startswith(PREFIX):
            endpoint, factory = endpoint.removeprefix(PREFIX), ProxiedFactory(factory, self._reactor, self._gate)
        listening: Deferred[IListeningPort] = serverFromString(self._reactor, endpoint).listen(factory)
        return listening

    def stopService(self) -> Deferred[None]:
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await gatherResults([_closed(port) for port in self._listening])
        self._listening.clear()
        sessions = Deferred.fromCoroutine(self._connections.stop())
        sessions.addTimeout(GRACE, self._reactor)
        sessions.addErrback(lambda _: self._connections.abort())
        await sessions


def _lengthen_backlog(port: Any) -> None:
    """Endpoint strings have 50 unless they say otherwise, too few for a burst of clients."""
    if port.backlog < BACKLOG:
        port.socket.listen(BACKLOG)


def let_answers_leave(listening: Any) -> None:  # Any: a socket
    """At once, and not with the next one (TCP_NODELAY). Each connection has this from the socket that it came by."""
    if listening.family in (AF_INET, AF_INET6):
        listening.setsockopt(IPPROTO_TCP, TCP_NODELAY, True)


def rest_when_nothing_comes(port: Any, clock: IReactorTime) -> None:  # Any: tcp.Port, whose methods have no types
    """The system says that somebody waits, and accept(2) fails: without descriptors (ENFILE), or memory. It would say
    so again at once, and the reactor do nothing else."""
    accept: Callable[[], None] = port.doRead

    def wake() -> None:
        if port.connected:
            port.startReading()

    def read() -> None:
        before = port.sessionno
        accept()
        if port.sessionno == before and port.connected:
            port.stopReading()
            clock.callLater(REST, wake)

    port.doRead = read  # endpoint strings choose the class


def _closed(port: IListeningPort) -> Deferred[None]:
    closed = port.stopListening()
    return closed if isinstance(closed, Deferred) else succeed(None)


def _reason(results: Sequence[object]) -> str:
    if not results:
        return "this kind of endpoint does not bind at once, so it cannot be used here"
    failure = results[0]
    error = failure.value if isinstance(failure, Failure) else failure
    cause = error.socketError if isinstance(error, CannotListenError) else error
    reason: str = getattr(cause, "strerror", None) or str(cause)
    return reason
