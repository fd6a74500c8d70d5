"""Reports of all kinds of servers, read: who did not get the message, and what was said about it."""

# ruff: noqa: RUF001 - Chinese punctuation

from __future__ import annotations

import time
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message.advice import RECIPIENT, US, YOU
from mailstack.message.bounce import read_bounce
from mailstack.message.bounce_text import Told, read_text, reply_in
from mailstack.model.address import Address
from mailstack.model.outcome import Delayed
from mailstack.model.reply import Reply
from tests.message.meanings import ADVISERS, VOICES
from tests.message.test_report import FULL, LETTER, OCCASION, ORIGINAL, REFUSED, USER, fate, report

SAMPLES = Path(__file__).parent / "bounces"

#: By sample, for each recipient: action, code and status, who must act, and some of the words.
EXPECTED = {
    "postfix.eml": {
        "bob@example.com": ("failed", 550, "5.1.1", YOU, "User unknown in virtual mailbox table"),
        "carol@example.org": ("failed", 0, "5.4.4", YOU, "Host or domain name not found"),
    },
    "delayed.eml": {"bob@example.com": ("delayed", 450, "4.7.1", YOU, "Greylisted, see http://postgrey.example/help")},
    "exim.eml": {
        "bob@example.com": ("failed", 552, "5.2.2", RECIPIENT, "Mailbox size limit exceeded"),
        "carol@example.org": ("failed", 0, "", YOU, "Unrouteable address"),
    },
    "exchange.eml": {
        "bob@contoso.example": ("failed", 550, "5.1.10", YOU, "Recipient not found by SMTP address lookup")
    },
    "outlook-pasted.txt": {"bob@contoso.example": ("failed", 550, "5.7.606", US, "banned sending IP [192.0.2.7]")},
    "gmail.eml": {"bob@gmail.example": ("failed", 550, "5.7.26", US, "the sender is unauthenticated. Gmail requires")},
    "gmail-pasted.txt": {"bob@gmail.example": ("failed", 550, "5.1.1", YOU, "does not exist")},
    "qmail.eml": {
        "bob@example.com": ("failed", 553, "", YOU, "that domain isn't in my list of allowed rcpthosts"),
        "carol@qmail.example": ("failed", 0, "5.1.1", YOU, "no mailbox here by that name"),
        "dora@example.net": ("failed", 0, "5.1.2", YOU, "couldn't find any host named example.net"),
    },
    "sendmail.eml": {
        "bob@example.com": ("failed", 550, "5.1.1", YOU, "User unknown"),
        "carol@example.org": ("failed", 554, "5.7.1", US, "blocked using zen.spamhaus.org"),
    },
    "qq.eml": {"bob@foxmail.example": ("failed", 550, "", YOU, "Mailbox not found.")},
    "netease.eml": {"bob@corp.example": ("failed", 554, "5.7.1", US, "Client host rejected: IP in blacklist")},
}


def test_every_sample_is_expected() -> None:
    assert {path.name for path in SAMPLES.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("dressed", ["as it is", "crlf", "quoted", "indented", "mbox"])
def test_sample(name: str, dressed: str) -> None:
    """However it was pasted."""
    octets = (SAMPLES / name).read_bytes()
    lines = octets.split(b"\n")
    octets = {
        "as it is": octets,
        "crlf": octets.replace(b"\n", b"\r\n"),
        "quoted": b"\n".join(b"> " + line for line in lines),
        "indented": b"\n".join(b"    " + line for line in lines),
        "mbox": b"From MAILER-DAEMON Tue Nov 14 22:13:20 2023\n" + octets,
    }[dressed]
    told = {each.recipient: each for each in read_bounce(octets)}
    assert set(told) == set(EXPECTED[name])
    for recipient, (action, code, status, who, words) in EXPECTED[name].items():
        each = told[recipient]
        assert (each.action, each.reply.code, each.reply.status) == (action, code, status)
        assert words in each.reply.text
        advice = ADVISERS["en"].advice(each.reply)
        assert advice.exact and advice.who == who


def test_who_said_so() -> None:
    remotes = {each.recipient: each.remote for name in EXPECTED for each in read_bounce((SAMPLES / name).read_bytes())}
    assert remotes["bob@example.com"] in ("mx.example.com", "")
    assert remotes["bob@gmail.example"] == ""
    (gmail,) = read_bounce((SAMPLES / "gmail.eml").read_bytes())
    assert gmail.remote == "gmail-smtp-in.l.google.example"
    (qq,) = read_bounce((SAMPLES / "qq.eml").read_bytes())
    assert qq.remote == "mx3.qq.example"


# ---- Our own


@pytest.mark.parametrize("language", VOICES)
def test_our_own_reports(language: str) -> None:
    delayed = fate(Delayed(Reply(451, "4.4.1", "no route"), "mx.b.test[::1]:25"), Address("carol", "b.test"))
    told = read_bounce(report(FULL, [fate(), delayed], ORIGINAL, language))
    assert told == [
        Told("bob@example.com", "failed", REFUSED.reply, "mx.example.com"),
        Told("carol@b.test", "delayed", Reply(451, "4.4.1", "no route"), "mx.b.test"),
    ]


def test_our_own_reports_in_utf8() -> None:
    """RFC 6533, in quoted-printable, of which Python's parser makes nothing."""
    occasion = evolve(OCCASION, letter=evolve(LETTER, sender=USER, smtputf8=True))
    (told,) = read_bounce(report(occasion, [fate(address=USER)], ORIGINAL, "zh"))
    assert told == Told("用户@例子.测试", "failed", REFUSED.reply, "mx.example.com")


@pytest.mark.parametrize("language", VOICES)
def test_their_text_alone(language: str) -> None:
    """As people paste it."""
    message = message_from_bytes(report(OCCASION, [fate()], ORIGINAL, language))
    part = message.get_payload(0)
    assert isinstance(part, Message)
    (told,) = read_bounce(part.get_payload(decode=True))  # type: ignore[arg-type]
    assert (told.recipient, told.action, told.reply) == ("bob@example.com", "failed", REFUSED.reply)


def test_their_fields_alone() -> None:
    text = "Somebody wrote:\n\n  Reporting-MTA: dns; x\n\n  Final-Recipient: rfc822; bob@b.test\n  Action: delayed\n"
    text += "  Status: 4.2.2\n  Diagnostic-Code: smtp; 452 4.2.2 over quota\n"
    assert read_bounce(text.encode()) == [Told("bob@b.test", "delayed", Reply(452, "4.2.2", "over quota"))]


# ---- Text


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("550 5.1.1 no", Reply(550, "5.1.1", "no")),
        ("host x[1.2.3.4]:587 said: 550-5.1.1 one\n550 5.1.1 two", Reply(550, "5.1.1", "one two")),
        ("Remote server returned '554 5.7.1 go away'", Reply(554, "5.7.1", "go away")),
        ("<<< 421 later", Reply(421, "", "later")),
        (
            "status=bounced (host mx said: 550 5.1.1 no (in reply to RCPT))",
            Reply(550, "5.1.1", "no (in reply to RCPT)"),
        ),
        ("Sorry. (#5.1.1)", Reply(0, "5.1.1", "Sorry.")),
        ("502 5.5.1", Reply(502, "5.5.1", "")),
        ("within 450 hours and 552 kB", None),
        ("It is of version 5.1.2", None),
        ("call 192.0.2.550 or 5.1.1.1", None),
        ("", None),
    ],
)
def test_reply_in_a_text(text: str, reply: Reply | None) -> None:
    assert reply_in(text) == reply


def test_what_is_behind_the_report_is_not_read() -> None:
    text = (
        "<bob@b.test>: 550 5.1.1 no\n\n------ This is a copy of the message ------\n\n<carol@c.test>: 550 5.7.1 spam\n"
    )
    assert [each.recipient for each in read_text(text)] == ["bob@b.test"]


def test_recipient_is_named_once() -> None:
    """What is known best of them is told."""
    text = "bob@b.test\nwas unreachable\n\nbob@b.test\nsaid: 550 5.1.1 no\n"
    assert read_text(text) == [Told("bob@b.test", "failed", Reply(550, "5.1.1", "no"))]


@pytest.mark.parametrize("octets", [b"", b"\n\n", b"Hello, how are you?\n", b"Subject: hello\n\nDear Bob,\nsee you\n"])
def test_what_is_no_report(octets: bytes) -> None:
    assert read_bounce(octets) == []


PIECES = st.sampled_from(
    [b"\n", b"\n\n", b"<a@b.test>", b"550 5.1.1 ", b"Final-Recipient: rfc822;a@b.test\n", b"Content-Type: ", b"> ",
     b"multipart/report; boundary=x\n", b"message/delivery-status\n", b"--x\n", b"said: ", b"\xff\x00", b"<html>",
     b"Content-Transfer-Encoding: base64\n", b"; charset=none\n", "收件人：".encode(), b"text/html\n", b"<script>"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(PIECES, st.binary(max_size=40)), max_size=60).map(b"".join))
def test_anything_can_be_read(octets: bytes) -> None:
    for told in read_bounce(octets):
        assert told.recipient.isprintable() or "\ufffd" in told.recipient
        assert told.reply.text.isprintable() and len(told.reply.text) <= 900


@pytest.mark.parametrize(
    "piece",
    [b"<a@b.test>:\n", b"<script ", b"a@", b"550 ", b"> ", b" ", b"\n--x\n", b": '", b"5.", b"said: host ", b"=?q?",
     b"<", b"Final-Recipient: x\n\n", b"recipient "],
)  # fmt: skip
def test_big_ones_take_no_time(piece: bytes) -> None:
    start = time.process_time()
    for head in (b"", b"Content-Type: text/html\n\n", b"Content-Type: multipart/report; boundary=x\n\n"):
        read_bounce(head + piece * (300_000 // len(piece)))
    assert time.process_time() - start < 10


def test_parts_in_parts_in_parts() -> None:
    octets = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3_000))
    read_bounce(octets + b"\n550 5.1.1 no\n")
