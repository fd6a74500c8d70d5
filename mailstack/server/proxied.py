"""Behind a proxy the client is whom the PROXY protocol names: ``haproxy:`` endpoints."""

# Twisted's wrappers are annotated in part only.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall, IHandshakeListener, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper, HAProxyWrappingFactory
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer, providedBy

from mailstack.server.connections import peer_of

PREFIX = "haproxy:"

#: Seconds that the proxy has for its first line; it comes before all else, so at once.
ANNOUNCEMENT = 10.0


class _Early(Protocol):
    """Stands for the conversation until the client is known."""

    def __init__(self) -> None:
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data


@implementer(IHandshakeListener)
class Proxied(HAProxyProtocolWrapper):
    """Begins the conversation when the proxy has named the client.

    Twisted's own wrapper begins at once. A server that speaks first would take the proxy for the client then: and a
    proxy is often on loopback, or in [relay] networks.
    """

    factory: ProxiedFactory

    def __init__(self, factory: ProxiedFactory, wrapped: IProtocol) -> None:
        self._early = _Early()
        super().__init__(factory, self._early)  # type: ignore[arg-type]  # for the same reason
        self._conversation: Any = wrapped
        self._alarm: IDelayedCall = factory.clock.callLater(ANNOUNCEMENT, self._silence)

    def makeConnection(self, transport: Any) -> None:
        directlyProvides(self, providedBy(transport))
        Protocol.makeConnection(self, transport)
        self.factory.registerProtocol(self)

    def dataReceived(self, data: bytes) -> None:
        try:
            super().dataReceived(data)
        except Exception:
            # Twisted's parser lets through what its own checks miss; there is no client to answer yet.
            if self.wrappedProtocol is not self._early:
                raise
            self.abortConnection()
            return
        if self.wrappedProtocol is self._early and self._proxyInfo is not None:
            self._begin()

    def _begin(self) -> None:
        self._alarm.cancel()
        try:
            peer_of(self.getPeer())
        except ValueError:
            # Twisted takes any text for an address.
            self.abortConnection()
            return
        self.wrappedProtocol = self._conversation
        self._conversation.makeConnection(self)
        if self._early.data:
            self._conversation.dataReceived(self._early.data)

    def _silence(self) -> None:
        self.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._alarm.active():
            self._alarm.cancel()
        super().connectionLost(reason)

    def handshakeCompleted(self) -> None:
        """STARTTLS found us, and not the conversation, at the transport's end."""
        self._conversation.handshakeCompleted()


class ProxiedFactory(HAProxyWrappingFactory):
    protocol = Proxied  # type: ignore[assignment]  # a type parameter in Twisted 26, none in 24
    noisy = False

    def __init__(self, wrapped: IProtocolFactory, clock: IReactorTime) -> None:
        super().__init__(wrapped)
        self.clock = clock
