"""Whom a next hop leads to: the order of the servers, and who is none."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from mailstack.config.settings import Route
from mailstack.delivery.hosts import MAX_OF_NAME, Found, Hosts
from mailstack.delivery.ip import Here
from mailstack.delivery.route import next_hop
from mailstack.model.reply import Reply
from tests.delivery.memory_dns import MemoryResolver, Zone, run
from tests.delivery.some_settings import settings

OURS = "198.51.100.7"
NO_IPV6 = Here(tuple, lambda address: None if ":" in address else OURS)
HERE = Here(lambda: [("0.0.0.0", 25), ("0.0.0.0", 2525)], lambda address: OURS if address == OURS else "192.0.2.254")

ZONE: Zone = {
    ("good.test", "MX"): ["10 mx.good.test.", "20 backup.good.test."],
    ("mx.good.test", "A"): ["192.0.2.1", "192.0.2.2"],
    ("mx.good.test", "AAAA"): ["2001:db8::1", "2001:db8::2"],
    ("backup.good.test", "A"): ["192.0.2.3"],
    ("self.test", "MX"): ["10 mx.office.test."],
    ("null.test", "MX"): ["0 ."],
    ("large.test", "A"): [f"192.0.2.{n}" for n in range(10)],
    ("evil.test", "MX"): ["10 mx.evil.test."],
    ("mx.evil.test", "A"): ["127.0.0.1"],
    ("half.test", "MX"): ["10 mx.evil.test.", "10 mx.good.test."],
    ("local.test", "MX"): ["10 localhost."],
    ("literal.test", "MX"): ["10 127.0.0.1."],
    ("odd.test", "MX"): ["10 a\\000b.test.", "20 " + "x" * 63 + "[192.0.2.1]:25."],
    ("round.test", "MX"): ["5 mx.good.test.", "10 other.name.test.", "10 backup.good.test.", "20 large.test."],
    ("other.name.test", "A"): [OURS],
    ("ours.test", "A"): [OURS],
    ("crowd.test", "MX"): [f"{n % 7} mx{n}.crowd.test." for n in range(10_000)],
    ("alias.test", "CNAME"): ["good.test."],
    ("by-alias.test", "MX"): ["10 mx-alias.test."],
    ("mx-alias.test", "CNAME"): ["mx.good.test."],
    ("lost.test", "MX"): ["10 a.loop.test."],
    ("a.loop.test", "CNAME"): ["b.loop.test."],
    ("b.loop.test", "CNAME"): ["a.loop.test."],
}


def found(domain: str, here: Here = HERE, route: Route | None = None) -> list[Found] | Reply:
    """All ranks, one after the other, up to ourselves."""
    hosts = Hosts(MemoryResolver(ZONE, ["broken.test"]), "mx.office.test", Random(1), here)
    hop = next_hop(settings(("*", route or Route("mx"))), domain)
    ranks = run(hosts.names(hop))
    if isinstance(ranks, Reply):
        return ranks
    steps = []
    for names in ranks:
        steps.append(run(hosts.of(hop, names, alone=len(ranks) == 1)))
        if steps[-1].ourselves:
            break
    return steps


def addresses(steps: list[Found] | Reply) -> list[str]:
    assert not isinstance(steps, Reply)
    return [host.address for step in steps for host in step.hosts]


def refusals(steps: list[Found] | Reply) -> Sequence[Reply]:
    return [steps] if isinstance(steps, Reply) else [reply for step in steps for reply in step.refusals]


def test_families_take_turns() -> None:
    """IPv6 first; no more than three of a name, so the five that are called are not all of one server."""
    steps = found("good.test")
    assert addresses(steps) == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.3"]
    assert refusals(steps) == []


def test_all_addresses_of_a_lone_name() -> None:
    assert len(addresses(found("large.test"))) == 10 > MAX_OF_NAME


def test_machine_without_ipv6() -> None:
    """What cannot be reached is not called, and does not count among those that were."""
    steps = found("good.test", NO_IPV6)
    assert addresses(steps) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert [(reply.code, reply.status) for reply in refusals(steps)] == [(451, "4.4.1")] * 2


def test_aliases() -> None:
    """A domain that is one, and the name in an MX record (RFC 2181 §10.3 forbids it, many have it)."""
    assert addresses(found("alias.test")) == addresses(found("good.test"))
    assert "192.0.2.1" in addresses(found("by-alias.test"))
    assert [reply.status for reply in refusals(found("lost.test"))] == ["4.4.3"]


@pytest.mark.parametrize(
    "domain", ["evil.test", "local.test", "[127.0.0.1]", "[ipv6:::1]", "[0.0.0.0]", "[ipv6:::ffff:127.0.0.1]"]
)
def test_no_stranger_leads_us_to_our_loopback(domain: str) -> None:
    """Where services listen that trust whoever calls from here."""
    steps = found(domain, Here(tuple, lambda address: OURS))
    assert addresses(steps) == []
    assert {(reply.code, reply.status) for reply in refusals(steps)} == {(550, "5.4.4")}


@pytest.mark.parametrize("domain", ["[127.0.0.1]", "local.test", "evil.test"])
def test_loopback_where_we_listen_ourselves(domain: str) -> None:
    steps = found(domain)
    assert addresses(steps) == []
    assert [(reply.code, reply.status) for reply in refusals(steps)] == [(554, "5.4.6")]


def test_others_of_the_same_preference_are_left() -> None:
    steps = found("half.test", Here(tuple, lambda address: OURS))
    assert len(addresses(steps)) == MAX_OF_NAME
    assert [reply.status for reply in refusals(steps)] == ["5.4.4"]


def test_mail_ini_may_lead_to_loopback() -> None:
    """A content filter, a store: who writes it there knows."""
    assert addresses(found("x.test", route=Route("smtp", "127.0.0.1", 10025, literal=True))) == ["127.0.0.1"]
    assert addresses(found("x.test", route=Route("smtp", "localhost", 10025))) == ["::1", "127.0.0.1"]
    assert addresses(found("x.test", route=Route("smtp", "evil.test", 10025))) == ["127.0.0.1"]


@pytest.mark.parametrize("domain", ["literal.test", "odd.test"])
def test_names_that_are_none(domain: str) -> None:
    """An address is no name, and what could be taken for something else in the log is no host."""
    steps = found(domain)
    assert isinstance(steps, Reply)
    assert (steps.code, steps.status) == (550, "5.4.4")


@pytest.mark.parametrize("domain", ["[999.1.1.1]", "[good.test]", "[ipv6:nonsense]", "[x:y]"])
def test_literals_that_are_none(domain: str) -> None:
    """DNS is not asked."""
    steps = found(domain)
    assert addresses(steps) == []
    assert [(reply.code, reply.status) for reply in refusals(steps)] == [(550, "5.1.2")]


def test_ourselves_under_another_name() -> None:
    """Only better ones are called; not our equals, nor those behind: RFC 5321 §5.1."""
    steps = found("round.test")
    assert set(addresses(steps)) == {"2001:db8::1", "2001:db8::2", "192.0.2.1"}
    assert not isinstance(steps, Reply) and steps[-1].ourselves
    assert [(reply.code, reply.status) for reply in refusals(steps)] == [(554, "5.4.6")]
    assert "other.name.test" in refusals(steps)[0].text


def test_ourselves_without_mx() -> None:
    assert [reply.status for reply in refusals(found("ours.test"))] == ["5.4.6"]


def test_another_server_on_this_machine() -> None:
    """At an address where we do not listen."""
    here = Here(lambda: [("198.51.100.8", 25)], lambda address: OURS)
    assert addresses(found("ours.test", here)) == [OURS]


@pytest.mark.parametrize("host", ["127.0.0.1", OURS])
def test_route_back_to_ourselves_is_a_mistake_in_mail_ini(host: str) -> None:
    """Mail waits until it is mended."""
    steps = found("x.test", route=Route("smtp", host, 2525, literal=True))
    assert addresses(steps) == []
    assert [(reply.code, reply.status) for reply in refusals(steps)] == [(451, "4.4.6")]


@pytest.mark.parametrize(
    ("host", "status"),
    [("missing.test", "4.1.2"), ("self.test", "4.4.6"), ("odd.test", "4.4.4"), ("null.test", "4.1.10")],
)
def test_route_to_nowhere_is_a_mistake_in_mail_ini(host: str, status: str) -> None:
    """The domain of the recipient has nothing to do with it: mail waits."""
    reply = found("good.test", route=Route("smtp", host, 25))
    assert isinstance(reply, Reply)
    assert (reply.code, reply.status) == (451, status)
    assert host in reply.text


def test_route_to_a_host_without_an_address() -> None:
    steps = found("good.test", route=Route("lmtp", "missing.test", 24, literal=True))
    assert [(reply.code, reply.status) for reply in refusals(steps)] == [(451, "4.1.2")]


def test_ten_thousand_exchangers() -> None:
    """No more names are looked up than anybody needs."""
    steps = found("crowd.test")
    assert len(refusals(steps)) == 10


def test_socket_needs_no_look_up() -> None:
    assert addresses(found("x.test", route=Route("lmtp", "/run/lmtp", 0, literal=True))) == ["/run/lmtp"]


def test_dns_fails() -> None:
    reply = found("broken.test")
    assert isinstance(reply, Reply) and reply.status == "4.4.3"
