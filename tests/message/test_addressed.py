"""Letters without an envelope: whom they name, and names that mean something here alone."""

from __future__ import annotations

import pytest

from mailstack.message.addressed import at_home, recipients
from mailstack.message.mailboxes import BadField

HOME = "office.test"


def named(header: str) -> list[str]:
    return [str(address) for address in recipients(header.encode(), HOME)]


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("To: alice\n", ["alice@office.test"]),
        ("to : alice@far.test\n", ["alice@far.test"]),
        ("To: root (Charlie &), Bob <bob>, <carl>\n", ["root@office.test", "bob@office.test", "carl@office.test"]),
        ("To: a,\n b,\n\tc\nCc: d\nBcc: e\n", [f"{name}@office.test" for name in "abcde"]),
        ("Bcc: e\nTo: a\nTo: b\n", [f"{name}@office.test" for name in "abe"]),
        (
            "To: team: a, b@far.test;, undisclosed-recipients:;\nCc: c\n",
            ["a@office.test", "b@far.test", "c@office.test"],
        ),
        ("To: =?utf-8?q?=E5=BC=A0?= <zhang@far.test>\n", ["zhang@far.test"]),
        ('To: "two words"\n', ['"two words"@office.test']),
        ("To: 用户\n", ["用户@office.test"]),
        ("To: alice@[192.0.2.1]\n", ["alice@[192.0.2.1]"]),
        ("To: first.last\n", ["first.last@office.test"]),
        ("To:\nCc: \nSubject: To: alice\nX-To: bob\nFrom: carl\n", []),
        ("Subject: x\n To: alice\n", []),
        ("To: alice\nResent-To: bob\nCc: carl\nResent-Bcc: dora\n", ["bob@office.test", "dora@office.test"]),
        ("To: " + ", ".join(f"n{number}@far.test" for number in range(2000)), [f"n{n}@far.test" for n in range(2000)]),
    ],
)
def test_recipients(header: str, found: list[str]) -> None:
    assert named(header) == found


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("To: alice bob\n", "To"),
        ("To: a; b\n", "To"),
        ("Cc: alice@\n", "Cc"),
        ("Bcc: <>\n", "Bcc"),
        ("Resent-To: (alice\n", "Resent-To"),
        ("To: a\x00b\n", "To"),
        ("To: a@b@c\n", "To"),
        ('To: "a\tb"\n', "To"),
    ],
)
def test_what_is_no_list_of_addresses(header: str, field: str) -> None:
    with pytest.raises(BadField, match=f"^{field} "):
        named(header)


@pytest.mark.parametrize(
    ("header", "changed"),
    [
        ("From: root (Cron Daemon)\n", "From: root@office.test (Cron Daemon)\n"),
        (
            "To: Alice <alice>,\n\tbob@far.test,\n carl\n",
            "To: Alice <alice@office.test>,\n\tbob@far.test,\n carl@office.test\n",
        ),
        ("reply-to : a , b\n", "reply-to : a@office.test , b@office.test\n"),
        ('Sender: "two words"\n', 'Sender: "two words"@office.test\n'),
        ("Cc: team: a, b;\nResent-Cc: c\n", "Cc: team: a@office.test, b@office.test;\nResent-Cc: c@office.test\n"),
        ("To: Åsa <åsa>\n", "To: Åsa <åsa@office.test>\n"),
        # What cannot be understood, and what is no address, stays.
        ("To: alice bob\nSubject: alice\n", "To: alice bob\nSubject: alice\n"),
        ("From: alice@far.test\n", "From: alice@far.test\n"),
        ("To: undisclosed-recipients:;\n", "To: undisclosed-recipients:;\n"),
        ("", ""),
    ],
)
def test_bare_names_get_a_domain(header: str, changed: str) -> None:
    assert at_home(header.encode(), HOME).decode() == changed


def test_an_address_in_another_charset_is_none() -> None:
    with pytest.raises(BadField, match="nobody can read"):
        list(recipients(b"To: \xff@far.test\n", HOME))


def test_octets_that_are_no_text_stay() -> None:
    header = b"From: J\xfcrgen <jk>\nTo: \xff\n"
    assert at_home(header, HOME) == b"From: J\xfcrgen <jk@office.test>\nTo: \xff@office.test\n"
