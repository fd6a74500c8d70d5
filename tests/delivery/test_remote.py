"""Delivery to other servers on a reactor in memory: who is tried, in which order, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailstack.config.settings import Route, Settings, Smarthost
from mailstack.delivery.connection import CUT_OFF, FAREWELL
from mailstack.delivery.ip import Here
from mailstack.delivery.parcel import MAX_TEXT
from mailstack.delivery.pool import Rules
from mailstack.delivery.remote import MAX_HOSTS, RemoteDelivery
from mailstack.interfaces.delivery import ITransport
from mailstack.interfaces.log import IEventLog
from mailstack.model.address import Address
from mailstack.model.letter import Due, Letter, Pending, Recipient
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome, Waits
from mailstack.model.reply import Reply
from mailstack.spool.memory import MemorySpool
from tests.delivery.memory_dns import MemoryResolver, Zone, run
from tests.delivery.some_settings import settings

ALICE = Address("alice", "office.test")
CONTENT = b"Return-Path: <alice@office.test>\nReceived: here\n\n.hello\n"
FIXED = settings(("*", Route("smtp", "192.0.2.1", 2525, literal=True)))
ZONE: Zone = {
    ("x.test", "MX"): ["10 mx1.x.test.", "20 mx2.x.test."],
    ("mx1.x.test", "A"): ["192.0.2.1"],
    ("mx1.x.test", "AAAA"): ["2001:db8::1"],
    ("mx2.x.test", "A"): ["192.0.2.2"],
    ("ours.test", "MX"): ["10 mx.office.test."],
    ("many.test", "MX"): [f"{n} mx{n}.many.test." for n in range(9)],
    **{(f"mx{n}.many.test", "A"): [f"192.0.2.{n}"] for n in range(9)},
    ("dangling.test", "MX"): ["10 gone.x.test.", "20 gone.y.test."],
    ("null.test", "MX"): ["0 ."],
}


@implementer(IEventLog)
class Notes:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def event(self, id: str, **fields: object) -> None:
        self.lines.append((id, fields))

    def each(self, id: str, several: Sequence[Mapping[str, object]], **shared: object) -> None:
        for own in several:
            self.event(id, **own, **shared)

    detail = warn = event

    def failure(self, id: str, note: str) -> None:
        raise AssertionError(note)


class Transport(StringTransport):
    """Can be aborted, and forgets what it was asked to send once that was read."""

    def __init__(self) -> None:
        super().__init__()
        self.no_delay = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def take(self) -> bytes:
        data: bytes = self.value()
        self.clear()
        return data


class Scene:
    """One delivery, from the servers' point of view."""

    def __init__(
        self,
        found: Settings = FIXED,
        zone: Zone = ZONE,
        content: bytes = CONTENT,
        broken: str = "",
        ports: Sequence[tuple[str, int]] = (),
    ) -> None:
        self.reactor = MemoryReactorClock()
        self.spool = MemorySpool()
        self.content = content
        self.notes = Notes()
        self.resolver = MemoryResolver(zone, [broken])
        here = Here(lambda: ports, lambda address: "192.0.2.254")
        self.remote = RemoteDelivery(self.reactor, found, self.resolver, self.spool, self.notes, Random(1), here=here)
        self.outcomes: Mapping[int, Outcome] | None = None
        self.transport = Transport()
        self._protocol: Any = None
        self._served = 0

    def deliver(self, *recipients: str, stored: bool = True, **more: Any) -> Scene:
        """``more`` is for the letter."""
        everyone = tuple(Recipient(a, a) for a in map(Address.parse, recipients or ("bob@x.test",)))
        letter = Letter("L1", ALICE, everyone, 0.0, len(self.content), self.content.count(b"\n"), 33, False, 0)
        letter = evolve(letter, **more)
        if stored:
            incoming = self.spool.receive("L1")
            incoming.write(self.content)
            run(self.spool.add(letter, incoming))
        pending = tuple(Pending(number, recipient) for number, recipient in enumerate(everyone))
        self.work = Deferred.fromCoroutine(self._attempts(Due(letter, pending)))
        return self

    async def _attempts(self, due: Due) -> None:
        """As the queue makes them: who had no turn in one has the next one."""
        while due.pending:
            (found,) = await self.remote.deliver([due])
            assert found
            self.outcomes = {**(self.outcomes or {}), **found}
            due = evolve(due, pending=tuple(each for each in due.pending if each.number not in found))

    def client(self) -> tuple[str, int, Any]:
        """The connection that is being made now."""
        assert len(self.reactor.tcpClients) > self._served, "nobody is called"
        host, port, factory, *_ = self.reactor.tcpClients[self._served]
        self._served += 1
        return host, port, factory

    def refuse(self) -> str:
        host, _, factory = self.client()
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        return host

    def connect(self) -> str:
        host, _, factory = self.client()
        self._protocol = factory.buildProtocol(None)
        self.transport = Transport()
        self._protocol.makeConnection(self.transport)
        return host

    def say(self, *lines: str) -> list[str]:
        """What the client says to these lines."""
        self._protocol.dataReceived("".join(f"{line}\r\n" for line in lines).encode())
        return self.transport.take().decode().splitlines()

    def hear(self, octets: bytes) -> None:
        """Whatever the server sends."""
        self._protocol.dataReceived(octets)

    def hang_up(self) -> None:
        self._protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def outcome(self) -> Outcome:
        assert self.outcomes is not None, "it is not over"
        assert set(self.outcomes) == {0}
        return self.outcomes[0]

    def quiet(self) -> bool:
        """Whether no timer is left behind."""
        return not [call for call in self.reactor.getDelayedCalls() if call.active()]


def test_interface() -> None:
    assert verifyObject(ITransport, Scene().remote)


def test_whole_delivery() -> None:
    """The message goes out from relay_offset on, dots stuffed. When no other follows, QUIT is said; nothing is left."""
    scene = Scene().deliver()
    assert scene.connect() == "192.0.2.1"
    assert scene.say("220 hi") == ["EHLO mx.office.test"]
    assert scene.say("250 hi") == ["MAIL FROM:<alice@office.test>"]
    assert scene.say("250 ok") == ["RCPT TO:<bob@x.test>"]
    assert scene.say("250 ok") == ["DATA"]
    assert scene.say("354 go") == ["Received: here", "", "..hello", "."]
    assert scene.say("250 2.0.0 queued") == []
    assert scene.outcome == Delivered(Reply(250, "2.0.0", "queued"), "192.0.2.1[192.0.2.1]:2525", action="relayed")
    scene.reactor.advance(Rules().idle)
    assert scene.transport.take() == b"QUIT\r\n"
    scene.say("221 bye")
    assert scene.transport.disconnecting
    scene.hang_up()
    assert scene.quiet()


def test_time_until_the_server_was_ready() -> None:
    """For ``delays=``: connection, greeting and EHLO, of all hosts that were tried."""
    scene = Scene(settings()).deliver()
    scene.reactor.advance(3)
    scene.refuse()
    scene.connect()
    scene.reactor.advance(4)
    scene.say("220 hi")
    scene.say("250 hi")
    scene.reactor.advance(5)
    scene.say("550 no")
    assert scene.outcome.setup == 7


def test_declared_size_is_never_too_small() -> None:
    scene = Scene().deliver()
    scene.connect()
    scene.say("220 hi")
    (mail,) = scene.say("250-hi", "250 SIZE 0")
    real = len(CONTENT[33:].replace(b"\n", b"\r\n"))
    assert real <= int(mail.partition("SIZE=")[2]) <= real + 5


def test_fields_that_go_before_the_message() -> None:
    """They count in its size, too."""
    opening = b"Delivered-To: team@office.test\n"
    scene = Scene().deliver(opening=opening)
    scene.connect()
    scene.say("220 hi")
    (mail,) = scene.say("250-hi", "250 SIZE 0")
    real = len((opening + CONTENT[33:]).replace(b"\n", b"\r\n"))
    assert real <= int(mail.partition("SIZE=")[2]) <= real + 5
    scene.say("250 ok")
    scene.say("250 ok")
    assert scene.say("354 go") == ["Delivered-To: team@office.test", "Received: here", "", "..hello", "."]


def test_outcome_does_not_wait_for_the_good_bye() -> None:
    """A server that does not answer QUIT is left alone soon."""
    scene = Scene().deliver()
    scene.connect()
    scene.say("554 no")
    assert isinstance(scene.outcome, Failed)
    assert not scene.transport.disconnected
    scene.reactor.advance(FAREWELL)
    assert scene.transport.disconnected


def test_mx_in_order_ipv6_first() -> None:
    """Every address of the best host, then the next host; none of them answers: try later."""
    scene = Scene(settings()).deliver()
    assert [scene.refuse() for _ in range(3)] == ["2001:db8::1", "192.0.2.1", "192.0.2.2"]
    assert isinstance(scene.outcome, Delayed)
    assert scene.outcome.reply.status == "4.4.1"
    assert "mx2.x.test[192.0.2.2]:25" in scene.outcome.reply.text
    assert scene.outcome.relay == "mx2.x.test[192.0.2.2]:25"


@pytest.mark.parametrize("greeting", ["450 busy", "554 no", "421 later", "nonsense"])
def test_next_host_after_a_bad_greeting(greeting: str) -> None:
    scene = Scene(settings()).deliver()
    scene.refuse()
    assert scene.connect() == "192.0.2.1"
    scene.say(greeting)
    assert scene.outcomes is None
    assert scene.connect() == "192.0.2.2"
    scene.say("220 hi")
    scene.say("250 hi")
    scene.say("550 5.7.1 not you")
    assert scene.outcome == Failed(Reply(550, "5.7.1", "not you"), "mx2.x.test[192.0.2.2]:25")


@pytest.mark.parametrize("code", [450, 550])
def test_a_verdict_is_final_for_this_attempt(code: int) -> None:
    """Once MAIL was said, no other host is asked."""
    scene = Scene(settings()).deliver()
    scene.connect()
    scene.say("220 hi")
    scene.say("250 hi")
    scene.say(f"{code} no")
    assert scene.outcome.reply.code == code
    assert scene.outcome.reply.status == f"{code // 100}.0.0"
    assert len(scene.reactor.tcpClients) == 1


def test_all_hosts_refuse_for_good() -> None:
    scene = Scene(settings()).deliver()
    for _ in range(3):
        scene.connect()
        scene.say("554 no mail here")
    assert isinstance(scene.outcome, Failed)


def test_one_host_may_come_back() -> None:
    """A temporary problem with one host outweighs the others' refusals."""
    scene = Scene(settings()).deliver()
    scene.refuse()
    for _ in range(2):
        scene.connect()
        scene.say("554 no mail here")
    assert isinstance(scene.outcome, Delayed)
    assert scene.outcome.relay == "mx1.x.test[2001:db8::1]:25"


def test_bounded_number_of_hosts() -> None:
    """What was not tried yet may work next time: even if all said no so far."""
    scene = Scene(settings()).deliver("bob@many.test")
    for _ in range(MAX_HOSTS):
        scene.connect()
        scene.say("554 no mail here")
    assert isinstance(scene.outcome, Delayed)
    assert len(scene.reactor.tcpClients) == MAX_HOSTS


def test_bounded_time_for_the_search() -> None:
    scene = Scene(settings()).deliver()
    scene.connect()
    scene.reactor.advance(301)
    assert isinstance(scene.outcome, Delayed)
    assert len(scene.reactor.tcpClients) == 1


@pytest.mark.parametrize(
    ("recipient", "code", "status"),
    [
        ("bob@missing.test", 550, "5.1.2"),
        ("bob@null.test", 556, "5.1.10"),
        ("bob@broken.test", 451, "4.4.3"),
        ("bob@ours.test", 554, "5.4.6"),
        ("bob@dangling.test", 550, "5.1.2"),
    ],
)
def test_dns_decides(recipient: str, code: int, status: str) -> None:
    """Nobody is called where DNS names nobody."""
    scene = Scene(settings(), broken="broken.test").deliver(recipient)
    assert (scene.outcome.reply.code, scene.outcome.reply.status) == (code, status)
    assert isinstance(scene.outcome, Failed if code >= 500 else Delayed)
    assert scene.outcome.relay == "none"
    assert not scene.reactor.tcpClients


def test_each_recipient_has_its_outcome() -> None:
    scene = Scene().deliver("a@x.test", "b@x.test", "c@x.test")
    scene.connect()
    scene.say("220 hi")
    scene.say("250-hi", "250 PIPELINING")
    scene.say("250 ok", "250 ok", "550 5.1.1 no", "450 4.2.1 later", "354 go")
    scene.say("250 2.0.0 done")
    assert scene.outcomes is not None
    assert [type(scene.outcomes[n]) for n in range(3)] == [Delivered, Failed, Delayed]


def test_lost_in_the_middle() -> None:
    scene = Scene().deliver()
    scene.connect()
    scene.say("220 hi")
    scene.say("250 hi")
    scene.hang_up()
    assert isinstance(scene.outcome, Delayed)
    assert scene.outcome.reply.status == "4.4.2"
    assert "while waiting for MAIL" in scene.outcome.reply.text
    assert scene.quiet()


def test_next_host_when_the_first_breaks_off_before_it_heard_of_the_letter() -> None:
    scene = Scene(settings()).deliver()
    scene.connect()
    scene.say("220 hi")
    scene.say("250 hi")
    scene.hang_up()
    assert scene.connect() == "192.0.2.1"
    scene.say("220 hi")
    scene.say("250 hi")
    scene.say("250 ok")
    scene.hang_up()
    assert isinstance(scene.outcome, Delayed)
    assert scene.outcome.relay == "mx1.x.test[192.0.2.1]:25"
    assert not scene.outcome.unreachable


UNREACHABLE = {
    "refused": [],
    "greeting_4xx": ["450 busy"],
    "greeting_421": ["421 busy"],
    "greeting_odd": ["what?"],
    "hello_4xx": ["220 hi", "450 not now"],
    "mail_421": ["220 hi", "250 hi", "421 not now"],
    "rcpt_421": ["220 hi", "250 hi", "250 ok", "421 not now"],
    "final_421": ["220 hi", "250 hi", "250 ok", "250 ok", "354 go", "421 not now"],
}


@pytest.mark.parametrize("lines", UNREACHABLE.values(), ids=UNREACHABLE)
def test_destination_fails(lines: list[str]) -> None:
    """Whatever the letter is: other letters for it need not try now."""
    scene = Scene().deliver()
    if lines:
        scene.connect()
    else:
        scene.refuse()
    for line in lines:
        scene.say(line)
    assert isinstance(scene.outcome, Delayed) and scene.outcome.unreachable


@pytest.mark.parametrize("said", [[], ["220 hi"], ["220 hi", "250 hi"]], ids=len)
@pytest.mark.parametrize("how", ["lost", "silent"])
def test_destination_that_breaks_off(said: list[str], how: str) -> None:
    """Before MAIL was answered it has nothing to do with the letter."""
    scene = Scene().deliver()
    scene.connect()
    for line in said:
        scene.say(line)
    if how == "lost":
        scene.hang_up()
    else:
        scene.reactor.advance(301)
    assert isinstance(scene.outcome, Delayed) and scene.outcome.unreachable


def test_destination_that_dns_does_not_find_now() -> None:
    scene = Scene(settings(), broken="broken.test").deliver("bob@broken.test")
    assert isinstance(scene.outcome, Delayed) and scene.outcome.unreachable


@pytest.mark.parametrize("said", [["450 greylisted"], ["250 ok", "450 greylisted"], ["250 ok", "250 ok", "451 no"]])
def test_letter_that_is_put_off(said: list[str]) -> None:
    """Others may be welcome: greylisting, a full mailbox."""
    scene = Scene().deliver()
    open_with(scene)
    for line in said:
        scene.say(line)
    assert isinstance(scene.outcome, Delayed) and not scene.outcome.unreachable


@pytest.mark.parametrize("how", ["lost", "silent"])
@pytest.mark.parametrize("said", [["250 ok"], ["250 ok", "250 ok"], ["250 ok", "250 ok", "354 go"]], ids=len)
def test_letter_at_which_the_server_breaks_off(said: list[str], how: str) -> None:
    """It may be the letter that is too much for it."""
    scene = Scene().deliver()
    open_with(scene)
    for line in said:
        scene.say(line)
    if how == "lost":
        scene.hang_up()
    else:
        scene.reactor.advance(601)
    assert isinstance(scene.outcome, Delayed) and not scene.outcome.unreachable


def test_host_that_is_no_use_for_a_letter_that_requires_tls_may_be_for_others() -> None:
    zone: Zone = {("y.test", "A"): ["192.0.2.8", "192.0.2.9"]}
    scene = Scene(settings(), zone).deliver("bob@y.test", require_tls=True)
    scene.refuse()
    open_with(scene)
    assert isinstance(scene.outcome, Delayed) and not scene.outcome.unreachable


def test_drop_by_drop_does_not_reset_the_time() -> None:
    """A reply must be whole in time, not just keep coming."""
    scene = Scene().deliver()
    scene.connect()
    for _ in range(31):
        scene._protocol.dataReceived(b"2")
        scene.reactor.advance(10)
    assert isinstance(scene.outcome, Delayed)
    assert "Timed out after 300 s" in scene.outcome.reply.text
    assert scene.transport.disconnected


def test_whole_session_is_bounded() -> None:
    """A server that answers each command just in time is given up all the same."""
    scene = Scene().deliver(*(f"user{n}@x.test" for n in range(100)))
    scene.connect()
    scene.say("220 hi")
    scene.say("250 hi")
    for _ in range(20):
        scene.say("250 ok")
        scene.reactor.advance(290)
    assert scene.outcomes is not None
    assert "too slow" in scene.outcomes[0].reply.text


def test_back_pressure() -> None:
    """No more of the file is read than the network takes."""
    scene = Scene(content=b"x" * 33 + b"line of text\n" * 100_000).deliver()
    scene.connect()
    pause_at_once = scene.transport.write

    def write(data: bytes) -> None:
        pause_at_once(data)
        if scene.transport.producer is not None:
            scene.transport.producer.pauseProducing()

    scene.transport.write = write  # type: ignore[method-assign]
    for line in ("220 hi", "250 hi", "250 ok", "250 ok"):
        scene.say(line)
    sizes = [len("\n".join(scene.say("354 go")))]
    while scene.transport.producer is not None:
        scene.transport.producer.resumeProducing()
        sizes.append(len(scene.transport.take()))
    assert max(sizes) < 80_000
    assert sum(sizes) > 1_300_000
    scene.say("250 done")
    assert isinstance(scene.outcome, Delivered)


def test_stuck_in_the_data() -> None:
    """A block that does not go out in 3 minutes ends it, RFC 5321 §4.5.3.2.5; one that does gives new time."""
    scene = Scene(content=b"x" * 33 + b"line of text\n" * 100_000).deliver()
    scene.connect()
    scene.transport.write = lambda data: scene.transport.producer and scene.transport.producer.pauseProducing()  # type: ignore[method-assign,assignment]
    for line in ("220 hi", "250 hi", "250 ok", "250 ok", "354 go"):
        scene.say(line)
    scene.reactor.advance(170)
    scene.transport.producer.resumeProducing()  # type: ignore[attr-defined]
    scene.reactor.advance(170)
    assert scene.outcomes is None
    scene.reactor.advance(10)
    assert isinstance(scene.outcome, Delayed)
    assert scene.transport.producer is None


def test_file_is_gone() -> None:
    """Then nobody is called; the queue decides what becomes of it."""
    scene = Scene().deliver(stored=False)
    assert isinstance(scene.outcome, Delayed)
    assert scene.outcome.reply.status == "4.3.0"
    assert scene.notes.lines


def test_disk_error_in_the_middle() -> None:
    """The connection is cut before the end of data: the server must not take half a message for a whole one."""
    scene = Scene()
    scene.deliver()
    scene.connect()
    for line in ("220 hi", "250 hi", "250 ok", "250 ok"):
        scene.say(line)

    def broken(empty: bool) -> Any:
        yield b"half"
        raise OSError(5, "Input/output error")

    scene._protocol._wrappedProtocol._content = broken
    assert scene.say("354 go") == []
    assert isinstance(scene.outcome, Delayed)
    assert scene.outcome.reply == Reply(451, "4.3.0", "The queue file cannot be read: Input/output error")
    assert scene.transport.disconnected


def test_long_reply_is_cut() -> None:
    scene = Scene().deliver()
    scene.connect()
    scene.say("220 hi")
    scene.say("250 hi")
    scene.say(*["550-" + "x" * 400] * 100, "550 end")
    assert len(scene.outcome.reply.text) <= MAX_TEXT + 3


def smarthost(tmp_path: Path, **changes: Any) -> Settings:
    fields = {"host": "[127.0.0.1]", "port": 587, "username": "user", "tls": "none"} | changes
    found = Smarthost(password_file=tmp_path / "secret", **fields)
    return settings(("*", Route("smarthost")), smarthost=found)


def test_smarthost_password_is_read_each_time(tmp_path: Path) -> None:
    scene = Scene(smarthost(tmp_path))
    (tmp_path / "secret").write_text("s3cret\n")
    scene.deliver()
    scene.connect()
    scene.say("220 hi")
    assert scene.say("250-hi", "250 AUTH PLAIN") == ["AUTH PLAIN AHVzZXIAczNjcmV0"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_smarthost_password_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    """Mail waits, and the postmaster is told."""
    if content:
        (tmp_path / "secret").write_bytes(content)
    scene = Scene(smarthost(tmp_path)).deliver()
    assert isinstance(scene.outcome, Delayed)
    assert scene.outcome.reply.status == "4.3.5"
    assert "password_file" in str(scene.notes.lines)


def test_smarthost_is_missing(tmp_path: Path) -> None:
    scene = Scene(smarthost(tmp_path, host="")).deliver()
    assert isinstance(scene.outcome, Delayed)
    assert "[smarthost] host is empty" in scene.outcome.reply.text


def test_lmtp_over_a_unix_socket() -> None:
    scene = Scene(settings(("*", Route("lmtp", "/run/lmtp")))).deliver()
    path, factory, *_ = scene.reactor.unixClients[0]
    assert path == "/run/lmtp"
    factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    assert isinstance(scene.outcome, Delayed)
    assert scene.outcome.relay == "localhost[/run/lmtp]"


def open_with(scene: Scene, *extensions: str) -> None:
    scene.connect()
    scene.say("220 hi")
    scene.say("250-hi", *(f"250-{extension}" for extension in extensions), "250 HELP")


def texts(scene: Scene) -> list[str]:
    assert scene.outcomes is not None
    return [str(scene.outcomes[number].reply) for number in sorted(scene.outcomes)]


def test_server_that_takes_few_recipients_gets_the_others_in_a_further_transaction() -> None:
    """RFC 9422: at once, not after a pause; each recipient has the answer of its own transaction."""
    scene = Scene().deliver("a@x.test", "b@x.test", "c@x.test")
    open_with(scene, "LIMITS RCPTMAX=2")
    for round, names in enumerate((("a", "b"), ("c",))):
        for name in names:
            assert scene.say("250 ok") == [f"RCPT TO:<{name}@x.test>"]
        assert scene.say("250 ok") == ["DATA"]
        scene.say("354 go")
        said = scene.say(f"250 2.0.0 queued {round}")
        assert said == (["MAIL FROM:<alice@office.test>"] if round == 0 else [])
    assert texts(scene) == ["250 2.0.0 queued 0", "250 2.0.0 queued 0", "250 2.0.0 queued 1"]
    assert [outcome.conn_use for outcome in (scene.outcomes or {}).values()] == [1, 1, 2]


def test_server_that_takes_few_letters_gets_the_other_recipients_in_a_further_session() -> None:
    """RFC 9422, MAILMAX."""
    scene = Scene().deliver("a@x.test", "b@x.test")
    for round, name in enumerate("ab"):
        open_with(scene, "LIMITS MAILMAX=1 RCPTMAX=1")
        assert scene.say("250 ok") == [f"RCPT TO:<{name}@x.test>"]
        scene.say("250 ok")
        scene.say("354 go")
        assert scene.say(f"250 2.0.0 queued {round}") == ["QUIT"]
    assert texts(scene) == ["250 2.0.0 queued 0", "250 2.0.0 queued 1"]


@pytest.mark.parametrize("too_many", ["452 4.5.3 too many", "452 too many", "552 too many"])
def test_recipients_too_many_go_at_once(too_many: str) -> None:
    """RFC 5321 §4.5.3.1.10: not after a pause, as long as some were taken."""
    scene = Scene().deliver("a@x.test", "b@x.test", "c@x.test")
    open_with(scene, "PIPELINING")
    scene.say("250 ok", "250 ok", too_many, too_many, "354 go")
    assert scene.say("250 2.0.0 first") == ["MAIL FROM:<alice@office.test>", *rcpts("b", "c"), "DATA"]
    scene.say("250 ok", "250 ok", too_many, "354 go")
    assert scene.say("250 2.0.0 second") == ["MAIL FROM:<alice@office.test>", *rcpts("c"), "DATA"]
    scene.say("250 ok", too_many, "503 nobody")
    found = texts(scene)
    assert found[:2] == ["250 2.0.0 first", "250 2.0.0 second"]
    assert found[2].startswith(too_many[:3])


def rcpts(*names: str) -> list[str]:
    return [f"RCPT TO:<{name}@x.test>" for name in names]


def test_recipients_too_many_wait_when_the_server_has_no_time_for_the_first_ones() -> None:
    """A server that puts the message itself off would do it again for the others."""
    scene = Scene().deliver("a@x.test", "b@x.test")
    open_with(scene, "PIPELINING")
    scene.say("250 ok", "250 ok", "452 4.5.3 too many", "354 go")
    assert scene.say("451 4.7.1 not now") == []
    assert texts(scene) == ["451 4.7.1 not now", "452 4.5.3 too many"]


def test_mailbox_that_is_full_is_not_too_many() -> None:
    scene = Scene().deliver("a@x.test", "b@x.test")
    open_with(scene, "PIPELINING")
    scene.say("250 ok", "250 ok", "452 4.2.2 full", "354 go")
    assert scene.say("250 2.0.0 taken") == []
    assert texts(scene) == ["250 2.0.0 taken", "452 4.2.2 full"]


def test_refusal_of_a_server_that_takes_few_recipients_is_for_all() -> None:
    scene = Scene().deliver("a@x.test", "b@x.test")
    scene.connect()
    scene.say("220 hi")
    scene.say("250-hi", "250 LIMITS RCPTMAX=1")
    scene.say("550 5.7.1 not you")
    assert scene.outcomes is not None and len(scene.outcomes) == 2


def test_server_that_knows_dsn_reports_itself() -> None:
    scene = Scene().deliver()
    scene.connect()
    scene.say("220 hi")
    scene.say("250-hi", "250 DSN")
    for line in ("250 ok", "250 ok", "354 go", "250 2.0.0 queued"):
        scene.say(line)
    assert isinstance(scene.outcome, Delivered) and scene.outcome.action == ""


def test_lmtp_is_the_delivery_itself() -> None:
    scene = Scene(settings(("*", Route("lmtp", "192.0.2.1", 24, literal=True)))).deliver()
    scene.connect()
    for line in ("220 hi", "250 hi", "250 ok", "250 ok", "354 go", "250 2.0.0 saved"):
        scene.say(line)
    assert isinstance(scene.outcome, Delivered) and scene.outcome.action == "delivered"


def test_stop_between_two_transactions_for_one_letter() -> None:
    """Who has it does not get it again."""
    scene = Scene().deliver("a@x.test", "b@x.test")
    open_with(scene, "LIMITS RCPTMAX=1")
    for line in ("250 ok", "250 ok", "354 go", "250 2.0.0 queued", "250 ok"):
        scene.say(line)
    scene.work.addErrback(lambda failure: failure.trap(CancelledError))
    scene.work.cancel()
    assert scene.transport.disconnected
    assert texts(scene) == ["250 2.0.0 queued"]


def test_stop_between_two_answers_by_lmtp() -> None:
    scene = Scene(settings(("*", Route("lmtp", "192.0.2.1", 24, literal=True)))).deliver("a@x.test", "b@x.test")
    scene.connect()
    for line in ("220 hi", "250 hi", "250 ok", "250 ok", "250 ok", "354 go", "250 2.0.0 saved"):
        scene.say(line)
    scene.work.cancel()
    assert scene.transport.disconnected and scene.quiet()
    assert texts(scene) == ["250 2.0.0 saved", str(CUT_OFF)]


def test_stop_before_anybody_has_it() -> None:
    scene = Scene().deliver("a@x.test", "b@x.test")
    open_with(scene)
    for line in ("250 ok", "550 5.1.1 unknown", "250 ok", "354 go"):
        scene.say(line)
    scene.work.addErrback(lambda failure: failure.trap(CancelledError))
    scene.work.cancel()
    assert scene.outcomes is None and scene.transport.disconnected


def test_letter_that_requires_tls_goes_back_without_it() -> None:
    """RFC 8689 §4.2.1, and the password of no policy is needed for it."""
    scene = Scene().deliver(require_tls=True)
    scene.connect()
    scene.say("220 hi")
    assert scene.say("250 hi") == ["QUIT"]
    assert isinstance(scene.outcome, Failed) and scene.outcome.reply.status == "5.7.10"


def test_letter_that_requires_tls_does_not_trust_the_names_of_dns() -> None:
    """RFC 8689 §2: an MX whose name nobody vouches for may be anybody's."""
    scene = Scene(settings()).deliver(require_tls=True)
    assert isinstance(scene.outcome, Failed) and scene.outcome.reply.status == "5.7.10"
    assert not scene.reactor.tcpClients


def test_domain_that_is_its_own_server_can_be_trusted() -> None:
    scene = Scene(settings(), {("y.test", "A"): ["192.0.2.9"]}).deliver("bob@y.test", require_tls=True)
    assert scene.connect() == "192.0.2.9"


def test_report_about_a_letter_that_required_tls_goes_anywhere() -> None:
    """RFC 8689 §5: rather in clear than lost."""
    scene = Scene(settings()).deliver(require_tls=True, sender=None)
    scene.connect()
    scene.say("220 hi")
    assert scene.say("250-hi", "250 REQUIRETLS") == ["MAIL FROM:<>"]


def test_what_is_fetched_waits() -> None:
    """Nobody is called, and the letter keeps its time in the queue."""
    scene = Scene(settings(("x.test", Route("fetch")))).deliver("bob@x.test")
    assert scene.reactor.tcpClients == []
    assert scene.outcomes is not None
    (outcome,) = scene.outcomes.values()
    assert isinstance(outcome, Waits)
    assert "waits to be fetched" in str(outcome.reply)


def test_ourselves_under_another_name_end_the_search() -> None:
    """Better servers than us are tried, worse ones never: RFC 5321 §5.1."""
    zone = ZONE | {
        ("round.test", "MX"): ["10 mx1.x.test.", "20 we.test.", "30 mx2.x.test."],
        ("we.test", "A"): ["192.0.2.254"],
    }
    scene = Scene(settings(), zone, ports=[("0.0.0.0", 25)]).deliver("bob@round.test")
    assert [scene.refuse(), scene.refuse()] == ["2001:db8::1", "192.0.2.1"]
    assert isinstance(scene.outcome, Delayed)
    assert scene.outcome.reply.status == "4.4.1"


def test_server_of_our_name_ends_the_search() -> None:
    """It is ourselves, behind a router: the mail would come back."""
    scene = Scene(settings()).deliver()
    scene.connect()
    scene.say("220 hi")
    assert scene.say("250 mx.office.test at your service") == ["QUIT"]
    assert isinstance(scene.outcome, Failed)
    assert scene.outcome.reply.status == "5.4.6"
    assert len(scene.reactor.tcpClients) == 1


def test_stranger_that_points_to_our_loopback() -> None:
    """Nobody is called there, where services may trust us."""
    scene = Scene(settings(), {("evil.test", "A"): ["127.0.0.1"]}).deliver("bob@evil.test")
    assert not scene.reactor.tcpClients
    assert isinstance(scene.outcome, Failed)
    assert scene.outcome.reply.status == "5.4.4"


def test_required_tls_never_goes_without() -> None:
    """Neither when STARTTLS is missing, nor when it is refused."""
    for hello, answer in ((["250 hi"], []), (["250-hi", "250 STARTTLS"], ["454 not now"])):
        scene = Scene(settings(("*", Route("smtp", "192.0.2.1", literal=True, tls="required")))).deliver()
        scene.connect()
        scene.say("220 hi")
        scene.say(*hello)
        if answer:
            assert scene.say(*answer) == ["QUIT"]
        assert isinstance(scene.outcome, Delayed)
        assert scene.outcome.reply.status == "4.7.4"
        assert len(scene.reactor.tcpClients) == 1


def test_route_without_tls() -> None:
    scene = Scene(settings(("*", Route("smtp", "192.0.2.1", literal=True, tls="none")))).deliver()
    scene.connect()
    scene.say("220 hi")
    assert scene.say("250-hi", "250 STARTTLS") == ["MAIL FROM:<alice@office.test>"]
