"""How a session is secured, for each destination and letter."""

from __future__ import annotations

from pathlib import Path

import pytest
from zope.interface.verify import verifyObject

from mailstack.config.settings import Route, Smarthost
from mailstack.delivery.policy import NAME_UNSURE, ConfiguredPolicies
from mailstack.delivery.route import next_hop
from mailstack.interfaces.delivery import Host, ITlsPolicies, Policy
from mailstack.model.reply import Reply
from tests.delivery.memory_dns import run
from tests.delivery.some_settings import NO_SMARTHOST, settings


def policy(
    route: Route, name: str = "mx.hoster.test", require_tls: bool = False, smarthost: Smarthost = NO_SMARTHOST
) -> Policy | Reply:
    hop = next_hop(settings(("*", route), smarthost=smarthost), "example.test")
    return run(ConfiguredPolicies().policy(hop, Host(name, "192.0.2.1", hop.port), require_tls))


def test_interface() -> None:
    assert verifyObject(ITlsPolicies, ConfiguredPolicies())


def test_opportunistic_by_default() -> None:
    assert policy(Route("mx")) == Policy("opportunistic", ("mx.hoster.test", "example.test"), "default")


@pytest.mark.parametrize("level", ["none", "required", "implicit"])
@pytest.mark.parametrize("kind", ["mx", "smtp", "lmtp"])
def test_route(kind: str, level: str) -> None:
    """Each kind of route may have its own."""
    found = policy(Route(kind, "" if kind == "mx" else "hop.test", 25, tls=level))
    assert isinstance(found, Policy)
    assert (found.level, found.source) == (level, "[routes]")


def test_names_of_an_mx() -> None:
    """That of the server, which most certificates have, or the domain itself."""
    found = policy(Route("mx", tls="required"))
    assert isinstance(found, Policy)
    assert found.names == ("mx.hoster.test", "example.test")


def test_password_is_for_the_host_of_mail_ini_alone() -> None:
    """Who forges DNS has a certificate for any MX of his own."""
    smarthost = Smarthost("smart.test", 587, "user", Path("/secret"), "required")
    assert policy(Route("smarthost"), smarthost=smarthost) == Policy("required", ("smart.test",), "[smarthost]")


@pytest.mark.parametrize(
    ("level", "source"), [("none", "REQUIRETLS"), ("opportunistic", "REQUIRETLS"), ("implicit", "[routes]")]
)
def test_letter_may_ask_for_more_but_not_for_less(level: str, source: str) -> None:
    found = policy(Route("smtp", "mx.hoster.test", tls=level), require_tls=True)
    expected = level if level == "implicit" else "required"
    assert found == Policy(expected, ("mx.hoster.test",), source)


def test_letter_that_requires_tls_does_not_follow_an_mx() -> None:
    assert policy(Route("mx", tls="required"), require_tls=True) == NAME_UNSURE
