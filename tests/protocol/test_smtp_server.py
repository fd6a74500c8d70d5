"""The server's side of SMTP: order, answers, what a pipelining or malicious client can do to them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.model.reply import Reply
from mailstack.protocol.smtp_events import (
    Auth,
    Bdat,
    Body,
    BodyEnd,
    Challenge,
    Credentials,
    Data,
    Event,
    Hello,
    Mail,
    Rcpt,
    Rejected,
    Reset,
    StartTls,
)
from mailstack.protocol.smtp_order import TRANSITIONS, State
from mailstack.protocol.smtp_server import SmtpServer
from tests import cuts
from tests.fakes import at_once
from tests.intake.office import Office

OK = Reply(250, "2.0.0", "Ok")
NO = Reply(550, "5.0.0", "No")
GO_ON = Reply(354, "", "Go on")

#: How to get into each state.
WAYS = {
    State.GREET: b"",
    State.READY: b"EHLO a\r\n",
    State.SENDER: b"EHLO a\r\nMAIL FROM:<a@b.test>\r\n",
    State.RECIPIENTS: b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n",
    State.CHUNKS: b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nBDAT 1\r\nx",
}

VERBS: dict[bytes, type[Event]] = {
    b"HELO a": Hello,
    b"EHLO a": Hello,
    b"MAIL FROM:<a@b.test>": Mail,
    b"RCPT TO:<c@d.test>": Rcpt,
    b"DATA": Data,
    b"BDAT 0 LAST": Bdat,
    b"RSET": Reset,
    b"STARTTLS": StartTls,
    b"AUTH PLAIN": Auth,
    b"NOOP": Event,  # type: ignore[dict-item]  # in no row of the table: welcome everywhere
    b"HELP": Event,  # type: ignore[dict-item]
    b"VRFY a": Event,  # type: ignore[dict-item]
    b"EXPN a": Event,  # type: ignore[dict-item]
    b"QUIT": Event,  # type: ignore[dict-item]
}


def events(server: SmtpServer, reply: Reply = OK) -> Iterator[Event]:
    """All that can be had; everything gets this answer."""
    while event := server.next_event():
        yield event
        if not isinstance(event, Body):
            server.answer(reply)


def in_state(state: State) -> SmtpServer:
    server = SmtpServer()
    server.receive(WAYS[state])
    list(events(server))
    return server


def next_is(server: SmtpServer, line: bytes) -> Event:
    server.receive(line + b"\r\n")
    event = server.next_event()
    assert event is not None
    return event


def settle(server: SmtpServer, event: Event, reply: Reply) -> None:
    """Answer it. A refused BDAT hears so when its octets have come, here at once."""
    server.answer(event.reply if isinstance(event, Rejected) else reply)
    while later := server.next_event():
        assert isinstance(event, Bdat)
        assert isinstance(later, Rejected)
        server.answer(later.reply)


@pytest.mark.parametrize("state", WAYS)
@pytest.mark.parametrize("line", VERBS, ids=lambda line: line.split()[0].decode())
def test_order(state: State, line: bytes) -> None:
    """What the table has is asked, what it has not is 503, and what no row has is always welcome."""
    event = next_is(in_state(state), line)
    if VERBS[line] is Event or VERBS[line] in TRANSITIONS[state]:
        assert not isinstance(event, Rejected)
    else:
        assert isinstance(event, Rejected)
        assert (event.reply.code, event.reply.status) == (503, "5.5.1")


@pytest.mark.parametrize("state", WAYS)
@pytest.mark.parametrize("line", VERBS, ids=lambda line: line.split()[0].decode())
def test_refusal_changes_nothing(state: State, line: bytes) -> None:
    """After an answer of 4xx or 5xx, and after a command out of order, the same is legal as before."""
    for reply in (NO, Reply(451, "4.0.0", "Not now")):
        server = in_state(state)
        event = next_is(server, line)
        settle(server, event, reply)
        for other in VERBS:
            expected = next_is(in_state(state), other)
            found = next_is(server, other)
            assert found == expected
            settle(server, found, NO)


@pytest.mark.parametrize("reply", [OK, NO])
def test_after_the_message_comes_the_next(reply: Reply) -> None:
    """Whether it was accepted or refused."""
    server = in_state(State.RECIPIENTS)
    next_is(server, b"DATA")
    server.answer(GO_ON)
    assert server.receiving
    server.receive(b"x\r\n.\r\nMAIL FROM:<>\r\n")
    assert server.next_event() == Body(b"x\n", 1)
    assert server.next_event() == BodyEnd(stray=False)
    assert server.answer(reply) == reply.wire()
    assert not server.receiving
    assert server.next_event() == Mail(None)


def test_data_refused_is_no_data() -> None:
    """What follows is commands again."""
    server = in_state(State.RECIPIENTS)
    next_is(server, b"DATA")
    server.answer(NO)
    assert not server.receiving
    assert next_is(server, b"RSET") == Reset()


def test_one_event_at_a_time() -> None:
    """While an answer is owed, nothing more is handed out, whatever has come."""
    server = SmtpServer()
    server.receive(b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n.\r\nQUIT\r\n")
    for expected in (Hello, Mail, Rcpt, Data, BodyEnd):
        assert type(server.next_event()) is expected
        assert server.next_event() is None
        assert server.answer(OK) == OK.wire()


def test_answer_without_question() -> None:
    with pytest.raises(ValueError, match="nothing was asked"):
        SmtpServer().answer(OK)


@pytest.mark.parametrize("code", [221, 421])
def test_nothing_is_looked_at_after_good_bye(code: int) -> None:
    server = SmtpServer()
    server.receive(b"NOOP\r\nNOOP\r\n")
    assert server.next_event() is not None
    server.answer(Reply(code, "", "bye"))
    assert server.closing
    assert server.next_event() is None


# ---- STARTTLS


@pytest.mark.parametrize("behind", [b"EHLO a\r\n", b"x", b"\n"])
def test_octets_behind_starttls(behind: bytes) -> None:
    """In the same segment they are an attack: somebody in between put them there, to be taken for the client's."""
    server = in_state(State.READY)
    server.receive(b"STARTTLS\r\n" + behind)
    event = server.next_event()
    assert isinstance(event, Rejected)
    assert event.reply.code == 421
    server.answer(event.reply)
    assert server.closing


def test_octets_that_come_while_starttls_is_decided() -> None:
    """They are thrown away: nothing that came in plain is used once TLS is up."""
    server = in_state(State.READY)
    assert next_is(server, b"STARTTLS") == StartTls()
    server.receive(b"EHLO evil\r\nMAIL FROM:<evil@far.test>\r\n")
    server.answer(Reply(220, "", "Ready"))
    assert server.next_event() is None
    assert isinstance(next_is(server, b"MAIL FROM:<>"), Rejected), "the greeting is forgotten"


def test_starttls_refused_goes_on() -> None:
    server = in_state(State.READY)
    next_is(server, b"STARTTLS")
    server.answer(NO)
    assert next_is(server, b"MAIL FROM:<>") == Mail(None)


# ---- AUTH


def test_challenges_and_credentials() -> None:
    """AUTH itself is answered by what its exchange says; then commands again."""
    server = in_state(State.READY)
    assert next_is(server, b"AUTH LOGIN") == Auth("LOGIN")
    assert server.answer(Reply(334, "", "")) == b""
    challenge = server.next_event()
    assert challenge == Challenge(Reply(334, "", "VXNlcm5hbWU6"))
    server.receive(b"YWxpY2U=\r\nc2VzYW1l\r\nNOOP\r\n")
    assert server.next_event() is None
    assert server.answer(challenge.reply) == b"334 VXNlcm5hbWU6\r\n"
    challenge = server.next_event()
    assert isinstance(challenge, Challenge)
    server.answer(challenge.reply)
    assert server.next_event() == Credentials("alice", "sesame")
    assert server.next_event() is None
    server.answer(NO)
    assert type(server.next_event()).__name__ == "Noop"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"*\r\n", "501 5.7.0 "),
        (b"???\r\n", "501 5.5.2 "),
        (b"\r\n", "501 5.5.2 "),
        (b"AGE=\n", "500 5.5.2 "),
        (b"A" * 20000 + b"\r\n", "500 5.5.6 "),
        (b"QUIT\r\n", "501 5.5.2 "),
    ],
)
def test_exchange_that_fails_is_over(line: bytes, reply: str) -> None:
    """Commands again, and a line of the exchange was never one."""
    server = in_state(State.READY)
    next_is(server, b"AUTH PLAIN")
    server.answer(Reply(334, "", ""))
    list(events(server))
    server.receive(line + b"AUTH PLAIN\r\n")
    event = server.next_event()
    assert isinstance(event, Rejected)
    assert str(event.reply).startswith(reply)
    server.answer(event.reply)
    assert server.next_event() == Auth("PLAIN")


# ---- Whatever comes

LINES = st.sampled_from(
    [
        *VERBS,
        b"MAIL FROM:<> SIZE=5",
        b"MAIL FROM:<alice@office.test>",
        b"RCPT TO:<alice@office.test>",
        b"RCPT TO:<alice+x@Office.Test>",
        b"RCPT TO:<away@office.test>",
        b"RCPT TO:<victim@far.test>",
        b"RCPT TO:<victim%far.test@office.test>",
        b"RCPT TO:<victim%far.test@backup.test>",
        b"RCPT TO:<@office.test:victim@far.test>",
        b'RCPT TO:<"victim@far.test"@office.test>',
        b"RCPT TO:<victim@far.test@office.test>",
        b"RCPT TO:<postmaster>",
        b"AUTH PLAIN AGFsaWNlAHdyb25n",
        b"AUTH LOGIN YWxpY2U=",
        b"d3Jvbmc=",
        b"*",
        b".",
        b"..",
        b"",
        b"Subject: x",
        b"BDAT 3",
        b"BDAT 20",
        b"BDAT 7 LAST",
        b"BDAT x",
        b"GET /",
    ]
)
ENDS = st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r", b"\r\n.\r\n", b"\n.\n", b"\r\n\r\n", b""])
NOISE = st.binary(max_size=20) | st.text("\r\n. <>:@A", max_size=10).map(str.encode)
BEGINNINGS = st.sampled_from(
    [
        b"",
        b"EHLO a\r\n",
        b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<alice@office.test>\r\n",
        b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<alice@office.test>\r\nDATA\r\n",
        b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<alice@office.test>\r\nBDAT 9\r\nSubject: ",
    ]
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Mostly commands, mostly in order, with noise in between."""
    parts = draw(st.lists(st.tuples(LINES | NOISE, ENDS), max_size=25))
    return draw(BEGINNINGS) + b"".join(line + end for line, end in parts)


class Session:
    """A session with its policy; ``said`` is what the client gets."""

    def __init__(self, submission: bool) -> None:
        self.office = Office()
        self.reception = self.office.reception(submission=submission)
        self.server = SmtpServer()
        self.said = b""
        self.asked: list[Event] = []

    def send(self, data: bytes) -> None:
        self.server.receive(data)
        while event := self.server.next_event():
            if isinstance(event, Body):
                self.reception.body(event.chunk, event.lines)
                continue
            assert self.server.next_event() is None
            reply = at_once(self.reception.decide(event))
            self.asked.append(event)
            self.said += self.server.answer(reply)
            if isinstance(event, StartTls) and reply.positive:
                self.reception.secured("TLSv1.3")


@settings(max_examples=400, deadline=None)
@given(cuts.anywhere(streams()), st.booleans())
def test_strangers_never_relay(pieces: list[bytes], submission: bool) -> None:
    """Whatever octets a stranger sends: nothing for foreign domains, nothing without a true end of data, one answer
    for each question, in order, and no exception."""
    session = Session(submission)
    for piece in pieces:
        session.send(piece)
    session.reception.closed()
    letters = session.office.letters
    originals = {each.original.domain for letter in letters for each in letter.recipients}
    assert originals <= {"office.test", "second.test", "backup.test"}
    assert not any("%" in each.address.local for letter in letters for each in letter.recipients)
    assert len(letters) <= b"".join(pieces).count(b"\r\n.\r\n") + b"".join(pieces).count(b"LAST")
    assert not (submission and letters)
    final_lines = [line for line in session.said.split(b"\r\n") if line[3:4] == b" "]
    started = [event for event in session.asked if isinstance(event, Auth | Bdat)]
    assert len(session.asked) - len(started) <= len(final_lines) <= len(session.asked)
    assert not session.office.log.failures
    assert not session.office.spool.begun


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_cuts_make_no_difference(data: st.DataObject) -> None:
    """But for octets behind STARTTLS, where it matters that they came before the answer."""
    stream = data.draw(streams()).replace(b"STARTTLS", b"NOOP")
    whole, cut = Session(False), Session(False)
    whole.send(stream)
    for piece in data.draw(cuts.anywhere(st.just(stream))):
        cut.send(piece)
    assert cut.said == whole.said
    assert cut.office.letters == whole.office.letters
    assert cut.office.contents == whole.office.contents
