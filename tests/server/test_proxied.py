"""Behind a proxy, the client is the client: in limits, policy, log and Received."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.protocols.haproxy._v2parser import V2Parser

from mailstack.server.connections import Connections
from mailstack.server.proxied import ANNOUNCEMENT, ProxiedFactory
from mailstack.server.smtp import Listening, SmtpFactory
from tests.intake.office import Office
from tests.server.wire import Wire

PROXY = "127.0.0.1"
HEADER = b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 25\r\n"
V2_HEADER = V2Parser.PREFIX + b"\x21\x11\x00\x0c" + bytes([203, 0, 113, 9, 192, 0, 2, 1]) + b"\xc3\x50\x00\x19"
GREETING = b"220 mail.office.test ESMTP mailstack\r\n"


class Service:
    def __init__(self, tls: Any = None, submission: bool = False) -> None:
        self.clock = Clock()
        self.office = Office()
        self.connections = Connections(10, 1)
        self.peers: list[str] = []
        listening = Listening(lambda peer: self._receive(peer, submission), 300.0, 60.0, tls)
        self.factory = ProxiedFactory(SmtpFactory(self.clock, self.connections, listening), self.clock)

    def _receive(self, peer: Any, submission: bool) -> Any:
        self.peers.append(peer.address)
        return self.office.reception(peer.address, submission=submission, loopback=peer.loopback)

    def connect(self) -> Wire:
        return Wire(self.factory.buildProtocol(None), PROXY)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.mark.parametrize("header", [HEADER, V2_HEADER])
def test_nothing_is_said_before_the_client_is_known(service: Service, header: bytes) -> None:
    wire = service.connect()
    assert wire.said == b""
    assert wire.send(header) == GREETING
    assert service.peers == ["203.0.113.9"]
    assert wire.send(b"HELO a\r\nQUIT\r\n").endswith(b"closing, good bye\r\n")
    wire.lose()
    assert not len(service.connections)
    assert not service.clock.getDelayedCalls()


def test_header_and_commands_in_one_segment(service: Service) -> None:
    assert service.connect().send(HEADER + b"HELO a\r\n") == GREETING + b"250 mail.office.test greets a\r\n"


def test_trust_in_the_proxy_is_not_trust_in_its_clients() -> None:
    """No password in plain, although the proxy is on loopback."""
    service = Service(submission=True)
    wire = service.connect()
    wire.send(HEADER)
    assert b"AUTH" not in wire.send(b"EHLO a\r\n")
    assert wire.send(b"AUTH PLAIN AGFsaWNlAHNlc2FtZQ==\r\n").startswith(b"538 5.7.11 ")


def test_limits_are_for_each_client(service: Service) -> None:
    first, second, third = service.connect(), service.connect(), service.connect()
    assert first.send(HEADER) == GREETING
    assert second.send(HEADER.replace(b"113.9", b"113.10")) == GREETING
    assert third.send(HEADER).startswith(b"421 4.7.0 ")


def test_starttls_through_a_proxy() -> None:
    """The handshake reaches the conversation, or nobody could log in."""
    service = Service(tls=object(), submission=True)
    wire = service.connect()
    wire.send(HEADER + b"EHLO a\r\n")
    wire.send(b"STARTTLS\r\n")
    assert wire.tls is not None
    wire.shake_hands()
    assert b"AUTH PLAIN LOGIN" in wire.send(b"EHLO a\r\n")


@pytest.mark.parametrize(
    "said",
    [
        b"EHLO a\r\n",
        b"PROXY nonsense\r\n",
        b"\r\n",
        b"PROXY TCP4 nonsense 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 a\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.1 x y\r\n",
    ],
)
def test_who_is_no_proxy_gets_no_word(service: Service, said: bytes) -> None:
    wire = service.connect()
    assert wire.send(said) == b""
    assert wire.disconnecting or wire.aborted
    wire.lose(ConnectionLost())
    assert not service.peers
    assert not service.clock.getDelayedCalls()


def test_proxy_that_is_silent(service: Service) -> None:
    wire = service.connect()
    service.clock.advance(ANNOUNCEMENT)
    assert wire.aborted
    assert not service.peers
    assert not service.clock.getDelayedCalls()
