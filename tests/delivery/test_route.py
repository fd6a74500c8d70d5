"""Which next hop a domain has."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from mailstack.config.settings import MX, Route, Smarthost
from mailstack.delivery.route import destination, next_hop
from tests.delivery.some_settings import settings

ROUTES = (
    ("example.com", Route("smtp", "exact")),
    (".example.com", Route("smtp", "suffix")),
    (".deep.example.com", Route("smtp", "deeper")),
    ("*", Route("smtp", "rest")),
)


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        ("example.com", "exact"),
        ("www.example.com", "suffix"),
        ("a.b.example.com", "suffix"),
        ("x.deep.example.com", "deeper"),
        ("deep.example.com", "suffix"),
        ("notexample.com", "rest"),
        ("com", "rest"),
    ],
)
def test_most_exact_route(domain: str, host: str) -> None:
    assert settings(*ROUTES).route(domain).host == host


def test_what_is_fetched_goes_nowhere() -> None:
    found = next_hop(settings(("away.test", Route("fetch"))), "away.test")
    assert (found.key, found.host, found.exchangers) == ("fetch", "", False)


def test_mx_by_default() -> None:
    assert settings().route("example.com") == MX


def test_our_own_domains_are_one_destination() -> None:
    """Whatever [routes] say of them."""
    made = settings(("*", Route("smtp", "hop.test")))
    assert destination(made, "office.test") == "local"
    assert destination(made, "example.com") == next_hop(made, "example.com").key


@pytest.mark.parametrize(
    ("found", "key", "host", "exchangers"),
    [
        (Route("mx"), "mx:example.com", "example.com", True),
        (Route("smtp", "192.0.2.1", 2525, literal=True), "smtp:[192.0.2.1]:2525", "192.0.2.1", False),
        (Route("smtp", "relay.test"), "smtp:relay.test:25", "relay.test", True),
        (Route("lmtp", "store.test", 24), "lmtp:store.test:24", "store.test", False),
        (Route("lmtp", "/run/lmtp"), "lmtp:unix:/run/lmtp", "/run/lmtp", False),
    ],
)
def test_next_hop(found: Route, key: str, host: str, exchangers: bool) -> None:
    hop = next_hop(settings(("*", found)), "example.com")
    assert (hop.key, hop.host, hop.exchangers) == (key, host, exchangers)
    assert hop.lmtp == (found.kind == "lmtp")
    assert hop.username == ""


@pytest.mark.parametrize(("host", "exchangers"), [("[smart.test]", False), ("smart.test", True)])
def test_smarthost(host: str, exchangers: bool) -> None:
    smarthost = Smarthost(host, 587, "user", Path("/secret"), "required")
    hop = next_hop(settings(("*", Route("smarthost")), smarthost=smarthost), "example.com")
    assert (hop.key, hop.host, hop.port, hop.exchangers) == ("smarthost", "smart.test", 587, exchangers)
    assert (hop.username, hop.password_file, hop.tls) == ("user", Path("/secret"), "required")


@pytest.mark.parametrize(("domain", "host"), [("[192.0.2.1]", "192.0.2.1"), ("[ipv6:2001:db8::1]", "2001:db8::1")])
def test_address_literal(domain: str, host: str) -> None:
    """RFC 5321 §4.1.3: no DNS."""
    hop = next_hop(settings(), domain)
    assert (hop.host, hop.exchangers) == (host, False)


@pytest.mark.parametrize(
    "found", [Route("mx"), Route("smtp", "hop.test"), Route("lmtp", "hop.test", 24, literal=True)], ids=lambda r: r.kind
)
def test_tls_of_a_route(found: Route) -> None:
    """Two routes to one server, one with TLS and one without, are two destinations: they share no session."""
    plain = next_hop(settings(("*", found)), "example.com")
    secure = next_hop(settings(("*", evolve(found, tls="required"))), "example.com")
    assert (plain.tls, secure.tls) == ("opportunistic", "required")
    assert (plain.key == secure.key) == (found.kind == "mx"), "a domain has one route"


def test_who_chooses_the_host() -> None:
    """Mail.ini, or whoever writes an address."""
    assert not next_hop(settings(), "example.com").named
    assert not next_hop(settings(), "[192.0.2.1]").named
    assert next_hop(settings(("*", Route("smtp", "hop.test"))), "example.com").named
