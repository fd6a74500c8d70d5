"""Mail for a client that has turned the roles: on its own connection, letter after letter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from mailstack.delivery.connection import FAREWELL
from mailstack.delivery.line import LONGEST, Line
from mailstack.interfaces.delivery import Outcomes
from mailstack.interfaces.waiting import ILine
from mailstack.model.letter import Due
from mailstack.model.outcome import Delayed, Delivered, Failed
from mailstack.spool.memory import MemorySpool
from tests.delivery.test_remote import Notes, Transport
from tests.fakes import at_once
from tests.server.wire import Handle
from tests.spool.contract import due, letter

CONTENT = b"Subject: hello\n\n.text\n"
OPENING = b"220 dialup.test\r\n", b"250-dialup.test\r\n250 PIPELINING\r\n"
ENVELOPE = b"MAIL FROM:<a@far.test>\r\nRCPT TO:<x@dialup.test>\r\nDATA\r\n"
POURED = b"Subject: hello\r\n\r\n..text\r\n.\r\n"
ACCEPTED = b"250 ok\r\n250 ok\r\n354 go\r\n"


class Call:
    """One connection; the errand is the test itself."""

    def __init__(self) -> None:
        self.clock, self.spool, self.notes = Clock(), MemorySpool(), Notes()
        self.transport = Transport()
        self.opened: list[bool] = []
        self.line = Line(self.clock, "mail.office.test", self.spool, self.notes, self.errand)
        self.results: list[Any] = []

    async def errand(self, line: ILine) -> None:
        self.opened.append(await line.opened())

    def connect(self) -> Call:
        self.line.makeConnection(self.transport)
        return self

    def open(self) -> Call:
        self.connect()
        for octets in OPENING:
            self.hear(octets)
        return self

    def hear(self, octets: bytes) -> bytes:
        self.line.dataReceived(octets)
        return self.transport.take()

    def deliver(self, id: str, *to: str) -> bytes:
        added = letter(id, *to or ("x@dialup.test",), content=CONTENT)
        incoming = self.spool.receive(id)
        incoming.write(CONTENT)
        at_once(self.spool.add(added, incoming))
        return self.send(due(added))

    def send(self, due: Due) -> bytes:
        Deferred.fromCoroutine(self.line.deliver([due])).addBoth(self.results.append)
        return self.transport.take()

    @property
    def outcomes(self) -> Outcomes:
        found: Sequence[Outcomes] = self.results.pop()
        (only,) = found
        return only

    def lose(self) -> None:
        self.line.connectionLost(Failure(ConnectionLost()))


@pytest.fixture
def call() -> Call:
    return Call()


def test_interface(call: Call) -> None:
    assert verifyObject(ILine, call.line)


def test_nothing_is_said_before_the_greeting(call: Call) -> None:
    call.connect()
    assert call.transport.take() == b""
    assert call.hear(OPENING[0]) == b"EHLO mail.office.test\r\n"
    assert call.opened == []
    assert call.hear(OPENING[1]) == b""
    assert call.opened == [True]


def test_fields_that_go_before_the_message(call: Call) -> None:
    call.open()
    call.deliver("L1")
    call.hear(ACCEPTED)
    call.hear(b"250 2.0.0 taken\r\n")
    call.send(due(evolve(call.spool.stored["L1"].letter, opening=b"Delivered-To: team@office.test\n")))
    assert call.hear(ACCEPTED) == b"Delivered-To: team@office.test\r\n" + POURED


def test_letters_in_one_session(call: Call) -> None:
    """EHLO once; QUIT at the end."""
    call.open()
    for id in ("L1", "L2", "L3"):
        assert call.deliver(id) == ENVELOPE
        assert call.hear(ACCEPTED) == POURED
        assert call.results == []
        call.hear(b"250 2.0.0 taken\r\n")
        (outcome,) = call.outcomes.values()
        assert isinstance(outcome, Delivered)
        assert outcome.relay == "unknown[192.168.1.1]:54321"
    call.line.quit()
    assert call.transport.take() == b"QUIT\r\n"
    call.hear(b"221 bye\r\n")
    assert call.transport.disconnecting
    assert not call.line.usable()


def test_each_recipient_has_its_outcome(call: Call) -> None:
    call.open()
    call.deliver("L1", "a@dialup.test", "b@dialup.test", "c@dialup.test")
    call.hear(b"250 ok\r\n250 ok\r\n450 4.2.0 later\r\n550 5.1.1 unknown\r\n354 go\r\n")
    call.hear(b"250 2.0.0 taken\r\n")
    assert [type(each) for _, each in sorted(call.outcomes.items())] == [Delivered, Delayed, Failed]
    assert call.line.usable()


def test_a_letter_that_nobody_wants_is_not_the_end(call: Call) -> None:
    call.open()
    call.deliver("L1")
    call.hear(b"250 ok\r\n550 5.1.1 unknown\r\n554 nobody\r\n")
    assert isinstance(call.outcomes[0], Failed)
    assert call.deliver("L2") == b"RSET\r\n" + ENVELOPE


def test_a_client_that_does_not_know_rset(call: Call) -> None:
    """That is not the letter's fault: it waits. What the client took the rest for is not known, so the line is cut."""
    call.open()
    call.deliver("L1")
    call.hear(b"250 ok\r\n550 5.1.1 unknown\r\n554 nobody\r\n")
    call.results.clear()
    call.deliver("L2")
    assert call.hear(b"502 what?\r\n") == b""
    assert isinstance(call.outcomes[0], Delayed)
    assert call.transport.disconnected


@pytest.mark.parametrize(
    ("secure", "extension", "status"),
    [(True, b"REQUIRETLS", ""), (True, b"HELP", "5.7.30"), (False, b"REQUIRETLS", "5.7.10")],
)
def test_a_letter_that_requires_tls(call: Call, secure: bool, extension: bytes, status: str) -> None:
    """RFC 8689: only on a connection that had TLS before, and to who keeps the promise."""
    if secure:
        call.transport.getHandle = Handle  # type: ignore[attr-defined]
    call.connect().hear(OPENING[0])
    call.hear(b"250-dialup.test\r\n250 " + extension + b"\r\n")
    added = evolve(letter("L1", "x@dialup.test", content=CONTENT), require_tls=True)
    at_once(call.spool.add(added, call.spool.receive("L1")))
    said = call.send(due(added))
    if not status:
        assert said.startswith(b"MAIL FROM:<a@far.test> REQUIRETLS\r\n")
        return
    (outcome,) = call.outcomes.values()
    assert (type(outcome), outcome.reply.status) == (Failed, status)
    assert call.line.usable()


def limited(call: Call, limits: bytes) -> None:
    call.connect().hear(OPENING[0])
    call.hear(b"250-dialup.test\r\n250-PIPELINING\r\n250 LIMITS " + limits + b"\r\n")


def test_a_client_that_takes_few_letters(call: Call) -> None:
    """The session ends after them; the next letter has not been begun. RFC 9422."""
    limited(call, b"MAILMAX=2")
    call.deliver("L1")
    call.hear(ACCEPTED)
    call.hear(b"250 2.0.0 taken\r\n")
    assert call.line.usable()
    call.deliver("L2")
    call.hear(ACCEPTED)
    assert call.hear(b"250 2.0.0 taken\r\n") == b"QUIT\r\n"
    assert isinstance(call.outcomes[0], Delivered)
    assert not call.line.usable()
    call.deliver("L3")
    assert isinstance(call.results.pop().value, CancelledError)


def test_recipients_that_the_last_letter_leaves_over(call: Call) -> None:
    """They stay as they are: each transaction for one letter counts."""
    limited(call, b"MAILMAX=1 RCPTMAX=1")
    call.deliver("L1", "x@dialup.test", "y@dialup.test")
    call.hear(ACCEPTED)
    assert call.hear(b"250 2.0.0 taken\r\n") == b"QUIT\r\n"
    assert [(number, type(each)) for number, each in call.outcomes.items()] == [(0, Delivered)]
    assert not call.line.usable()


def test_recipients_too_many_have_their_turn_when_the_others_are_recorded(call: Call) -> None:
    """A crash while a second transaction hangs must not forget what the first one came to."""
    call.open()
    call.deliver("L1", "x@dialup.test", "y@dialup.test")
    call.hear(b"250 ok\r\n250 ok\r\n452 4.5.3 too many\r\n354 go\r\n")
    assert call.hear(b"250 2.0.0 taken\r\n") == b""
    assert [(number, type(each)) for number, each in call.outcomes.items()] == [(0, Delivered)]
    added = due(call.spool.stored["L1"].letter)
    assert call.send(evolve(added, pending=added.pending[1:])) == ENVELOPE.replace(b"<x@", b"<y@")
    call.hear(ACCEPTED)
    call.hear(b"250 2.0.0 taken\r\n")
    assert [(number, type(each)) for number, each in call.outcomes.items()] == [(1, Delivered)]


def test_nothing_is_said_of_the_destination(call: Call) -> None:
    """A line that breaks does not mean that the domain's server cannot be reached."""
    call.open()
    call.deliver("L1")
    call.hear(b"421 bye\r\n")
    (outcome,) = call.outcomes.values()
    assert isinstance(outcome, Delayed) and not outcome.unreachable


def test_a_line_is_not_kept_for_ever(call: Call) -> None:
    call.open()
    assert call.line.usable()
    call.clock.advance(LONGEST)
    assert not call.line.usable()
    call.line.quit()
    assert call.transport.take() == b"QUIT\r\n"


@pytest.mark.parametrize("greeting", [b"554 not now\r\n", b"QUIT\r\n", b"421 busy\r\n"])
def test_a_client_that_does_not_greet(call: Call, greeting: bytes) -> None:
    """No letter is touched, and the log says why."""
    call.connect().hear(greeting)
    assert call.opened == [False]
    assert "the client took no mail" in str(call.notes.lines)
    call.deliver("L1")
    assert isinstance(call.results.pop().value, CancelledError)
    call.line.quit()


def test_a_client_that_falls_silent(call: Call) -> None:
    call.connect()
    call.clock.advance(300)
    assert call.opened == [False]
    assert call.transport.disconnected


def test_a_connection_that_breaks_in_a_letter(call: Call) -> None:
    """Nobody knows whether it has arrived: it is deferred. The next one has not been begun."""
    call.open()
    call.deliver("L1")
    call.hear(ACCEPTED)
    call.lose()
    (outcome,) = call.outcomes.values()
    assert isinstance(outcome, Delayed)
    assert outcome.reply.status == "4.4.2"
    call.deliver("L2")
    assert isinstance(call.results.pop().value, CancelledError)


def test_a_connection_that_breaks_between_letters(call: Call) -> None:
    call.open()
    call.lose()
    assert not call.line.usable()
    call.deliver("L1")
    assert isinstance(call.results.pop().value, CancelledError)


def test_a_client_that_speaks_out_of_turn(call: Call) -> None:
    call.open()
    call.hear(b"250 what?\r\n")
    assert not call.line.usable()
    assert call.transport.disconnected


def test_a_server_that_stops(call: Call) -> None:
    """The letter on its way is as it was, and its file is closed."""
    call.open()
    call.deliver("L1")
    call.hear(ACCEPTED)
    call.line.abort()
    assert isinstance(call.results.pop().value, CancelledError)
    assert call.transport.disconnected
    call.lose()
    assert call.clock.getDelayedCalls() == []


def test_a_letter_whose_file_is_gone(call: Call) -> None:
    """It waits; the next one is sent."""
    call.open()
    assert call.send(due(letter("GONE", "x@dialup.test"))) == b""
    assert isinstance(call.outcomes[0], Delayed)
    assert call.deliver("L2") == ENVELOPE


def test_a_client_that_does_not_hang_up(call: Call) -> None:
    call.open()
    call.line.quit()
    call.clock.advance(FAREWELL)
    assert call.transport.disconnected


def test_a_bug_in_the_errand(call: Call) -> None:
    async def broken(line: ILine) -> None:
        raise RuntimeError("a bug")

    call.line = Line(call.clock, "mail.office.test", call.spool, call.notes, broken)
    call.connect()
    assert "a bug" in str(call.notes.lines)
    assert call.transport.disconnected
