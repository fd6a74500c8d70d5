"""Connections used for letter after letter, on a reactor in memory: how many, how long, and when one is dead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from mailstack.config.settings import Route, Settings, Smarthost
from mailstack.delivery.connection import FAREWELL
from mailstack.delivery.pool import Rules
from mailstack.delivery.remote import RemoteDelivery
from mailstack.interfaces.delivery import Outcomes
from mailstack.model.address import Address
from mailstack.model.letter import Due, Letter, Pending, Recipient
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome
from mailstack.model.reply import Reply
from mailstack.spool.memory import MemorySpool
from tests.delivery.memory_dns import MemoryResolver, run
from tests.delivery.some_settings import settings
from tests.delivery.test_remote import FIXED, ZONE, Notes, Transport

CONTENT = b"Subject: hello\n\n.text\n"
POURED = ["Subject: hello", "", "..text", "."]
ENVELOPE = ["MAIL FROM:<alice@office.test>", "RCPT TO:<bob@x.test>", "DATA"]
GO_AHEAD = ("250 ok", "250 ok", "354 go")


class Server:
    """The other end of one connection."""

    def __init__(self, host: str, protocol: Any) -> None:
        self.host = host
        self._protocol = protocol
        self.transport = Transport()
        protocol.makeConnection(self.transport)

    def say(self, *lines: str) -> list[str]:
        """What the client says to these lines."""
        self._protocol.dataReceived("".join(f"{line}\r\n" for line in lines).encode())
        return self.heard()

    def heard(self) -> list[str]:
        return self.transport.take().decode().splitlines()

    def greet(self, *extensions: str) -> list[str]:
        self.say("220 hi")
        return self.say("250-hi", "250-PIPELINING", *(f"250-{each}" for each in extensions), "250 HELP")

    def hang_up(self, error: type[Exception] = ConnectionDone) -> None:
        self._protocol.connectionLost(Failure(error()))

    def take(self) -> list[str]:
        """A letter, to its end; what the client says then."""
        self.heard()
        assert self.say(*GO_AHEAD) == POURED
        return self.say("250 2.0.0 taken")


class Hall:
    """One RemoteDelivery, and all whom it calls."""

    def __init__(self, found: Settings = FIXED, rules: Rules | None = None) -> None:
        self.reactor = MemoryReactorClock()
        self.spool = MemorySpool()
        self.notes = Notes()
        self.resolver = MemoryResolver(ZONE)
        self.remote = RemoteDelivery(self.reactor, found, self.resolver, self.spool, self.notes, Random(1), rules=rules)
        self.work: list[Deferred[Any]] = []
        self._served = 0

    def deliver(self, to: str = "bob@x.test", **more: Any) -> list[Any]:
        return self.deliver_to(to, **more)

    def deliver_to(self, *to: str, **more: Any) -> list[Any]:
        """A letter; what comes of it will stand in the list. ``more`` is for the letter."""
        recipients = tuple(Recipient(each, each) for each in map(Address.parse, to))
        id = f"L{len(self.work)}"
        alice = Address("alice", "office.test")
        letter = evolve(Letter(id, alice, recipients, 0.0, len(CONTENT), CONTENT.count(b"\n"), 0, False, 0), **more)
        incoming = self.spool.receive(id)
        incoming.write(CONTENT)
        run(self.spool.add(letter, incoming))
        results: list[Any] = []
        self.work.append(
            Deferred.fromCoroutine(
                self.remote.deliver(
                    [Due(letter, tuple(Pending(number, each) for number, each in enumerate(recipients)))]
                )
            )
        )
        self.work[-1].addBoth(results.append)
        return results

    @property
    def calls(self) -> int:
        return len(self.reactor.tcpClients)

    def answer(self, greet: bool = True) -> Server:
        """Whoever is called now."""
        host, _, factory, *_ = self.reactor.tcpClients[self._served]
        self._served += 1
        server = Server(host, factory.buildProtocol(None))
        if greet:
            assert server.greet() == ENVELOPE
        return server

    def refuse(self) -> None:
        factory = self.reactor.tcpClients[self._served][2]
        self._served += 1
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))

    def opened(self) -> Server:
        """A connection that has served a letter."""
        results = self.deliver()
        server = self.answer()
        assert server.take() == []
        assert isinstance(outcome(results), Delivered)
        return server

    def stop(self) -> list[bool]:
        stopped: list[bool] = []
        done = self.remote.pool.stopService()
        if done is None:
            return [True]
        done.addCallback(lambda _: stopped.append(True))
        return stopped

    @property
    def timers(self) -> list[Any]:
        return [call for call in self.reactor.getDelayedCalls() if call.active()]


def outcome(results: Sequence[Any]) -> Outcome:
    ((found,),) = results
    outcomes: Outcomes = found
    return outcomes[0]


@pytest.fixture
def hall() -> Hall:
    return Hall()


# ---- Used again


def test_letters_on_one_connection(hall: Hall) -> None:
    """No call, no greeting, no EHLO; the log will say which letter on its connection it was."""
    server = hall.opened()
    for use in (2, 3):
        hall.reactor.advance(1)
        results = hall.deliver()
        assert server.heard() == ENVELOPE
        hall.reactor.advance(1)
        assert server.take() == []
        found = outcome(results)
        assert isinstance(found, Delivered)
        assert (found.conn_use, found.setup, found.relay) == (use, 0.0, "192.0.2.1[192.0.2.1]:2525")
    assert hall.calls == 1


def test_one_letter_at_a_time(hall: Hall) -> None:
    """Two letters at once need two connections; the one that was used last is used next."""
    first, second = hall.deliver(), hall.deliver()
    one, two = hall.answer(), hall.answer()
    two.take()
    one.take()
    assert isinstance(outcome(first), Delivered) and isinstance(outcome(second), Delivered)
    hall.deliver()
    assert (one.heard(), two.heard()) == (ENVELOPE, [])


def test_server_that_has_one_letter_for_a_session(hall: Hall) -> None:
    """503 to the second MAIL is about the order of commands: the letter goes by a connection of its own."""
    server = hall.opened()
    results = hall.deliver()
    assert server.heard() == ENVELOPE
    assert server.say("503 5.5.1 sender already specified", "503 5.5.1 no", "503 5.5.1 no") == ["QUIT"]
    assert results == []
    assert hall.answer().take() == []
    assert isinstance(outcome(results), Delivered)


def test_503_on_a_new_connection_is_an_answer(hall: Hall) -> None:
    results = hall.deliver()
    hall.answer().say("503 5.5.1 no", "503 5.5.1 no", "503 5.5.1 no")
    assert isinstance(outcome(results), Failed)


def test_rest_is_short(hall: Hall) -> None:
    """Then it is closed as it should be, and nothing is left."""
    server = hall.opened()
    hall.reactor.advance(Rules().idle - 0.1)
    assert server.heard() == []
    hall.reactor.advance(0.1)
    assert server.heard() == ["QUIT"]
    server.say("221 bye")
    assert server.transport.disconnecting
    server.hang_up()
    assert hall.timers == []
    hall.deliver()
    assert hall.calls == 2


def test_each_rests_as_long(hall: Hall) -> None:
    """One timer for all, and each has its own time."""
    hall.deliver(), hall.deliver()
    one, two = hall.answer(), hall.answer()
    one.take()
    hall.reactor.advance(1.5)
    two.take()
    hall.reactor.advance(0.5)
    assert (one.heard(), two.heard()) == (["QUIT"], [])
    hall.reactor.advance(1.5)
    assert two.heard() == ["QUIT"]


def test_farewell_without_an_answer(hall: Hall) -> None:
    server = hall.opened()
    hall.reactor.advance(Rules().idle)
    hall.reactor.advance(FAREWELL)
    assert server.transport.disconnected


def test_bounded_age() -> None:
    hall = Hall(rules=Rules(age=5.0))
    server = hall.opened()
    for _ in range(4):
        hall.reactor.advance(1)
        hall.deliver()
        assert server.take() == []
    hall.reactor.advance(1)
    hall.deliver()
    assert server.heard() == ENVELOPE
    assert server.take() == ["QUIT"]


def test_bounded_number_of_letters() -> None:
    hall = Hall(rules=Rules(letters=2))
    server = hall.opened()
    hall.deliver()
    assert server.heard() == ENVELOPE
    assert server.take() == ["QUIT"]
    hall.deliver()
    assert hall.calls == 2


def test_bounded_number_at_rest() -> None:
    """Whoever has rested longest goes."""
    hall = Hall(settings(("*", Route("smtp", "192.0.2.1", 25, literal=True))), Rules(most=1))
    hall.deliver(), hall.deliver()
    one, two = hall.answer(), hall.answer()
    assert one.take() == []
    assert two.take() == []
    assert one.heard() == ["QUIT"]
    assert len(hall.remote.pool) == 1


def test_server_that_limits_letters() -> None:
    """RFC 9422: it is not used for more than it takes."""
    hall = Hall()
    hall.deliver()
    server = hall.answer(greet=False)
    assert server.greet("LIMITS MAILMAX=2") == ENVELOPE
    assert server.take() == []
    hall.deliver()
    assert server.heard() == ENVELOPE
    assert server.take() == ["QUIT"]
    hall.deliver()
    assert hall.calls == 2


def test_refused_letter_is_not_the_end(hall: Hall) -> None:
    """What it has left open is ended with the next one."""
    results = hall.deliver()
    server = hall.answer()
    assert server.say("250 ok", "550 5.1.1 nobody", "554 nobody") == []
    assert isinstance(outcome(results), Failed)
    hall.deliver()
    assert server.heard() == ["RSET", *ENVELOPE]


def test_connection_on_which_nothing_is_taken(hall: Hall) -> None:
    """Servers make whoever causes errors wait, and greylisting may look at a new session again."""
    server = hall.opened()
    for number in range(1, 4):
        hall.deliver()
        server.heard()
        said = server.say("450 greylisted", "503 no", "503 no")
        assert said == (["QUIT"] if number == 3 else [])
    hall.deliver()
    assert hall.calls == 2


def test_letter_that_is_taken_makes_up_for_refusals(hall: Hall) -> None:
    server = hall.opened()
    for _ in range(3):
        for _ in range(2):
            hall.deliver()
            assert server.say("450 greylisted", "503 no", "503 no")[-1] != "QUIT"
        hall.deliver()
        assert server.take() == []
    assert hall.calls == 1


# ---- For whom


def test_destinations_do_not_mix() -> None:
    hall = Hall(settings(("x.test", Route("smtp", "192.0.2.1", 25, literal=True))))
    hall.opened()
    hall.deliver("bob@mx1.x.test")
    assert hall.calls == 2


def test_letters_that_require_tls_have_their_own(hall: Hall) -> None:
    """RFC 8689: a session that was not made for them will not do."""
    hall.opened()
    hall.deliver(require_tls=True)
    assert hall.calls == 2


def test_report_of_a_letter_that_required_tls_goes_with_the_others(hall: Hall) -> None:
    server = hall.opened()
    hall.deliver(require_tls=True, sender=None)
    assert server.heard()[0] == "MAIL FROM:<>"


def test_new_password_makes_a_new_session(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("old\n")
    smarthost = Smarthost("[127.0.0.1]", 587, "user", tmp_path / "secret", "none")
    hall = Hall(settings(("*", Route("smarthost")), smarthost=smarthost))

    def log_in() -> Server:
        server = hall.answer(greet=False)
        assert server.greet("AUTH PLAIN")[0].startswith("AUTH PLAIN")
        assert server.say("235 ok") == ENVELOPE
        server.take()
        return server

    hall.deliver()
    server = log_in()
    hall.deliver()
    assert server.heard() == ENVELOPE
    server.take()
    (tmp_path / "secret").write_text("new\n")
    hall.deliver()
    log_in()
    assert hall.calls == 2


def test_second_best_host_as_long_as_it_lives() -> None:
    """DNS is not asked again; when the connection has gone, the best host is tried first again."""
    hall = Hall(settings())
    results = hall.deliver()
    hall.refuse()
    hall.refuse()
    server = hall.answer()
    assert server.host == "192.0.2.2"
    server.take()
    assert outcome(results).relay == "mx2.x.test[192.0.2.2]:25"
    hall.resolver = None  # type: ignore[assignment]
    results = hall.deliver()
    assert server.heard() == ENVELOPE
    server.take()
    assert outcome(results).relay == "mx2.x.test[192.0.2.2]:25"
    server.hang_up()
    hall.deliver()
    assert hall.reactor.tcpClients[-1][0] == "2001:db8::1"


# ---- One that is dead


@pytest.mark.parametrize("how", ["closed", "421", "nonsense"])
def test_one_that_ends_at_rest_is_not_used(hall: Hall, how: str) -> None:
    server = hall.opened()
    if how == "closed":
        server.hang_up()
    else:
        server.say("421 4.4.2 idle for too long" if how == "421" else "what?")
        assert server.transport.disconnected
        server.hang_up()
    assert len(hall.remote.pool) == 0
    assert hall.timers == [] or hall.reactor.advance(2) is None
    assert hall.timers == []
    results = hall.deliver()
    hall.answer().take()
    assert isinstance(outcome(results), Delivered)


DEATHS = ["closed", "reset", "421", "nonsense", "silence"]
STAGES: dict[str, tuple[str, ...]] = {"mail": (), "rcpt": ("250 ok",), "data": ("250 ok", "250 ok")}


def die(hall: Hall, server: Server, how: str) -> None:
    match how:
        case "closed":
            server.hang_up()
        case "reset":
            server.hang_up(ConnectionLost)
        case "421":
            server.say("421 4.4.2 idle for too long")
        case "nonsense":
            server.say("what?")
        case "silence":
            hall.reactor.advance(300)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("how", DEATHS)
def test_dead_connection_costs_the_letter_nothing(hall: Hall, how: str, stage: str) -> None:
    """At once a new one, for the same attempt."""
    server = hall.opened()
    results = hall.deliver()
    server.heard()
    if STAGES[stage]:
        server.say(*STAGES[stage])
    die(hall, server, how)
    assert results == [], "it is not over"
    assert hall.calls == 2
    hall.answer().take()
    found = outcome(results)
    assert isinstance(found, Delivered) and found.conn_use == 1


def test_others_at_rest_are_not_tried_then(hall: Hall) -> None:
    """They may be dead for the same reason, and each could cost a time-out."""
    hall.deliver(), hall.deliver()
    one, two = hall.answer(), hall.answer()
    one.take()
    two.take()
    hall.deliver()
    die(hall, two, "closed")
    assert one.heard() == []
    assert hall.calls == 3


def test_new_connection_that_fails_too(hall: Hall) -> None:
    """It is tried once: then the destination is dead."""
    server = hall.opened()
    results = hall.deliver()
    server.hang_up()
    hall.refuse()
    found = outcome(results)
    assert isinstance(found, Delayed) and found.unreachable
    assert found.reply.status == "4.4.1"
    assert hall.calls == 2


def test_refusal_on_a_used_connection_is_a_verdict(hall: Hall) -> None:
    server = hall.opened()
    results = hall.deliver()
    server.say("450 4.7.1 greylisted", "503 no", "503 no")
    found = outcome(results)
    assert isinstance(found, Delayed) and not found.unreachable
    assert hall.calls == 1


def test_verdict_before_the_end_of_a_used_connection(hall: Hall) -> None:
    """What was said counts, although the server goes in the same breath."""
    server = hall.opened()
    results = hall.deliver()
    server.say("450 4.7.1 greylisted", "503 no", "503 no", "421 bye")
    found = outcome(results)
    assert isinstance(found, Delayed) and not found.unreachable
    assert found.reply.text == "greylisted"
    assert hall.calls == 1
    assert len(hall.remote.pool) == 0


def test_lmtp_that_breaks_between_the_replies() -> None:
    """Those who were answered keep their answer; the others wait, and nothing is sent to them twice at once."""
    hall = Hall(settings(("*", Route("lmtp", "192.0.2.1", 24, literal=True))))
    hall.deliver()
    server = hall.answer(greet=False)
    assert server.say("220 hi") == ["LHLO mx.office.test"]
    assert server.say("250-hi", "250 PIPELINING") == ENVELOPE
    server.take()
    results = hall.deliver_to("bob@x.test", "carol@x.test", "dave@x.test")
    server.heard()
    server.say("250 ok", "250 ok", "250 ok", "250 ok", "354 go")
    server.say("250 2.0.0 bob has it", "452 4.2.2 carol is full")
    server.hang_up()
    ((found,),) = results
    assert [type(found[number]) for number in range(3)] == [Delivered, Delayed, Delayed]
    assert found[0].action == "delivered"
    assert [found[number].reply.status for number in range(3)] == ["2.0.0", "4.2.2", "4.4.2"]
    assert not any(found[number].unreachable for number in (1, 2))
    assert hall.calls == 1


@pytest.mark.parametrize("how", DEATHS)
def test_dead_after_the_end_of_data(hall: Hall, how: str) -> None:
    """Nobody knows whose the letter is now. It is not sent again before its time."""
    server = hall.opened()
    results = hall.deliver()
    assert server.say(*GO_AHEAD)[-1] == "."
    die(hall, server, how)
    if how == "silence":
        hall.reactor.advance(300)
    assert isinstance(outcome(results), Delayed)
    assert hall.calls == 1


def test_dead_in_the_middle_of_the_data(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a message is none: it goes again at once, from its beginning."""
    monkeypatch.setattr("mailstack.delivery.parcel.BLOCK", 4)
    server = hall.opened()
    results = hall.deliver()
    write = server.transport.write

    def write_and_pause(data: bytes) -> None:
        write(data)
        if server.transport.producer is not None:
            server.transport.producer.pauseProducing()

    server.transport.write = write_and_pause  # type: ignore[method-assign]
    assert server.say(*GO_AHEAD)[-1:] != ["."]
    server.hang_up(ConnectionLost)
    assert results == []
    assert hall.answer().say(*GO_AHEAD) == POURED


def test_refusal_in_the_middle_of_the_data_is_a_verdict(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.delivery.parcel.BLOCK", 4)
    server = hall.opened()
    results = hall.deliver()
    server.transport.write = lambda data: server.transport.producer and server.transport.producer.pauseProducing()  # type: ignore[method-assign,assignment]
    server.say(*GO_AHEAD)
    server.say("552 5.3.4 too big")
    assert outcome(results) == Failed(Reply(552, "5.3.4", "too big"), "192.0.2.1[192.0.2.1]:2525", conn_use=2)
    assert hall.calls == 1


def test_letter_that_cannot_be_read_is_not_tried_again(hall: Hall) -> None:
    server = hall.opened()
    results = hall.deliver()

    def broken(empty: bool) -> Any:
        raise OSError(5, "Input/output error")
        yield b""

    server._protocol._wrappedProtocol._content = broken
    server.say(*GO_AHEAD)
    found = outcome(results)
    assert isinstance(found, Delayed) and found.reply.status == "4.3.0" and not found.unreachable
    assert server.transport.disconnected


# ---- Time


def test_a_letter_has_its_time_anew(hall: Hall) -> None:
    """The limit for one letter is not that of the connection."""
    hall = Hall(rules=Rules(idle=10_000, age=100_000))
    server = hall.opened()
    hall.reactor.advance(5_000)
    results = hall.deliver()
    assert server.heard() == ENVELOPE
    hall.reactor.advance(299)
    assert results == []
    server.take()
    assert isinstance(outcome(results), Delivered)


def test_one_timer(hall: Hall) -> None:
    """However many letters a connection has served."""
    server = hall.opened()
    for _ in range(20):
        hall.deliver()
        server.take()
    assert len(hall.timers) == 2  # the connection's, which would find nothing to do, and the pool's
    hall.reactor.advance(2)
    server.hang_up()
    assert hall.timers == []


def test_silence_after_a_rest_is_noticed_in_time(hall: Hall) -> None:
    """The timer was set for an earlier letter."""
    hall = Hall(rules=Rules(idle=1_000))
    server = hall.opened()
    hall.reactor.advance(250)
    hall.deliver()
    server.heard()
    hall.reactor.advance(299)
    assert hall.calls == 1
    hall.reactor.advance(1)
    assert hall.calls == 2


# ---- The server stops


def test_stop_without_connections(hall: Hall) -> None:
    assert hall.stop() == [True]


def test_stop(hall: Hall) -> None:
    """Those that rest are closed politely."""
    server = hall.opened()
    stopped = hall.stop()
    assert server.heard() == ["QUIT"]
    assert stopped == []
    server.say("221 bye")
    server.hang_up()
    assert stopped == [True]
    assert hall.timers == []


def test_stop_does_not_wait_for_long(hall: Hall) -> None:
    server = hall.opened()
    stopped = hall.stop()
    hall.reactor.advance(Rules().farewell)
    assert server.transport.disconnected
    assert stopped == [True]
    server.hang_up()
    assert hall.timers == []


def test_stop_while_a_letter_is_under_way(hall: Hall) -> None:
    """It goes home after it."""
    results = hall.deliver()
    server = hall.answer()
    assert hall.stop() == [True]
    assert server.take() == ["QUIT"]
    assert isinstance(outcome(results), Delivered)
    server.hang_up()
    assert hall.timers == []


@pytest.mark.parametrize("used", [False, True])
def test_attempt_that_is_given_up(hall: Hall, used: bool) -> None:
    """The server stops and has waited long enough: the letter is as it was, and its connection is cut."""
    if used:
        server = hall.opened()
        results = hall.deliver()
    else:
        results = hall.deliver()
        server = hall.answer()
    hall.work[-1].cancel()
    (failure,) = results
    assert failure.check(CancelledError)
    assert server.transport.disconnected
    server.hang_up()
    hall.reactor.advance(2)
    assert hall.timers == []
    assert hall.calls == 1
