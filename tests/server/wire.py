"""A client's end of a connection, in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

BUFFER = 64 * 1024  # octets that the kernel and Twisted take before the producer is paused


def clock_of(protocol: Any) -> Clock:
    """The clock of a conversation, also of one behind a proxy's header."""
    clock: Clock = protocol.clock if hasattr(protocol, "clock") else protocol.factory.clock
    return clock


class Handle:
    """What OpenSSL tells of a connection."""

    def get_protocol_version_name(self) -> str:
        return "TLSv1.3"

    def get_cipher_name(self) -> str:
        return "TLS_AES_256_GCM_SHA384"


class Wire(StringTransport):
    """``said`` is what the client has read. A ``slow`` client reads only when :meth:`read` is called."""

    def __init__(self, protocol: IProtocol, address: str = "192.0.2.7", slow: bool = False) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", address, 50000))
        self.protocol = protocol
        self.slow = slow
        self.said = b""
        self.most = 0  #: octets that ever waited for the client
        self.tls: Any = None
        self.aborted = False
        protocol.makeConnection(self)
        self.read()

    def write(self, data: bytes) -> None:
        super().write(data)
        self.most = max(self.most, len(self.value()))
        if self.slow and len(self.value()) > BUFFER and self.producer is not None:
            self.producer.pauseProducing()

    def send(self, data: bytes) -> bytes:
        """What the server says then."""
        self.protocol.dataReceived(data)
        self.turn()
        return b"" if self.slow else self.read()

    def turn(self) -> None:
        """One round of the reactor, in which answers leave."""
        clock_of(self.protocol).advance(0)

    def read(self) -> bytes:
        self.turn()
        said = self.value()
        self.clear()
        self.said += said
        if self.slow and self.producer is not None:
            self.producer.resumeProducing()
            self.turn()
        return said

    def startTLS(self, context: Any, normal: bool = True) -> None:
        self.tls = context

    def shake_hands(self) -> None:
        """TLS is up."""
        self.protocol.handshakeCompleted()  # type: ignore[attr-defined]

    def getHandle(self) -> Handle:
        return Handle()

    def abortConnection(self) -> None:
        self.aborted = True
        self.lose(ConnectionLost())

    def lose(self, reason: Exception | None = None) -> None:
        """The connection is gone."""
        if self.connected:
            self.connected = False
            self.protocol.connectionLost(Failure(reason or ConnectionDone()))
