"""The fields that we put before a message."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

import pytest
from attrs import evolve

from mailstack.message.trace import Hop, date, delivery_fields, received
from mailstack.model.address import Address
from mailstack.model.letter import Recipient

NOW = 1_000_000_000.9
HOP = Hop("client.test", "192.0.2.7", "mail.office.test", "ESMTP", "")
ALICE = Recipient(Address("alice", "office.test"), Address("boss", "office.test"))
BOB = Recipient(Address("bob", "office.test"), Address("bob", "office.test"))


def parsed(fields: bytes) -> EmailMessage:
    message = message_from_bytes(fields + b"\n", policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def test_received() -> None:
    """RFC 5321 §4.4, folded before 78 columns."""
    assert received(HOP, "ID1", (ALICE,), NOW).decode() == (
        "Received: from client.test ([192.0.2.7])\n"
        "\tby mail.office.test (mailstack) with ESMTP id ID1\n"
        "\tfor <boss@office.test>;\n"
        "\tSun, 09 Sep 2001 01:46:40 +0000\n"
    )


def test_received_with_tls() -> None:
    hop = evolve(HOP, protocol="ESMTPS", tls="TLSv1.3 with cipher TLS_AES_256_GCM_SHA384")
    assert received(hop, "ID1", (), NOW).decode().splitlines()[1:3] == [
        "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)",
        "\tby mail.office.test (mailstack) with ESMTPS id ID1;",
    ]


@pytest.mark.parametrize(
    ("client", "shown"),
    [("192.0.2.7", "([192.0.2.7])"), ("2001:db8::7", "([IPv6:2001:db8::7])"), ("local", "([local])")],
)
def test_address_literal(client: str, shown: str) -> None:
    """RFC 5321 §4.1.3."""
    assert shown in received(evolve(HOP, client=client), "ID1", (), NOW).decode().splitlines()[0]


@pytest.mark.parametrize("helo", ["host/name", "a..b", "????-PC", "2001:db8::7", "[x", "-"])
def test_a_name_that_is_no_domain_stands_in_the_comment(helo: str) -> None:
    hop = evolve(HOP, helo=helo)
    assert parsed(received(hop, "ID1", (), NOW))["Received"].startswith(f"from unknown (HELO {helo} [192.0.2.7])")
    named = evolve(hop, name="far.test")
    assert parsed(received(named, "ID1", (), NOW))["Received"].startswith(
        f"from unknown (HELO {helo} far.test [192.0.2.7])"
    )


@pytest.mark.parametrize("helo", ["_x", "my_pc", "[192.0.2.7]", "[IPv6:2001:db8::7]", "a.b."])
def test_a_name_that_nearly_is_a_domain_is_borne(helo: str) -> None:
    assert received(evolve(HOP, helo=helo), "ID1", (), NOW).decode().startswith(f"Received: from {helo} ([192.0.2.7])")


def test_many_recipients_are_not_named() -> None:
    """Who was in Bcc would be known to all (RFC 5321 §7.2)."""
    for fields in (received(HOP, "ID1", (ALICE, BOB), NOW), delivery_fields(None, (ALICE, BOB))):
        assert b"alice" not in fields
        assert b"boss" not in fields
        assert b"bob" not in fields


def test_delivery_fields() -> None:
    """Where it came from and where it went: for a Maildir, not to be relayed."""
    sender = Address("two words", "far.test")
    assert delivery_fields(sender, (ALICE,)) == (
        b'Return-Path: <"two words"@far.test>\nDelivered-To: alice@office.test\n'
    )
    assert delivery_fields(None, (ALICE, BOB)) == b"Return-Path: <>\n"


def test_mail_programs_can_read_them() -> None:
    """Field by field, without a defect, and the date as one."""
    fields = delivery_fields(Address('a"b\\c', "far.test"), (ALICE,)) + received(HOP, "ID1", (ALICE,), NOW)
    message = parsed(fields)
    assert message.keys() == ["Return-Path", "Delivered-To", "Received"]
    assert message["Delivered-To"] == "alice@office.test"
    when = parsedate_to_datetime(message["Received"].rpartition(";")[2].strip())
    assert when.timestamp() == int(NOW)


def test_date_has_a_known_zone() -> None:
    """-0000 would say that we do not know where we are (RFC 5322 §3.3)."""
    assert date(0.0) == "Thu, 01 Jan 1970 00:00:00 +0000"


def test_names_in_any_script() -> None:
    """Domains are shown as people write them, where the message came with SMTPUTF8."""
    user = Address("用户", "xn--fsqu00a.xn--0zwm56d")
    to = (Recipient(user, user),)
    assert (
        delivery_fields(user, to, utf8=True).decode() == "Return-Path: <用户@例子.测试>\nDelivered-To: 用户@例子.测试\n"
    )
    assert "for <用户@例子.测试>;" in received(HOP, "ID1", to, NOW, utf8=True).decode()
    plain = Address("a", "xn--fsqu00a.xn--0zwm56d")
    assert (
        "for <a@xn--fsqu00a.xn--0zwm56d>;" in received(HOP, "ID1", (Recipient(plain, plain),), NOW, utf8=True).decode()
    )
