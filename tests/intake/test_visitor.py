"""What is known of a client."""

from __future__ import annotations

import pytest

from mailstack.intake.visitor import Visitor
from mailstack.model.address import Address
from mailstack.protocol.smtp_events import Hello

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


@pytest.mark.parametrize(("address", "shown"), [("192.0.2.7", "unknown[192.0.2.7]"), ("", "unknown[local]")])
def test_shown_as_postfix_does(address: str, shown: str) -> None:
    assert str(Visitor(address, False)) == shown
