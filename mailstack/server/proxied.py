"""Behind a proxy the client is whom the PROXY protocol names: ``haproxy:`` endpoints."""

# Twisted's wrappers are annotated in part only.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer, providedBy

from mailstack.config.settings import Network
from mailstack.interfaces.log import IEventLog
from mailstack.model.networks import lies_in
from mailstack.protocol.proxy_header import Announced, Malformed, ProxyHeader
from mailstack.server.connections import LOCAL, Peer, peer_of

PREFIX = "haproxy:"

#: Seconds that the proxy has for its header; it comes before all else, so at once.
ANNOUNCEMENT = 10.0

QUIET = 60.0  # seconds in which the same is not logged twice


class Gate:
    """Who may name clients, and a log of whom it cut off that thousands of them cannot fill."""

    def __init__(self, proxies: Sequence[Network], clock: IReactorTime, log: IEventLog) -> None:
        self._proxies = proxies
        self._clock = clock
        self._log = log
        self._told: dict[str, float] = {}
        self._untold: Counter[str] = Counter()

    def listed(self, peer: Peer) -> bool:
        """A UNIX socket's file says itself who may use it."""
        return peer == LOCAL or lies_in(peer.address, self._proxies)

    def cut(self, peer: Peer, reason: str) -> None:
        """Log it: one line a minute for each reason, with the number of those that were not told before."""
        now = self._clock.seconds()
        if now - self._told.get(reason, -QUIET) < QUIET:
            self._untold[reason] += 1
            return
        self._told[reason] = now
        untold = self._untold.pop(reason, 0)
        others = f"; and {untold} others since this was said last" if untold else ""
        self._log.warn("proxy", what=f"cut {peer.address or 'local'}: {reason}{others}")


@implementer(IHandshakeListener, IHalfCloseableProtocol)
class Proxied(ProtocolWrapper):
    """Begins the conversation when the proxy has named the client.

    A server that speaks first would take the proxy for the client before: and a proxy is often on loopback, or in
    [relay] networks. Twisted's own wrapper does that, believes anybody, and wants the header in one piece.
    """

    factory: ProxiedFactory

    def __init__(self, factory: ProxiedFactory, wrapped: IProtocol) -> None:
        super().__init__(factory, wrapped)  # type: ignore[arg-type]  # a type parameter in Twisted 26, none in 24
        self._header: ProxyHeader | None = ProxyHeader()
        self._client: IAddress | None = None
        self._timer: IDelayedCall | None = None

    @property
    def _proxy(self) -> Peer:
        return peer_of(self.transport.getPeer())  # type: ignore[union-attr]  # there is one from makeConnection on

    def makeConnection(self, transport: Any) -> None:
        directlyProvides(self, providedBy(transport))
        Protocol.makeConnection(self, transport)
        self.factory.registerProtocol(self)
        if self.factory.gate.listed(self._proxy):
            self._timer = self.factory.clock.callLater(ANNOUNCEMENT, self._silence)
        else:
            self._cut("it is not in [server] proxies")

    def dataReceived(self, data: bytes) -> None:
        if self._header is None:
            self.wrappedProtocol.dataReceived(data)
        elif self._timer is not None:
            found = self._header.feed(data)
            if isinstance(found, Announced):
                self._begin(found)
            elif isinstance(found, Malformed):
                self._cut(found.reason)

    def _begin(self, announced: Announced) -> None:
        self._header = None
        self._stop_timer()
        if announced.client is not None:
            version = ip_address(announced.client).version
            self._client = (IPv4Address if version == 4 else IPv6Address)("TCP", announced.client, 0)
        self.wrappedProtocol.makeConnection(self)  # type: ignore[arg-type]  # it provides what the transport does
        if announced.rest:
            self.wrappedProtocol.dataReceived(announced.rest)

    def getPeer(self) -> IAddress:
        """The client; the proxy where it speaks for itself."""
        return self._client or self.transport.getPeer()  # type: ignore[union-attr]  # as above

    def _silence(self) -> None:
        self._timer = None
        self._cut(f"no PROXY header within {ANNOUNCEMENT:.0f} s")

    def _cut(self, reason: str) -> None:
        self._stop_timer()
        self.factory.gate.cut(self._proxy, reason)
        self.abortConnection()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_timer()
        if self._header is None:
            super().connectionLost(reason)
        else:
            self.factory.unregisterProtocol(self)

    def handshakeCompleted(self) -> None:
        """STARTTLS found us, and not the conversation, at the transport's end."""
        self.wrappedProtocol.handshakeCompleted()  # type: ignore[attr-defined]  # every conversation has it

    def readConnectionLost(self) -> None:
        conversation = IHalfCloseableProtocol(self.wrappedProtocol, None)
        if self._header is None and conversation is not None:
            conversation.readConnectionLost()
        else:
            self.loseConnection()

    def writeConnectionLost(self) -> None:
        """connectionLost follows."""


class ProxiedFactory(WrappingFactory):
    protocol = Proxied
    noisy = False

    def __init__(self, wrapped: IProtocolFactory, clock: IReactorTime, gate: Gate) -> None:
        super().__init__(wrapped)
        self.clock = clock
        self.gate = gate
