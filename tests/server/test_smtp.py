"""SMTP as Twisted runs it: who waits for whom, what a lost connection leaves, what a client can make us hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstack.interfaces.accounts import Identity
from mailstack.interfaces.spool import IIncoming
from mailstack.model.address import Address
from mailstack.model.letter import Letter
from mailstack.model.reply import Reply
from mailstack.server.connections import STRESS_TIMEOUT, Connections
from mailstack.server.conversation import ENOUGH, FAREWELL
from mailstack.server.countdown import LOOK
from mailstack.server.smtp import Listening, SmtpFactory
from tests.intake.office import NEIGHBOUR, PROXY, STRANGER, Office, RefusingSpool
from tests.server.recordings import ListSessions
from tests.server.wire import BUFFER, Wire

COMMAND, DATA = 300.0, 60.0
RATE = 500.0  # octets a second
GREETING = b"220 mail.office.test ESMTP mailstack\r\n"
ENVELOPE = b"HELO a\r\nMAIL FROM:<friend@far.test>\r\nRCPT TO:<alice@office.test>\r\nDATA\r\n"
TAKEN = b"250 mail.office.test greets a\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"
QUEUED = b"250 2.0.0 Ok: queued as ID%d\r\n"
BYE = b"221 2.0.0 mail.office.test closing, good bye\r\n"


class SlowSpool(RefusingSpool):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Deferred[None]] = []

    async def add(self, letter: Letter, content: IIncoming) -> None:
        answer: Deferred[None] = Deferred()
        self.waiting.append(answer)
        await answer
        await super().add(letter, content)

    def work(self) -> None:
        self.waiting.pop(0).callback(None)


class Service:
    """A factory with fakes all around."""

    def __init__(
        self,
        *,
        spool: RefusingSpool | None = None,
        tls: Any = None,
        submission: bool = False,
        total: int = 100,
        per_client: int = 10,
        delay: float = 0.0,
    ) -> None:
        self.clock = Clock()
        self.office = Office(spool=spool or RefusingSpool())
        self.connections = Connections(total, per_client, self.office.counts, self.office.settings.server.xclient)
        self.sessions = ListSessions(self.clock)
        listening = Listening(
            lambda peer: self.office.reception(
                peer.address, submission=submission, tls=tls is not None, loopback=peer.loopback
            ),
            COMMAND,
            DATA,
            tls,
            RATE,
            lambda peer: delay,
            self.sessions,
            "submission" if submission else "smtp",
        )
        self.factory = SmtpFactory(self.clock, self.connections, listening)

    def connect(self, address: str = STRANGER, slow: bool = False) -> Wire:
        return Wire(self.factory.buildProtocol(None), address, slow)


@pytest.fixture
def service() -> Service:
    return Service()


def test_session(service: Service) -> None:
    """Answers to what is pipelined leave together; QUIT hangs up, and what comes behind it is not looked at."""
    wire = service.connect()
    assert wire.said == GREETING
    assert wire.send(ENVELOPE) == TAKEN
    assert wire.send(b"x: 1\r\n.\r\nQUIT\r\nNOOP\r\n") == QUEUED % 1 + BYE
    assert wire.disconnecting
    assert wire.send(b"NOOP\r\n") == b""
    assert service.office.contents == [b"x: 1\n"]
    wire.lose()
    assert not len(service.connections)
    assert not service.clock.getDelayedCalls()


# ---- Slow answers


def test_nothing_overtakes_a_slow_answer() -> None:
    """What is pipelined behind the end of data is not looked at before the letter is ours; answers are in order."""
    spool = SlowSpool()
    service = Service(spool=spool)
    wire = service.connect()
    wire.send(ENVELOPE)
    assert wire.send(b"x: 1\r\n.\r\nNOOP\r\nQUIT\r\n") == b""
    assert not wire.disconnecting
    assert service.office.woken == []
    spool.work()
    assert wire.read() == QUEUED % 1 + b"250 2.0.0 Ok\r\n" + BYE
    assert service.office.woken == ["ID1"]


def test_two_letters_in_one_segment_wait_for_each_other() -> None:
    spool = SlowSpool()
    service = Service(spool=spool)
    wire = service.connect()
    second = ENVELOPE.removeprefix(b"HELO a\r\n")
    wire.send(ENVELOPE + b"x: 1\r\n.\r\n" + second + b"x: 2\r\n.\r\n")
    assert len(spool.waiting) == 1
    spool.work()
    assert len(spool.waiting) == 1
    assert wire.read() == b""
    spool.work()
    answers = TAKEN.partition(b"\r\n")[2]
    assert wire.read() == TAKEN + QUEUED % 1 + answers + QUEUED % 2


def test_nothing_overtakes_a_slow_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """MAIL behind AUTH is looked at when it is known who says it."""
    service = Service(submission=True)
    answer: Deferred[Identity | Reply] = Deferred()

    async def login(name: str, password: str, client: str, authzid: str) -> Identity | Reply:
        return await answer

    monkeypatch.setattr(service.office.authenticator, "login", login)
    wire = service.connect("127.0.0.1")
    wire.send(b"HELO a\r\n")
    assert wire.send(b"AUTH PLAIN AGFsaWNlAHNlc2FtZQ==\r\nMAIL FROM:<alice@office.test>\r\n") == b""
    answer.callback(Identity(Address("alice", "office.test")))
    assert wire.read() == b"235 2.7.0 Logged in\r\n250 2.1.0 Ok\r\n"


def test_backlog_is_bounded() -> None:
    """While an answer is pending, one more piece is taken; then the client has to wait."""
    spool = SlowSpool()
    service = Service(spool=spool)
    wire = service.connect()
    wire.send(ENVELOPE + b"x: 1\r\n.\r\n")
    assert wire.producerState == "producing"
    wire.send(b"NOOP\r\n")
    assert wire.producerState == "paused"
    spool.work()
    assert wire.producerState == "producing"
    assert wire.read().endswith(QUEUED % 1 + b"250 2.0.0 Ok\r\n")


def test_other_sessions_do_not_wait() -> None:
    spool = SlowSpool()
    service = Service(spool=spool)
    service.connect().send(ENVELOPE + b"x: 1\r\n.\r\n")
    assert service.connect().send(ENVELOPE) == TAKEN


def test_we_may_take_longer_than_the_client() -> None:
    """No time-out strikes while it is us whom everybody waits for; after the answer the client has its full time."""
    spool = SlowSpool()
    service = Service(spool=spool)
    wire = service.connect()
    wire.send(ENVELOPE + b"x: 1\r\n.\r\n")
    service.clock.pump([COMMAND] * 5)
    spool.work()
    assert wire.read().endswith(QUEUED % 1)
    service.clock.advance(COMMAND - 1)
    assert not wire.disconnecting
    service.clock.advance(1)
    assert wire.disconnecting


# ---- Clients that do not read


def test_client_that_does_not_read_costs_little(service: Service) -> None:
    """Its commands wait with it, however much a short one makes us say."""
    wire = service.connect(slow=True)
    wire.send(b"HELP\r\n" * 20_000)
    longest = len(b"HELP\r\n") * 100
    assert wire.most <= BUFFER + ENOUGH + longest
    wire.send(b"HELP\r\n")
    assert wire.producerState == "paused"
    while wire.value():
        wire.read()
    assert wire.most <= BUFFER + ENOUGH + longest
    assert wire.said.count(b"\r\n214 ") == 20_001
    assert wire.producerState == "producing"


def test_client_that_never_reads_is_cut_off(service: Service) -> None:
    wire = service.connect(slow=True)
    wire.send(b"HELP\r\n" * 10_000)
    service.clock.advance(COMMAND)
    assert wire.aborted
    assert not service.clock.getDelayedCalls()


def test_client_that_does_not_take_our_good_bye(service: Service) -> None:
    """However slowly it reads: reading does not buy time any more."""
    wire = service.connect(slow=True)
    wire.send(b"QUIT\r\n")
    assert wire.producer is None, "Twisted would wait for more from a producer, and TLS would not close at all"
    service.clock.advance(FAREWELL)
    assert wire.aborted
    assert not service.clock.getDelayedCalls()


# ---- Time


def test_silent_client(service: Service) -> None:
    """421 and good bye; a command gives new time."""
    wire = service.connect()
    service.clock.advance(COMMAND - 1)
    wire.send(b"NOOP\r\n")
    service.clock.advance(COMMAND - 1)
    assert not wire.disconnecting
    service.clock.advance(1)
    assert wire.read() == b"421 4.4.2 No whole command for too long, good bye\r\n"
    assert wire.disconnecting
    service.clock.advance(FAREWELL)
    assert wire.aborted
    assert not service.clock.getDelayedCalls()


def test_dripping_buys_no_time(service: Service) -> None:
    """The whole command must come within its time, however busy the client looks."""
    wire = service.connect()
    wire.send(b"HELO a\r\n")
    for octet in b"NOOP" * 100:
        if not wire.disconnecting:
            wire.send(bytes([octet]))
            service.clock.advance(10)
    assert service.clock.seconds() >= COMMAND
    assert wire.read() == b"421 4.4.2 No whole command for too long, good bye\r\n"
    assert service.office.counts.strikes == [("command_timeout", STRANGER)]


def test_long_commands_may_come_in_their_time(service: Service) -> None:
    """Each answer gives all the time again."""
    wire = service.connect()
    for _ in range(5):
        for octet in b"NOOP\r\n":
            wire.send(bytes([octet]))
            service.clock.advance(COMMAND / 7)
    assert wire.said.count(b"250 2.0.0 Ok\r\n") == 5
    assert not wire.disconnecting


@pytest.mark.parametrize("command", [b"DATA\r\n", b"BDAT 1000000\r\n", b"RSET\r\nBDAT 1000000\r\n"])
def test_message_that_drips(service: Service, command: bytes) -> None:
    """Below the rate it ends when the allowance is used up, and the client keeps the letter; also one to be dropped."""
    wire = service.connect()
    wire.send(ENVELOPE.removesuffix(b"DATA\r\n") + command)
    while not wire.disconnecting:
        wire.send(b"x\r\n" * 10)
        service.clock.advance(1)
    assert DATA <= service.clock.seconds() <= DATA * RATE / (RATE - 30) + 1
    assert wire.read() == b"421 4.4.2 Your message comes in too slowly, good bye\r\n"
    assert service.office.counts.strikes == [("min_data_rate", STRANGER)]
    wire.lose()
    assert not service.office.letters
    assert not service.office.spool.begun
    assert not service.clock.getDelayedCalls()


def test_slow_line_that_stalls_is_borne(service: Service) -> None:
    """A little above the rate, with silence of nearly the data time-out every now and then."""
    wire = service.connect()
    wire.send(ENVELOPE)
    for _ in range(5):
        service.clock.advance(DATA - 2)
        for _ in range(200):
            wire.send(b"x" * int(RATE * 1.5 - 2) + b"\r\n")
            service.clock.advance(1)
    assert not wire.disconnecting
    assert not service.office.counts.strikes


def test_burst_buys_no_more_than_the_data_time_out(service: Service) -> None:
    wire = service.connect()
    wire.send(ENVELOPE)
    wire.send(b"x" * int(RATE * DATA * 100))
    service.clock.advance(DATA)
    assert wire.read() == b"421 4.4.2 You have been silent for too long, good bye\r\n"
    assert service.office.counts.strikes == [("data_timeout", STRANGER)]


def test_little_patience_when_many_are_here() -> None:
    """Above 3/4 of the connections: those that come, and those that were here before; a message keeps its time."""
    service = Service(total=4)
    old, sender = service.connect(), service.connect()
    sender.send(ENVELOPE)
    service.clock.advance(LOOK + 1)
    service.connect()
    service.clock.advance(STRESS_TIMEOUT - 1)
    new = service.connect()
    assert service.connections.stressed
    service.clock.advance(LOOK)
    assert old.disconnecting
    assert new.disconnecting
    assert not sender.disconnecting


# ---- The pause before the greeting


def test_greeting_comes_after_the_pause() -> None:
    service = Service(delay=6.0)
    wire = service.connect()
    service.clock.advance(5)
    assert wire.said + wire.read() == b""
    service.clock.advance(1)
    assert wire.read() == GREETING
    assert wire.send(b"HELO a\r\n") == b"250 mail.office.test greets a\r\n"


def test_early_talker_is_cut_off() -> None:
    """At the first octet, and there is no greeting behind it."""
    service = Service(delay=6.0)
    wire = service.connect()
    assert wire.send(b"E") == b"554 5.5.1 You talk before our greeting; good bye\r\n"
    assert wire.disconnecting
    service.clock.advance(6)
    assert wire.read() == b""
    wire.lose()
    assert service.office.counts.strikes == [("greet_delay", STRANGER)]
    assert not service.clock.getDelayedCalls()


def test_server_that_stops_in_the_pause_does_not_greet() -> None:
    service = Service(delay=6.0)
    wire = service.connect()
    wire.protocol.stop()  # type: ignore[attr-defined]
    service.clock.advance(6)
    assert wire.read() == b"421 4.3.2 The server stops, try again in a moment\r\n"


def test_client_that_does_not_wait_for_the_greeting() -> None:
    service = Service(delay=6.0)
    service.connect().lose()
    assert not service.clock.getDelayedCalls()
    assert not len(service.connections)


def test_too_many_hear_so_without_a_pause() -> None:
    service = Service(delay=6.0, per_client=1)
    service.connect()
    assert service.connect().said.startswith(b"421 4.7.0 ")


def test_silence_in_the_middle_of_a_message(service: Service) -> None:
    """It has a time-out of its own; nothing of the message is kept."""
    wire = service.connect()
    wire.send(ENVELOPE)
    service.clock.advance(DATA - 1)
    wire.send(b"x: 1\r\n")
    service.clock.advance(DATA - 1)
    assert service.office.spool.begun
    service.clock.advance(1)
    assert wire.read().startswith(b"421 4.4.2 ")
    wire.lose()
    assert not service.office.spool.begun
    assert not service.office.letters


def test_good_bye_is_answered_by_closing(service: Service) -> None:
    wire = service.connect()
    wire.send(b"QUIT\r\n")
    wire.lose()
    assert not wire.aborted
    assert not service.clock.getDelayedCalls()


# ---- Clients that go


@pytest.mark.parametrize("sent", [b"", b"HELO a\r\nMAIL", ENVELOPE, ENVELOPE + b"x: 1\r\n\r\nhalf", ENVELOPE + b".\r"])
def test_client_that_vanishes(service: Service, sent: bytes) -> None:
    """Nothing is left of it: no letter, no file, no timer, no place in the count."""
    wire = service.connect()
    wire.send(sent)
    wire.lose()
    assert not service.office.letters
    assert not service.office.spool.begun
    assert not service.clock.getDelayedCalls()
    assert not len(service.connections)


def test_client_that_vanishes_before_the_answer() -> None:
    """The end of data was there: the letter may become ours, and nobody is told so twice."""
    spool = SlowSpool()
    service = Service(spool=spool)
    wire = service.connect()
    wire.send(ENVELOPE + b"x: 1\r\n.\r\nQUIT\r\n")
    wire.lose()
    assert len(spool.begun) == 1, "it is still being written"
    spool.work()
    assert service.office.contents == [b"x: 1\n"]
    assert not spool.begun
    assert not service.clock.getDelayedCalls()


def test_half_close_still_gets_answers() -> None:
    """``printf … | nc``: the client has said all, and listens."""
    spool = SlowSpool()
    service = Service(spool=spool)
    wire = service.connect()
    wire.send(ENVELOPE + b"x: 1\r\n.\r\nNOOP\r\n")
    wire.protocol.readConnectionLost()  # type: ignore[attr-defined]
    assert not wire.disconnecting
    spool.work()
    assert wire.read() == TAKEN + QUEUED % 1 + b"250 2.0.0 Ok\r\n"
    assert wire.disconnecting


def test_half_close_without_end_of_data(service: Service) -> None:
    wire = service.connect()
    wire.send(ENVELOPE + b"x: 1\r\n")
    wire.protocol.readConnectionLost()  # type: ignore[attr-defined]
    assert wire.disconnecting
    wire.lose()
    assert not service.office.letters
    assert not service.office.spool.begun


# ---- TLS


def test_starttls() -> None:
    """The answer leaves in plain, TLS starts behind it, and then everything is forgotten."""
    context = object()
    service = Service(tls=context)
    wire = service.connect()
    wire.send(b"EHLO a\r\n")
    assert wire.send(b"STARTTLS\r\n") == b"220 2.0.0 Ready to start TLS\r\n"
    assert wire.tls is context
    wire.shake_hands()
    assert wire.send(b"MAIL FROM:<>\r\n").startswith(b"503 5.5.1 ")
    assert b"STARTTLS" not in wire.send(b"EHLO a\r\n")
    wire.send(ENVELOPE.removeprefix(b"HELO a\r\n") + b".\r\n")
    with service.office.spool.open("ID1") as file:
        assert b"(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\n" in file.read()


def test_octets_behind_starttls() -> None:
    """The plaintext of somebody in between must not be taken for what comes under TLS."""
    service = Service(tls=object())
    wire = service.connect()
    wire.send(b"EHLO a\r\n")
    assert wire.send(b"STARTTLS\r\nEHLO evil\r\n").startswith(b"421 5.5.1 ")
    assert wire.disconnecting
    assert wire.tls is None


INJECTION = b"EHLO a\r\nSTARTTLS\r\nEHLO evil\r\nMAIL FROM:<>\r\n"
PLAIN = INJECTION.index(b"EHLO evil")  # octets that may come in plain


@pytest.mark.parametrize("cut", range(1, len(INJECTION)))
def test_octets_behind_starttls_however_the_stream_is_cut(cut: int) -> None:
    """Those in the segment with STARTTLS end the session; those in one of their own are for TLS, which they are not."""
    service = Service(tls=object())
    wire = service.connect()
    for piece in (INJECTION[:cut], INJECTION[cut:]):
        if wire.tls is None:
            wire.send(piece)
    assert b"greets evil" not in wire.said
    assert (wire.tls is not None) == (cut == PLAIN)
    assert (b"421 5.5.1 Octets after STARTTLS, before TLS" in wire.said) == (cut != PLAIN)
    if wire.tls is not None:
        wire.shake_hands()
        assert wire.send(b"MAIL FROM:<>\r\n").startswith(b"503 5.5.1 "), "the greeting is forgotten"


# ---- Clients that a proxy names with XCLIENT


def test_named_client_is_counted_as_itself() -> None:
    """The proxy may have many connections, each of its clients a few; who has too many hears so, and is gone."""
    service = Service(per_client=2)
    wires = [service.connect(PROXY) for _ in range(5)]
    assert {wire.said for wire in wires} == {GREETING}
    first, second, third, other, _ = wires
    assert first.send(b"XCLIENT ADDR=192.0.2.7\r\n") == GREETING
    assert second.send(b"XCLIENT ADDR=192.0.2.7\r\n") == GREETING
    assert third.send(b"XCLIENT ADDR=192.0.2.7\r\n") == b"421 4.7.0 Too many connections, try again later\r\n"
    assert third.disconnecting
    assert other.send(b"XCLIENT ADDR=192.0.2.8\r\n") == GREETING
    for wire in wires:
        wire.lose()
    assert not service.connections._clients
    assert not len(service.connections)


def test_proxies_do_not_go_beyond_the_limit_of_all() -> None:
    service = Service(total=1)
    assert service.connect(PROXY).said == GREETING
    assert service.connect(PROXY).said.startswith(b"421 4.7.0 ")


def test_received_names_the_client_and_not_the_proxy(service: Service) -> None:
    wire = service.connect(PROXY)
    wire.send(b"XCLIENT ADDR=IPV6:2001:db8::7 NAME=far.test HELO=laptop.far.test\r\n")
    assert wire.send(ENVELOPE + b"x: 1\r\n.\r\n") == TAKEN + QUEUED % 1
    with service.office.spool.open("ID1") as file:
        assert b"Received: from laptop.far.test (far.test [IPv6:2001:db8::7])\n" in file.read()


def test_log_in_is_throttled_by_the_named_client(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(submission=True)
    clients: list[str] = []

    async def login(name: str, password: str, client: str, authzid: str) -> Identity | Reply:
        clients.append(client)
        return Identity(Address("alice", "office.test"))

    monkeypatch.setattr(service.office.authenticator, "login", login)
    wire = service.connect(PROXY)
    wire.send(b"XCLIENT ADDR=127.0.0.9\r\nEHLO a\r\nAUTH PLAIN AGFsaWNlAHNlc2FtZQ==\r\n")
    assert clients == ["127.0.0.9"]


# ---- Limits and the end


def test_too_many_connections() -> None:
    service = Service(total=2)
    first, _second = service.connect(), service.connect()
    third = service.connect(NEIGHBOUR)
    assert third.said == b"421 4.7.0 Too many connections, try again later\r\n"
    assert third.disconnecting
    assert third.send(b"HELO a\r\n") == b""
    assert service.office.counts.strikes == [("connections", NEIGHBOUR)]
    third.lose()
    first.lose()
    assert service.connect(NEIGHBOUR).said == GREETING


def test_too_many_connections_of_one_client() -> None:
    service = Service(per_client=1)
    first = service.connect()
    assert service.connect().said.startswith(b"421 4.7.0 ")
    assert service.office.counts.strikes == [("connections_per_client", STRANGER)]
    assert service.connect(NEIGHBOUR).said == GREETING
    first.lose()
    assert service.connect().said.startswith(b"421 4.7.0 "), "the one that was turned away is still there"


def test_server_that_stops(service: Service) -> None:
    """Who is idle hears so at once."""
    wire = service.connect()
    wire.send(ENVELOPE + b"x: 1\r\n")
    wire.protocol.stop()  # type: ignore[attr-defined]
    assert wire.read() == b"421 4.3.2 The server stops, try again in a moment\r\n"
    wire.lose()
    assert not service.office.letters
    assert not service.office.spool.begun


def test_server_that_stops_finishes_what_it_is_at() -> None:
    """The letter is answered; what is pipelined behind it is not begun."""
    spool = SlowSpool()
    service = Service(spool=spool)
    wire = service.connect()
    wire.send(ENVELOPE + b"x: 1\r\n.\r\nNOOP\r\n")
    wire.protocol.stop()  # type: ignore[attr-defined]
    assert not wire.disconnecting
    spool.work()
    assert wire.read() == TAKEN + QUEUED % 1 + b"421 4.3.2 The server stops, try again in a moment\r\n"
    assert wire.disconnecting


@pytest.mark.parametrize("abort", [lambda wire: wire.protocol.abort(), lambda wire: wire.abortConnection()])
def test_connection_that_is_cut_while_we_work(abort: Callable[[Wire], None]) -> None:
    spool = SlowSpool()
    service = Service(spool=spool)
    wire = service.connect()
    wire.send(ENVELOPE + b"x: 1\r\n.\r\n")
    abort(wire)
    spool.work()
    assert len(service.office.letters) == 1
    assert not service.clock.getDelayedCalls()
