"""Behind a proxy, the client is the client: in limits, policy, log and Received."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.protocols.haproxy._v2parser import V2Parser

from mailstack.config.settings import LOOPBACK, Network
from mailstack.server.connections import LOCAL, Connections
from mailstack.server.proxied import ANNOUNCEMENT, QUIET, Gate, ProxiedFactory
from mailstack.server.smtp import Listening, SmtpFactory
from tests.fakes import ListCounts
from tests.intake.office import NEIGHBOUR, Office
from tests.server.recordings import ListSessions
from tests.server.wire import Wire

PROXY = "127.0.0.1"
HEADER = b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 25\r\n"
V2_HEADER = V2Parser.PREFIX + b"\x21\x11\x00\x0c" + bytes([203, 0, 113, 9, 192, 0, 2, 1]) + b"\xc3\x50\x00\x19"
GREETING = b"220 mail.office.test ESMTP mailstack\r\n"


class Service:
    def __init__(
        self, tls: Any = None, submission: bool = False, proxies: tuple[Network, ...] = LOOPBACK, per_client: int = 1
    ) -> None:
        self.clock = Clock()
        self.office = Office()
        self.connections = Connections(10, per_client, ListCounts())
        self.peers: list[str] = []
        sessions = ListSessions(self.clock)
        listening = Listening(
            lambda peer: self._receive(peer, submission), 300.0, 60.0, tls, 500.0, lambda peer: 0.0, sessions
        )
        gate = Gate(proxies, self.clock, self.office.log)
        self.factory = ProxiedFactory(SmtpFactory(self.clock, self.connections, listening), self.clock, gate)

    def _receive(self, peer: Any, submission: bool) -> Any:
        self.peers.append(peer.address)
        return self.office.reception(peer.address, submission=submission, loopback=peer.loopback)

    def connect(self, proxy: str = PROXY) -> Wire:
        return Wire(self.factory.buildProtocol(None), proxy)

    @property
    def complaints(self) -> list[object]:
        return [fields["what"] for _, fields in self.office.log.warnings]


@pytest.fixture
def service() -> Service:
    return Service()


def bytewise(wire: Wire, data: bytes) -> bytes:
    return b"".join(wire.send(data[at : at + 1]) for at in range(len(data)))


@pytest.mark.parametrize("header", [HEADER, V2_HEADER])
@pytest.mark.parametrize("send", [Wire.send, bytewise])
def test_nothing_is_said_before_the_client_is_known(service: Service, header: bytes, send: Any) -> None:
    """However the header is cut."""
    wire = service.connect()
    assert wire.said == b""
    assert send(wire, header) == GREETING
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


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", V2Parser.PREFIX + b"\x20\x00\x00\x00"])
def test_proxy_that_speaks_for_itself(service: Service, header: bytes) -> None:
    """A health check: the client is the proxy."""
    assert service.connect().send(header) == GREETING
    assert service.peers == [PROXY]


def test_ipv6_client(service: Service) -> None:
    service.connect().send(b"PROXY TCP6 2001:db8:0::9 2001:db8::1 50000 25\r\n")
    assert service.peers == ["2001:db8::9"]


def test_ipv4_client_of_an_ipv6_proxy(service: Service) -> None:
    """As rules and limits know it."""
    service.connect().send(b"PROXY TCP6 ::ffff:203.0.113.9 2001:db8::1 50000 25\r\n")
    assert service.peers == ["203.0.113.9"]


def test_networks_that_may_relay_are_those_of_the_client() -> None:
    """The proxy's own address is in [relay] networks, the client's is not; and the other way round."""
    service = Service(proxies=(ip_network("198.51.100.0/24"),), per_client=10)
    commands = b"HELO a\r\nMAIL FROM:<friend@far.test>\r\nRCPT TO:<victim@far.test>\r\n"
    assert service.connect(NEIGHBOUR).send(HEADER + commands).endswith(b"550 5.7.1 Relaying denied\r\n")
    rejected = service.office.log.events[-1][1]["what"]
    assert "RCPT from unknown[203.0.113.9]" in str(rejected)
    header = HEADER.replace(b"203.0.113.9", NEIGHBOUR.encode())
    assert service.connect(NEIGHBOUR).send(header + commands).endswith(b"250 2.1.5 Ok\r\n")


def test_half_close_through_a_proxy(service: Service) -> None:
    """``printf … | nc``: the client has said all, and listens."""
    wire = service.connect()
    wire.send(HEADER + b"HELO a\r\n")
    wire.protocol.readConnectionLost()  # type: ignore[attr-defined]
    assert wire.disconnecting


# ---- Who is no proxy


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"EHLO a\r\n", "it does not begin with a PROXY header"),
        (b"\x16\x03\x01", "it does not begin with a PROXY header"),
        (b"PROXY nonsense\r\n", "a header in a wrong form"),
        (b"PROXY TCP4 " + b"1" * 200, "a header of more than 107 octets"),
        (V2Parser.PREFIX + b"\x21\x11\xff\xff", "a header of more than 4096 octets"),
    ],
)
@pytest.mark.parametrize("send", [Wire.send, bytewise])
def test_who_is_no_proxy_gets_no_word(service: Service, said: bytes, reason: str, send: Any) -> None:
    wire = service.connect()
    assert send(wire, said) == b""
    assert wire.aborted
    assert not service.peers
    assert not service.clock.getDelayedCalls()
    assert service.complaints == [f"cut 127.0.0.1: {reason}"]


def test_proxy_that_is_silent(service: Service) -> None:
    wire = service.connect()
    wire.send(b"PROXY TCP4")
    service.clock.advance(ANNOUNCEMENT)
    assert wire.aborted
    assert not service.peers
    assert not service.clock.getDelayedCalls()
    assert service.complaints == ["cut 127.0.0.1: no PROXY header within 10 s"]


def test_proxy_that_only_looks_whether_the_port_is_open(service: Service) -> None:
    """A health check without a word is nothing to log."""
    service.connect().lose(ConnectionLost())
    assert not service.clock.getDelayedCalls()
    assert not service.complaints


def test_who_is_not_listed_names_nobody(service: Service) -> None:
    """It is cut before it has said a word."""
    wire = service.connect("192.0.2.99")
    assert wire.aborted
    assert wire.send(HEADER) == b""
    assert not service.peers
    assert service.complaints == ["cut 192.0.2.99: it is not in [server] proxies"]


def test_thousands_make_a_line_a_minute(service: Service) -> None:
    for _ in range(1000):
        service.connect("192.0.2.99")
    assert len(service.complaints) == 1
    service.clock.advance(QUIET)
    service.connect("192.0.2.98")
    assert service.complaints[1:] == [
        "cut 192.0.2.98: it is not in [server] proxies; and 999 others since this was said last"
    ]


def test_unix_socket_needs_no_list(service: Service) -> None:
    """Its file says who may use it."""
    assert Gate((), service.clock, service.office.log).listed(LOCAL)
