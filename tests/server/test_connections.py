"""Who is connected, from where, and how many more there may be."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred

from mailstack.server.connections import Connections, Peer, peer_at, peer_of
from tests.fakes import ListCounts


@define(eq=False)
class Client:
    peer: Peer
    told: list[str] = field(factory=list)

    def stop(self) -> None:
        self.told.append("stop")

    def abort(self) -> None:
        self.told.append("abort")


def test_stress_begins_above_three_quarters() -> None:
    connections = Connections(4, 4, ListCounts())
    sessions = [client("192.0.2.7") for _ in range(4)]
    for session in sessions[:3]:
        connections.enter(session)  # type: ignore[arg-type]  # it is counted, no more
    assert not connections.stressed
    connections.enter(sessions[3])  # type: ignore[arg-type]
    assert connections.stressed
    connections.leave(sessions[0])  # type: ignore[arg-type]
    assert not connections.stressed


def client(address: str) -> Client:
    return Client(peer_of(IPv4Address("TCP", address, 1)))


@pytest.mark.parametrize(
    ("address", "shown", "loopback"),
    [
        (IPv4Address("TCP", "192.0.2.7", 1), "192.0.2.7", False),
        (IPv4Address("TCP", "127.3.2.1", 1), "127.3.2.1", True),
        (IPv6Address("TCP", "2001:DB8:0::7", 1), "2001:db8::7", False),
        (IPv6Address("TCP", "::1", 1), "::1", True),
        (IPv6Address("TCP", "::ffff:192.0.2.7", 1), "192.0.2.7", False),
        (IPv6Address("TCP", "::ffff:127.0.0.1", 1), "127.0.0.1", True),
        (IPv6Address("TCP", "fe80::1%eth0", 1), "fe80::1", False),
        (UNIXAddress("/run/smtp"), "", True),
        (UNIXAddress(None), "", True),
    ],
)
def test_peer(address: Any, shown: str, loopback: bool) -> None:
    """One form for each client, or rules and limits would miss it: IPv4 in IPv6 is IPv4."""
    peer = peer_of(address)
    assert (peer.address, peer.loopback) == (shown, loopback)


def test_limits() -> None:
    """Also those that are turned away are counted, until they are gone."""
    connections = Connections(3, 2, ListCounts())
    a, b, c, d, e = (client(address) for address in ("192.0.2.1",) * 3 + ("192.0.2.2",) * 2)
    assert [connections.enter(each) for each in (a, b, c, d)] == [True, True, False, False]
    connections.leave(c)
    connections.leave(d)
    assert connections.enter(e)
    assert len(connections) == 3


def test_one_subscriber_of_ipv6_is_one_client() -> None:
    """Or every one of its 2**64 addresses could have as many connections."""
    counts = ListCounts()
    connections = Connections(9, 2, counts)
    visitors = [Client(peer_at(f"2001:db8::{number}")) for number in range(1, 4)]
    assert [connections.enter(each) for each in visitors] == [True, True, False]
    assert counts.strikes == [("connections_per_client", "2001:db8::3")]
    assert connections.enter(Client(peer_at("2001:db8:0:1::1")))
    for each in visitors:
        connections.leave(each)
    assert list(connections._clients) == ["2001:db8:0:1::/64"]


def test_proxies_may_have_more_than_one_client() -> None:
    """But not more than all together; and whom one names counts as itself from then on."""
    connections = Connections(4, 1, ListCounts(), (ip_network("192.0.2.0/30"),))
    a, b, c, d, e = (client("192.0.2.1") for _ in range(5))
    assert [connections.enter(each) for each in (a, b, c, d, e)] == [True, True, True, True, False]
    connections.leave(e)
    assert connections.recount(a, peer_at("198.51.100.1"))
    assert not connections.recount(b, peer_at("198.51.100.1"))
    assert connections.recount(c, peer_at(""))
    for each in (a, b, c, d):
        connections.leave(each)
    assert not connections._clients
    assert not len(connections)


def test_counts_do_not_grow_with_clients_that_are_gone() -> None:
    connections = Connections(3, 2, ListCounts())
    for number in range(100):
        visitor = client(f"192.0.2.{number}")
        connections.enter(visitor)
        connections.leave(visitor)
    assert not connections._clients


def stopped(connections: Connections) -> list[None]:
    done: list[None] = []
    Deferred.fromCoroutine(connections.stop()).addCallback(done.append)
    return done


def test_stop_waits_for_the_last_one() -> None:
    connections = Connections(3, 3, ListCounts())
    a, b = client("192.0.2.1"), client("192.0.2.1")
    connections.enter(a)
    connections.enter(b)
    done = stopped(connections)
    assert (a.told, b.told) == (["stop"], ["stop"])
    connections.leave(a)
    assert not done
    connections.leave(b)
    assert done == [None]
    late = client("192.0.2.2")
    connections.enter(late)
    connections.leave(late)


def test_stop_of_those_who_leave_at_once() -> None:
    """Somebody who is idle is gone as soon as he is told."""
    connections = Connections(3, 3, ListCounts())

    class Idle(Client):
        def stop(self) -> None:
            connections.leave(self)

    for _ in range(2):
        connections.enter(Idle(client("192.0.2.1").peer))
    assert stopped(connections) == [None]


def test_stop_without_anybody() -> None:
    assert stopped(Connections(3, 3, ListCounts())) == [None]


def test_abort() -> None:
    connections = Connections(3, 3, ListCounts())
    a = client("192.0.2.1")
    connections.enter(a)
    connections.abort()
    assert a.told == ["abort"]
