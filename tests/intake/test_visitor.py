"""What is known of a client."""

from __future__ import annotations

import pytest

from mailstack.intake.visitor import Visitor
from mailstack.model.address import Address
from mailstack.protocol.smtp_events import Hello, XClient

ALICE = Address("alice", "office.test")


@pytest.mark.parametrize(
    ("extended", "tls", "user", "protocol"),
    [
        (False, "", None, "SMTP"),
        (False, "TLSv1.3", ALICE, "SMTP"),
        (True, "", None, "ESMTP"),
        (True, "TLSv1.3", None, "ESMTPS"),
        (True, "", ALICE, "ESMTPA"),
        (True, "TLSv1.3", ALICE, "ESMTPSA"),
    ],
)
def test_protocol(extended: bool, tls: str, user: Address | None, protocol: str) -> None:
    """The words of RFC 3848, for Received and the log."""
    assert Visitor("192.0.2.7", False, tls, Hello("a", extended), user).protocol == protocol


def test_tls_forgets_what_was_said_in_plain() -> None:
    visitor = Visitor("192.0.2.7", False, "", Hello("a", True), ALICE)
    visitor.secured("TLSv1.3")
    assert (visitor.hello.name, visitor.user, visitor.tls) == ("", None, "TLSv1.3")


@pytest.mark.parametrize(
    ("tls", "loopback", "confidential"), [("", False, False), ("x", False, True), ("", True, True)]
)
def test_confidential(tls: str, loopback: bool, confidential: bool) -> None:
    assert Visitor("192.0.2.7", loopback, tls).confidential is confidential


@pytest.mark.parametrize(
    ("address", "loopback", "shown"),
    [
        ("192.0.2.7", False, "unknown[192.0.2.7]"),
        ("", True, "unknown[local]"),
        ("", False, "unknown[unknown]"),
    ],
)
def test_shown_as_postfix_does(address: str, loopback: bool, shown: str) -> None:
    assert str(Visitor(address, loopback)) == shown


def test_client_that_a_proxy_names_has_nothing_of_the_proxy() -> None:
    """Neither that it is on loopback, nor who is logged in, nor how it greeted."""
    visitor = Visitor("127.0.0.1", True, "", Hello("proxy", True), ALICE)
    visitor.renamed(XClient(name="far.test", address="192.0.2.7"), None)
    assert str(visitor) == "far.test[192.0.2.7]"
    assert (visitor.loopback, visitor.confidential, visitor.user, visitor.hello.name) == (False, False, None, "")


def test_channel_of_the_proxy_is_not_that_of_its_client() -> None:
    """SCRAM-SHA-256-PLUS could not work through it."""
    visitor = Visitor("127.0.0.1", True)
    visitor.secured("TLSv1.3", lambda: {"tls-exporter": b"x"})
    visitor.renamed(XClient(address="192.0.2.7"), None)
    assert visitor.bindings() == {}
    assert visitor.tls


def test_client_on_loopback_behind_a_proxy() -> None:
    visitor = Visitor("192.0.2.1", False)
    visitor.renamed(XClient(address="::1"), None)
    assert visitor.confidential


def test_proxy_that_does_not_know_its_client() -> None:
    """No address is not the proxy's address."""
    visitor = Visitor("127.0.0.1", True)
    visitor.renamed(XClient(name="far.test"), None)
    assert str(visitor) == "far.test[unknown]"
    assert not visitor.confidential


def test_name_in_the_greeting_of_the_client_stands_for_that_of_the_proxy() -> None:
    """Until TLS is up: then it is the client itself that greets, or the proxy says it again."""
    visitor = Visitor("192.0.2.1", False)
    visitor.renamed(XClient(address="192.0.2.7", hello="laptop.test"), None)
    visitor.greeted(Hello("proxy.test", True))
    assert visitor.hello == Hello("laptop.test", True)
    visitor.secured("TLSv1.3")
    visitor.greeted(Hello("new.test", True))
    assert (visitor.hello.name, visitor.address) == ("new.test", "192.0.2.7")
