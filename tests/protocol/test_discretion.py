"""What others may see of a client's lines: no password, nothing of a message, whatever the client does wrong."""

from __future__ import annotations

from base64 import b64encode

import pytest

from mailstack.model.reply import Reply
from mailstack.protocol.smtp_events import Auth, Body, Challenge, Event, Rejected
from mailstack.protocol.smtp_server import SmtpServer

OK = Reply(250, "2.0.0", "Ok")
GO_AHEAD = Reply(354, "", "Go ahead")
NO = Reply(502, "5.5.1", "Not here")

PASSWORD = b"open-sesame"
PLAIN = b64encode(b"\0alice\0" + PASSWORD)
CODED = b64encode(PASSWORD)


def heard(*lines: bytes, auth: Reply = OK, data: Reply = GO_AHEAD) -> list[bytes | None]:
    """For each event what may be shown; those of the message are left out."""
    session = SmtpServer()
    session.receive(b"".join(line + b"\r\n" for line in lines))
    shown = []
    while event := session.next_event():
        if isinstance(event, Body):
            continue
        shown.append(session.heard)
        session.heard = None
        session.answer(_answer(event, auth, data))
    return shown


def _answer(event: Event, auth: Reply, data: Reply) -> Reply:
    if isinstance(event, Rejected | Challenge):
        return event.reply
    if isinstance(event, Auth):
        return auth
    return data if type(event).__name__ == "Data" else OK


ENVELOPE = (b"MAIL FROM:<a@far.test>", b"RCPT TO:<alice@office.test>")


def test_ordinary_lines() -> None:
    """As they came; the message is not among them, nor is a line that was taken already."""
    lines = (b"ehlo client.test", *ENVELOPE, b"NOOP hello", b"DATA")
    assert heard(*lines, b"Subject: x", b"", b"secret", b".", b"QUIT") == [*lines, None, b"QUIT"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"AUTH PLAIN " + PLAIN, b"AUTH PLAIN ***"),
        (b"auth plain " + PLAIN, b"auth plain ***"),
        (b"AUTH LOGIN", b"AUTH LOGIN"),
        (b"AUTH SCRAM-SHA-256-PLUS " + PLAIN, b"AUTH SCRAM-SHA-256-PLUS ***"),
        (b"AUTH " + PLAIN, b"AUTH ***"),
        (b"AUTH PLAIN" + PLAIN, b"AUTH ***"),
        (b"AUTH  PLAIN  " + PLAIN, b"AUTH  PLAIN ***"),
        (b"AUTH\tPLAIN\t" + PLAIN, b"AUTH ***"),
        (b"AUTH", b"AUTH"),
    ],
)
def test_auth(line: bytes, shown: bytes) -> None:
    """The mechanism, if that is what it is, and no more."""
    assert heard(b"EHLO a", line, auth=NO)[1] == shown


def test_answers_in_an_exchange() -> None:
    """The user's name is one of them."""
    shown = heard(b"EHLO a", b"AUTH LOGIN", b64encode(b"alice"), CODED, b"NOOP")
    assert shown == [b"EHLO a", b"AUTH LOGIN", None, b"***", b"***", b"NOOP"]


@pytest.mark.parametrize("response", [b"*", b"not base64!", b"A" * 20_000])
def test_odd_answers_in_an_exchange(response: bytes) -> None:
    assert heard(b"EHLO a", b"AUTH PLAIN", response)[2:] == [None, b"***"]


def test_answers_to_a_question_that_was_not_asked() -> None:
    """A client that does not wait for the refusal of its AUTH says its password as a command."""
    shown = heard(b"EHLO a", b"AUTH LOGIN", b64encode(b"alice"), CODED, b"HELP " + PASSWORD, b"NOOP", auth=NO)
    assert shown[2:] == [b"***", b"***", b"HELP ***", b"NOOP"]


def test_a_message_after_data_was_refused() -> None:
    """Its lines are taken for commands, and some look like ones; real ones can still be read."""
    body = (b"Dear Bob", b"help me", b"send money", b"mail me", b".")
    shown = heard(b"EHLO a", *ENVELOPE, b"DATA", *body, b"RCPT TO:<>", b"QUIT", data=NO)
    assert shown[4:] == [b"***", b"help ***", b"send ***", b"mail ***", b"***", b"RCPT TO:<>", b"QUIT"]


def test_a_header_after_data_was_refused() -> None:
    """It ends the session."""
    assert heard(b"EHLO a", *ENVELOPE, b"DATA", b"Subject: secret", b"RCPT TO:<>", data=NO)[4:] == [b"***"]


def test_a_message_after_data_came_out_of_order() -> None:
    assert heard(b"DATA", b"Subject: secret") == [b"DATA", b"***"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"GET / HTTP/1.1", b"GET ***"),
        (b"USER alice", b"USER ***"),
        (b"PASS " + PASSWORD, b"PASS ***"),
        (b"a1 LOGIN alice " + PASSWORD, b"***"),
        (CODED, b"***"),
        (b"Authorization: Basic " + CODED, b"AUTH ***"),
        (b"MIAL FROM:<a@far.test>", b"MIAL ***"),
        (b"XYZZY", b"XYZZY"),
        (b"\x16\x03\x01\x02\x00\x01", b"***"),
        (b"", b"***"),
        (b"RCPT TO:<\xff@far.test>", b"RCPT TO:<\xff@far.test>"),
        (b"MAIL FROM: a@far.test", b"MAIL FROM: a@far.test"),
        (b"A" * 5000, b"(a line that is too long)"),
    ],
)
def test_lines_that_are_not_understood(line: bytes, shown: bytes) -> None:
    """The first word shows what kind of client it is; the rest may be a password of another protocol."""
    assert heard(line) == [shown]


def test_after_the_first_line_that_is_not_understood() -> None:
    """It may have been meant as AUTH."""
    assert heard(b"x" * 3000, b"hello") == [b"(a line that is too long)", b"***"]
    assert heard(b"AHTU LOGIN", b"hello", b"HELP me", b"EHLO a") == [b"AHTU ***", b"***", b"HELP ***", b"EHLO a"]


def test_bare_line_feeds() -> None:
    session = SmtpServer()
    session.receive(b"MAIL FROM:<a@far.test>\n")
    session.next_event()
    assert session.heard == b"MAIL FROM:<a@far.test>"
