"""What a connection says leaves in a burst, with what others say in the same round of the reactor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mailstack.delivery.connection import Connection
from mailstack.eager import Burst
from mailstack.model.address import Address
from mailstack.model.letter import Recipient
from mailstack.protocol.smtp_client import SmtpClient
from mailstack.protocol.smtp_dialogue import Patience
from mailstack.protocol.smtp_opening import Manner
from mailstack.protocol.smtp_transaction import Envelope

BOB = Address("bob", "x.test")
ENVELOPE = Envelope(None, {0: Recipient(BOB, BOB)}, 100, False)


class Line:
    """A connection that rests after EHLO."""

    def __init__(self, clock: Clock, burst: Burst) -> None:
        self.clock = clock
        self.transport = StringTransport()
        manner = Manner("mail.office.test", tls="none")
        self.connection = Connection(clock, SmtpClient(manner, Patience()), None, 60.0, burst=burst)
        self.connection.makeConnection(self.transport)
        self.say(b"220 hi\r\n")
        self.turn()
        self.say(b"250-hi\r\n250 PIPELINING\r\n")
        assert self.connection.usable()
        self.transport.clear()

    def say(self, octets: bytes) -> None:
        self.connection.dataReceived(octets)

    def turn(self) -> None:
        self.clock.advance(0)

    def send(self, *pieces: bytes) -> Deferred[None]:
        def content(empty: bool) -> Iterator[bytes]:
            return iter(pieces)

        return Deferred.fromCoroutine(self.connection.send(ENVELOPE, content, 60.0))


@pytest.fixture
def lines() -> list[Line]:
    clock = Clock()
    burst = Burst(clock)
    return [Line(clock, burst) for _ in range(2)]


def test_all_leave_together(lines: list[Line]) -> None:
    for line in lines:
        line.send(b"text\r\n.\r\n")
        assert line.transport.value() == b""
    lines[0].turn()
    for line in lines:
        assert line.transport.value() == b"MAIL FROM:<>\r\nRCPT TO:<bob@x.test>\r\nDATA\r\n"


def test_a_letter_in_one_piece_waits_for_the_others_too(lines: list[Line]) -> None:
    line, _ = lines
    done = line.send(b"text\r\n.\r\n")
    line.turn()
    line.transport.clear()
    line.say(b"250 ok\r\n250 ok\r\n354 go\r\n")
    assert line.transport.value() == b""
    line.turn()
    assert line.transport.value() == b"text\r\n.\r\n"
    line.say(b"250 2.0.0 taken\r\n")
    assert done.called
    assert line.connection.client.answers[0].status == "2.0.0"


def test_a_large_letter_keeps_its_place_behind_the_commands(lines: list[Line]) -> None:
    line, _ = lines
    line.send(b"one\r\n", b"two\r\n", b".\r\n")
    line.say(b"250 ok\r\n250 ok\r\n354 go\r\n")  # too early, and no matter here
    line.turn()
    commands = b"MAIL FROM:<>\r\nRCPT TO:<bob@x.test>\r\nDATA\r\n"
    assert line.transport.value() == commands + b"one\r\ntwo\r\n.\r\n"


def test_what_is_unsaid_when_the_line_is_cut_is_never_said(lines: list[Line]) -> None:
    """Nobody may get a letter of which nobody is told."""
    line, other = lines
    for each in lines:
        each.send(b"text\r\n.\r\n").addErrback(lambda _: None)
    line.connection.abort()
    line.turn()
    assert line.transport.value() == b""
    assert other.transport.value() != b""


def test_one_that_fails_keeps_nobody_back() -> None:
    clock = Clock()
    burst, sent = Burst(clock), list[int]()
    burst.add(lambda: sent.append(1))
    burst.add(lambda: sent.append(1 // 0))
    burst.add(lambda: sent.append(2))
    clock.advance(0)
    assert sent == [1, 2]
