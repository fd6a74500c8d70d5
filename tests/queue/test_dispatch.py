"""The queue at work, on a clock that the test turns, with transports that say what the test wants."""

from __future__ import annotations

import email
import errno
from collections.abc import Mapping, Sequence
from email.message import Message
from functools import partial
from random import Random
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from mailstack.config.settings import Queue
from mailstack.interfaces.delivery import LOCAL, Outcomes
from mailstack.interfaces.spool import IIncoming, Result
from mailstack.model.address import Address
from mailstack.model.letter import Due, Letter, Recipient
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome, Waits
from mailstack.model.reply import Reply
from mailstack.queue.attempts import STUCK
from mailstack.queue.dispatch import Dispatcher
from mailstack.queue.lines import CROWD
from mailstack.queue.looks import Looks
from mailstack.queue.mailer import Mailer
from mailstack.queue.places import Places
from mailstack.queue.report import Reporter
from mailstack.queue.schedule import Schedule
from mailstack.queue.transports import Terms, Transports
from mailstack.queue.verdict import Verdict
from mailstack.spool.memory import MemorySpool
from tests.fakes import FakeTransport, ListLog, at_once
from tests.fakes_accounts import MemoryDirectory
from tests.message.meanings import VOICES
from tests.spool.contract import due, letter

START = 1_000_000.0
BOB = Address("bob", "office.test")
LATER = Delayed(Reply(451, "4.4.1", "try later"), "mx.far.test[192.0.2.1]:25")
NEVER = Failed(Reply(550, "5.1.1", "no such user"), "mx.far.test[192.0.2.1]:25")
TAKEN = Delivered(Reply(250, "2.0.0", "ok"), "mx.far.test[192.0.2.1]:25")
SETTINGS = Queue(
    retry=(60.0, 300.0),
    lifetime=3600.0,
    bounce_lifetime=600.0,
    delay_warning=(900.0,),
    concurrency=10,
    concurrency_per_destination=2,
)


def where(domain: str) -> str:
    """Each foreign domain is a destination."""
    return LOCAL if domain == "office.test" else domain


class MiddlingSpool(MemorySpool):
    """Can refuse to record, and be changed by the command line."""

    def __init__(self) -> None:
        super().__init__(where)
        self.broken = False
        self.touched = False

    async def settle(self, results: Mapping[str, Sequence[Result]]) -> None:
        self._check()
        await super().settle(results)

    async def report(
        self, id: str, told: Sequence[int], bounce: Letter | None, content: IIncoming | None, warned: int
    ) -> None:
        self._check()
        await super().report(id, told, bounce, content, warned)

    def _check(self) -> None:
        if self.broken:
            raise OSError(errno.EIO, "the disk is broken")

    async def changed(self) -> bool:
        touched, self.touched = self.touched, False
        return touched


class SlowTransport(FakeTransport):
    """Holds every attempt until the test lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Deferred[None]] = []

    async def deliver(self, dues: Sequence[Due]) -> Sequence[dict[int, Outcome]]:
        gate: Deferred[None] = Deferred()
        self.held.append(gate)
        await gate
        return await super().deliver(dues)


class World:
    settings = SETTINGS
    looks = Looks()

    def __init__(self, remote: FakeTransport | None = None, local: FakeTransport | None = None) -> None:
        self.clock = Clock()
        self.spool = self.make_spool()
        self.local, self.remote = local or FakeTransport(), remote or FakeTransport()
        self.log = ListLog()
        self.directory = MemoryDirectory(["alice@office.test", "bob@office.test"])
        self.count = 0
        self.dispatcher = self.build()
        self.dispatcher.startService()

    def make_spool(self) -> MiddlingSpool:
        return MiddlingSpool()

    def now(self) -> float:
        return START + self.clock.seconds()

    def new_id(self) -> str:
        self.count += 1
        return f"B{self.count}"

    def build(self) -> Dispatcher:
        schedule = Schedule(self.settings)
        mailer = Mailer("mail.office.test", self.directory, self.spool, self.new_id)
        postmaster = Address("postmaster", "office.test")
        voice = partial(VOICES.__getitem__, "en")
        rest = (postmaster, self.log, self.now, self.clock)
        reporter = Reporter(self.spool, mailer, schedule, self.until, voice, *rest)
        terms = Terms.of(self.settings)
        transports = Transports(self.local, self.remote, where, lambda domain: terms)
        places = Places(self.settings.concurrency)
        verdict = Verdict(lambda domain: terms, self.log, self.now, Random(1))
        return Dispatcher(
            self.spool,
            transports,
            verdict,
            places,
            reporter,
            schedule.longest,
            self.log,
            self.clock,
            self.now,
            self.looks,
        )

    def until(self, letter: Letter, recipient: Recipient) -> float | None:
        return None if recipient.address.domain == "fetched.test" else letter.released + SETTINGS.lifetime

    def accept(
        self, id: str, *to: str, sender: str = "alice@office.test", wake: bool = True, wishes: str = "", **more: Any
    ) -> Letter:
        """``wishes`` is the NOTIFY of all recipients; ``more`` is for the letter."""
        content = b"Message-ID: <m@office.test>\nSubject: hello\n\ntext\n"
        added = letter(id, *to, sender=sender, arrived=self.now(), content=content)
        notify = frozenset(wishes.split())
        added = evolve(added, **{"recipients": tuple(evolve(r, notify=notify) for r in added.recipients), **more})
        incoming = self.spool.receive(id)
        incoming.write(content)
        at_once(self.spool.add(added, incoming))
        if wake:
            self.dispatcher.wake(added)
            self.turn()
        return added

    def turn(self) -> None:
        """A few rounds of the reactor, in no time: for the letter, and for the report that may come of it."""
        for _ in range(3):
            self.dispatcher.meanwhile()
            self.clock.advance(0)

    def pass_time(self, seconds: float) -> None:
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.clock.advance(min(1.0, end - self.clock.seconds()))
        self.turn()


@pytest.fixture
def world() -> World:
    return World()


def keep_reports(world: World) -> dict[str, Message]:
    """Reports by id, parsed, as they enter the spool."""
    kept: dict[str, Message] = {}
    add = world.spool.add

    async def adding(added: Letter, content: IIncoming) -> None:
        await add(added, content)
        kept[added.id] = email.message_from_bytes(content.content)  # type: ignore[attr-defined]

    world.spool.add = adding  # type: ignore[method-assign]
    return kept


def test_a_new_letter_is_tried_at_once_each_destination_apart(world: World) -> None:
    world.accept("L1", "alice@office.test", "x@one.test", "y@one.test", "z@two.test")
    assert world.local.attempts == [("L1", ("alice@office.test",))]
    assert world.remote.attempts == [("L1", ("x@one.test", "y@one.test")), ("L1", ("z@two.test",))]
    assert not world.spool.stored


def test_what_a_transaction_has_come_to_is_recorded_before_the_next_one(world: World) -> None:
    """So a crash in the next one, which may take minutes, doubles nothing. What is to be told is told together."""
    slow = SlowTransport()
    slow.at_once = 1
    slow.outcomes = {"y@one.test": [NEVER], "z@one.test": [LATER]}
    world = World(slow)
    kept = keep_reports(world)
    world.accept("L1", "x@one.test", "y@one.test", "z@one.test")
    states = []
    for _ in range(3):
        slow.held.pop().callback(None)
        states.append([each.state for each in world.spool.stored["L1"].rows])
        world.turn()
    assert states == [
        ["sent", "active", "active"],
        ["sent", "bounced", "active"],
        ["sent", "reported", "deferred"],
    ]
    assert [to for _, to in slow.attempts] == [("x@one.test",), ("y@one.test",), ("z@one.test",)]
    world.pass_time(1)
    assert list(kept) == ["L1", "B1"] and not slow.held, "one report, and nothing is tried before its time"


def test_a_stop_between_two_transactions(world: World) -> None:
    """What was not tried is as it was."""
    slow = SlowTransport()
    slow.at_once = 1
    world = World(slow)
    world.accept("L1", "x@one.test", "y@one.test")
    slow.held.pop().callback(None)
    world.dispatcher.stopService()
    assert [each.state for each in world.spool.stored["L1"].rows] == ["sent", "active"]


def test_letters_for_our_own_mailboxes_that_come_in_together_go_together(world: World) -> None:
    """They wait for the disk once, also one with a recipient elsewhere, who may take his time."""
    asked: list[list[str]] = []
    deliver = world.local.deliver

    async def delivering(dues: Sequence[Due]) -> Sequence[dict[int, Outcome]]:
        asked.append([due.letter.id for due in dues])
        return await deliver(dues)

    world.local.deliver = delivering  # type: ignore[method-assign]
    for id in ("L1", "L2"):
        world.dispatcher.wake(world.accept(id, "alice@office.test", wake=False))
    world.dispatcher.wake(world.accept("L3", "alice@office.test", "x@one.test", wake=False))
    world.turn()
    assert asked == [["L1", "L2", "L3"]]
    assert world.remote.delivered == [("L3", "x@one.test")]
    assert not world.spool.stored


def test_each_of_the_letters_that_go_together_has_its_own_fate(world: World) -> None:
    kept = keep_reports(world)
    world.local.outcomes = {"bob@office.test": [NEVER], "carol@office.test": [LATER]}
    for id, to in (("L1", "bob@office.test"), ("L2", "carol@office.test"), ("L3", "alice@office.test")):
        world.dispatcher.wake(world.accept(id, to, wake=False))
    world.turn()
    assert "bob@office.test" in kept["B1"].as_string()
    assert world.local.delivered == [("L3", "alice@office.test"), ("B1", "alice@office.test")]
    assert list(world.spool.stored) == ["L2"]


def test_a_bug_strikes_one_of_the_letters_that_go_together(world: World) -> None:
    deliver = world.local.deliver

    async def stumble(dues: Sequence[Due]) -> Sequence[dict[int, Outcome]]:
        if "L1" in [due.letter.id for due in dues]:
            raise RuntimeError("a bug")
        return await deliver(dues)

    world.local.deliver = stumble  # type: ignore[method-assign]
    for id in ("L1", "L2"):
        world.dispatcher.wake(world.accept(id, "alice@office.test", wake=False))
    world.turn()
    assert world.log.failures == [
        "queue: 2 letters together, now each alone: RuntimeError('a bug')",
        "L1: RuntimeError('a bug')",
    ]
    assert world.local.delivered == [("L2", "alice@office.test")]
    assert list(world.spool.stored) == ["L1"]


def test_a_letter_that_would_hold_up_the_others_goes_alone(world: World) -> None:
    deliver = world.local.deliver

    async def choosy(dues: Sequence[Due]) -> Sequence[Outcomes | None]:
        outcomes = await deliver([due for due in dues if due.letter.id != "L1" or len(dues) == 1])
        return outcomes if len(dues) == 1 else [None, *outcomes]

    world.local.deliver = choosy  # type: ignore[method-assign, assignment]
    for id in ("L1", "L2"):
        world.dispatcher.wake(world.accept(id, "alice@office.test", wake=False))
    world.turn()
    assert sorted(world.local.delivered) == [("L1", "alice@office.test"), ("L2", "alice@office.test")]
    assert not world.spool.stored and not world.log.failures


def test_who_has_a_letter_that_goes_on_alone_does_not_get_it_again(world: World) -> None:
    deliver = world.local.deliver

    async def choosy(dues: Sequence[Due]) -> Sequence[Outcomes | None]:
        """Bob's mailbox would hold up the others."""
        if len(dues) > 1:
            pending = [tuple(each for each in due.pending if each.recipient.address != BOB) for due in dues]
            dues = [evolve(due, pending=some) for due, some in zip(dues, pending, strict=True)]
        return await deliver(dues)

    world.local.deliver = choosy  # type: ignore[method-assign, assignment]
    world.dispatcher.wake(world.accept("L1", "alice@office.test", "bob@office.test", wake=False))
    world.dispatcher.wake(world.accept("L2", "alice@office.test", wake=False))
    world.turn()
    assert sorted(world.local.delivered) == [
        ("L1", "alice@office.test"),
        ("L1", "bob@office.test"),
        ("L2", "alice@office.test"),
    ]
    assert not world.spool.stored and not world.log.failures


def test_a_letter_that_goes_alone_is_reported_when_it_has_gone(world: World) -> None:
    """Not while it is being attempted, although something of it is to be told from the start (an expanded list)."""
    kept = keep_reports(world)
    deliver, gate = world.local.deliver, Deferred[None]()

    async def choosy(dues: Sequence[Due]) -> Sequence[Outcomes | None]:
        if len(dues) > 1:
            return [None for _ in dues]
        if dues[0].letter.id == "L1":
            await gate
        return await deliver(dues)

    world.local.deliver = choosy  # type: ignore[method-assign, assignment]
    world.local.outcomes = {"bob@office.test": [NEVER]}
    one, all = letter("L1", "bob@office.test").recipients[0], letter("L1", "all@office.test").recipients[0]
    for id in ("L1", "L2"):
        recipients = (one, evolve(all, notify=frozenset({"SUCCESS"}), expanded=True)) if id == "L1" else (one,)
        world.dispatcher.wake(world.accept(id, "bob@office.test", wake=False, recipients=recipients))
    world.turn()
    assert not any("all@office.test" in report.as_string() for report in kept.values())
    gate.callback(None)
    world.turn()
    (report,) = (report.as_string() for report in kept.values() if "all@office.test" in report.as_string())
    assert "Action: failed" in report and "Action: expanded" in report
    assert not world.spool.stored


def test_a_report_that_takes_its_time_holds_up_no_other_letter(world: World) -> None:
    """It is waited for when the server stops, for a moment."""
    report, gate = world.spool.report, Deferred[None]()

    async def slow_report(
        id: str, told: Sequence[int], bounce: Letter | None, content: IIncoming | None, warned: int
    ) -> None:
        if id == "L1":
            await gate
        await report(id, told, bounce, content, warned)

    world.spool.report = slow_report  # type: ignore[method-assign]
    world.local.outcomes = {"bob@office.test": [NEVER], "carol@office.test": [LATER, TAKEN]}
    for id, to in (("L1", "bob@office.test"), ("L2", "bob@office.test"), ("L3", "carol@office.test")):
        world.dispatcher.wake(world.accept(id, to, wake=False))
    world.pass_time(100)
    assert ("L3", "carol@office.test") in world.local.delivered
    assert list(world.spool.stored) == ["L1"]
    stopped = world.dispatcher.stopService()
    assert not stopped.called
    world.pass_time(4)
    assert stopped.called and list(world.spool.stored) == ["L1"]


def test_a_delayed_recipient_alone_is_tried_again_on_the_schedule(world: World) -> None:
    world.remote.outcomes = {"x@one.test": [LATER, LATER, TAKEN]}
    world.accept("L1", "x@one.test", "y@one.test")
    world.pass_time(50)
    assert len(world.remote.attempts) == 1
    world.pass_time(20)
    assert world.remote.attempts[1:] == [("L1", ("x@one.test",))]
    world.pass_time(400)
    assert world.remote.delivered == [("L1", "y@one.test"), ("L1", "x@one.test")]
    assert not world.spool.stored


def test_the_log_has_a_line_for_each_recipient_and_attempt(world: World) -> None:
    world.remote.outcomes = {"x@one.test": [LATER, TAKEN]}
    world.accept("L1", "x@one.test")
    world.pass_time(70)
    lines = [fields for id, fields in world.log.events if id == "L1" and "to" in fields]
    assert [str(fields["status"]) for fields in lines] == ["deferred (451 4.4.1 try later)", "sent (250 2.0.0 ok)"]
    assert lines[0]["dsn"] == "4.4.1" and lines[0]["relay"] == "mx.far.test[192.0.2.1]:25"
    assert str(lines[1]["delay"]).partition(".")[0] in {str(second) for second in range(54, 68)}


def test_a_refusal_comes_back_to_the_sender_from_the_null_sender(world: World) -> None:
    kept = keep_reports(world)
    world.remote.outcomes = {"x@one.test": [NEVER]}
    world.accept("L1", "x@one.test", "y@one.test")
    assert world.local.delivered == [("B1", "alice@office.test")]
    report = kept["B1"]
    assert report["Return-Path"] == "<>"
    assert report.get_content_type() == "multipart/report"
    assert "x@one.test" in report.as_string() and "y@one.test" not in report.as_string()
    assert not world.spool.stored


def test_a_foreign_sender_gets_the_report_by_mail(world: World) -> None:
    world.local.outcomes = {"alice@office.test": [NEVER]}
    world.accept("L1", "alice@office.test", sender="friend@far.test")
    assert world.remote.delivered == [("B1", "friend@far.test")]


def test_refusals_of_one_moment_make_one_report(world: World) -> None:
    kept = keep_reports(world)
    world.remote.outcomes = {"x@one.test": [NEVER], "z@two.test": [NEVER]}
    world.accept("L1", "x@one.test", "z@two.test")
    assert list(kept) == ["L1", "B1"]
    assert "x@one.test" in kept["B1"].as_string() and "z@two.test" in kept["B1"].as_string()


def test_a_bounce_that_fails_is_never_bounced(world: World) -> None:
    world.local.outcomes = {"alice@office.test": [NEVER]}
    world.accept("L1", "alice@office.test", sender="")
    assert world.count == 0 and not world.spool.stored
    assert "a bounce that cannot be delivered is dropped" in str(world.log.warnings)


def test_a_report_to_a_made_up_user_of_ours_goes_nowhere(world: World) -> None:
    world.remote.outcomes = {"x@one.test": [NEVER]}
    world.accept("L1", "x@one.test", sender="ghost@office.test")
    assert not world.spool.stored and world.count == 0
    assert "nobody to report to" in str(world.log.warnings)


def test_what_never_works_is_given_up_at_the_end_of_its_life(world: World) -> None:
    kept = keep_reports(world)
    world.remote.outcomes = {"x@one.test": [LATER]}
    world.accept("L1", "x@one.test")
    world.pass_time(3599)
    assert [id for id, _ in world.local.delivered] == ["B1"], "the delay warning alone"
    world.pass_time(70)
    assert [id for id, _ in world.local.delivered] == ["B1", "B2"]
    assert "Action: failed" in kept["B2"].as_string() and "try later" in kept["B2"].as_string()
    assert not world.spool.stored


def test_a_bounce_is_given_up_earlier_and_in_silence(world: World) -> None:
    world.remote.outcomes = {"x@one.test": [LATER]}
    world.accept("L1", "x@one.test", sender="")
    world.pass_time(700)
    assert not world.spool.stored and world.count == 0


def test_a_delay_is_told_once(world: World) -> None:
    kept = keep_reports(world)
    world.remote.outcomes = {"x@one.test": [LATER]}
    world.accept("L1", "x@one.test")
    world.pass_time(800)
    assert "B1" not in kept
    world.pass_time(1500)
    assert "Action: delayed" in kept["B1"].as_string()
    assert "B2" not in kept


def test_letters_of_an_earlier_run_are_found_at_the_start(world: World) -> None:
    at_once(world.spool.settle({"x": []}))
    world.dispatcher.stopService()
    world.accept("L1", "x@one.test", wake=False)
    world.accept("L2", "x@one.test", wake=False)
    at_once(world.spool.settle({"L2": [Result(0, "deferred", Reply(451, "4.4.1", "x"), "none", world.now() + 100)]}))
    world.dispatcher = world.build()
    world.dispatcher.startService()
    world.pass_time(1)
    assert world.remote.delivered == [("L1", "x@one.test")]
    world.pass_time(98)
    assert len(world.remote.delivered) == 1
    world.pass_time(3)
    assert world.remote.delivered[1:] == [("L2", "x@one.test")]


def test_a_failure_that_a_crash_left_unreported_is_reported(world: World) -> None:
    world.dispatcher.stopService()
    world.accept("L1", "x@one.test", wake=False)
    at_once(world.spool.settle({"L1": [Result(0, "bounced", NEVER.reply, "mx")]}))
    world.dispatcher = world.build()
    world.dispatcher.startService()
    world.pass_time(1)
    assert world.local.delivered == [("B1", "alice@office.test")]


def test_a_mark_that_the_disk_refuses_is_tried_until_it_is_written(world: World) -> None:
    world.spool.broken = True
    world.accept("L1", "x@one.test")
    assert world.remote.delivered == [("L1", "x@one.test")]
    world.pass_time(3 * STUCK)
    assert len(world.remote.delivered) == 1, "not delivered again meanwhile"
    world.spool.broken = False
    world.pass_time(STUCK + 1)
    assert not world.spool.stored


def test_a_mark_is_tried_until_it_is_written_although_a_bug_is_in_the_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stumble(results: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(world.spool, "settle", stumble)
        world.accept("L1", "x@one.test")
        world.pass_time(70)
    world.pass_time(STUCK + 1)
    assert world.remote.delivered == [("L1", "x@one.test")], "once"
    assert not world.spool.stored
    assert "cannot record L1" in str(world.log.failures)


def test_a_report_that_the_disk_refuses_is_made_later(world: World) -> None:
    world.remote.outcomes = {"x@one.test": [NEVER]}
    settle = world.spool.settle

    async def settle_then_break(results: Mapping[str, Sequence[Result]]) -> None:
        await settle(results)
        world.spool.broken = True

    world.spool.settle = settle_then_break  # type: ignore[method-assign]
    world.accept("L1", "x@one.test")
    world.spool.settle = settle  # type: ignore[method-assign]
    assert not world.local.delivered
    world.spool.broken = False
    world.pass_time(61)
    assert len(world.local.delivered) == 1


def test_at_most_so_many_attempts_at_one_destination(world: World) -> None:
    slow = SlowTransport()
    world = World(slow)
    for number in range(5):
        world.accept(f"L{number}", "x@one.test")
    world.accept("L9", "x@two.test")
    assert len(slow.held) == 3, "two of the one, one of the other"
    slow.held[0].callback(None)
    assert len(slow.held) == 4


def test_what_the_command_line_dropped_is_not_sent_any_more(world: World) -> None:
    slow = SlowTransport()
    world = World(slow)
    for number in range(3):
        world.accept(f"L{number}", "x@one.test")
    del world.spool.stored["L2"]
    world.spool.touched = True
    world.pass_time(Looks().poll)
    for gate in slow.held:
        gate.callback(None)
    assert slow.delivered == [("L0", "x@one.test"), ("L1", "x@one.test")]


def test_what_its_sender_has_dropped_does_not_begin_any_more() -> None:
    """At once, not with the next look: whether it waits for its turn, or has come just now."""
    slow = SlowTransport()
    world = World(slow)
    for number in range(3):
        world.accept(f"L{number}", "x@one.test")
    world.dispatcher.wake(world.accept("L3", "x@two.test", wake=False))
    assert len(slow.held) == 2, "L2 waits in line, and L3 for a moment of leisure"
    dropped = []
    for id in ("L0", "L2", "L3"):
        del world.spool.stored[id]
        dropped.append(at_once(world.dispatcher.recall(id)))
    assert dropped == [True, False, False], "of the first an attempt goes on"
    world.turn()
    while slow.held:
        slow.held.pop(0).callback(None)
    world.turn()
    assert [id for id, _ in slow.delivered] == ["L0", "L1"]
    what = "was dropped during an attempt: nobody is told"
    assert world.log.events.count(("L0", {"what": what, "to": "<x@one.test>", "note": "250 2.0.0 ok"})) == 1


def test_a_letter_that_is_dropped_during_its_attempt_makes_no_report() -> None:
    """Whether the poll has seen the drop already, or not."""
    for seen in (True, False):
        slow = SlowTransport()
        slow.outcomes = {"x@one.test": [NEVER]}
        world = World(slow)
        world.accept("L1", "x@one.test")
        del world.spool.stored["L1"]
        world.spool.touched = seen
        world.pass_time(Looks().poll)
        slow.held[0].callback(None)
        world.turn()
        assert world.count == 0 and not world.local.delivered


def test_a_retry_from_the_command_line_is_noticed(world: World) -> None:
    world.remote.outcomes = {"x@one.test": [LATER, TAKEN]}
    world.accept("L1", "x@one.test")
    world.spool.stored["L1"].rows[0].next_attempt = 0.0
    world.spool.touched = True
    world.pass_time(Looks().poll + 0.1)
    assert world.remote.delivered == [("L1", "x@one.test")]


def test_local_mail_does_not_wait_behind_a_crowd_for_a_dead_destination() -> None:
    slow = SlowTransport()
    world = World(slow)
    for number in range(CROWD + 5):
        world.accept(f"L{number}", "x@dead.test")
    world.accept("M1", "alice@office.test")
    assert world.local.delivered == [("M1", "alice@office.test")]


def test_the_crowd_is_served_when_there_is_room() -> None:
    slow = SlowTransport()
    world = World(slow)
    for number in range(CROWD + 5):
        world.accept(f"L{number}", "x@dead.test")
    while slow.held:
        slow.held.pop(0).callback(None)
        world.clock.advance(0)
    world.pass_time(1)
    while slow.held:
        slow.held.pop(0).callback(None)
        world.clock.advance(0)
    assert len(slow.delivered) == CROWD + 5
    assert not world.spool.stored


def test_stopping_waits_a_moment_and_leaves_the_rest_in_the_spool() -> None:
    slow = SlowTransport()
    world = World(slow)
    world.accept("L1", "x@one.test")
    stopped = world.dispatcher.stopService()
    assert not stopped.called
    world.pass_time(4)
    assert stopped.called
    assert "L1" in world.spool.stored
    assert not world.log.failures


def test_an_unexpected_error_is_logged_and_the_letter_stays(world: World) -> None:
    async def explode(dues: Sequence[Due]) -> Sequence[dict[int, Outcome]]:
        raise RuntimeError("a bug")

    world.remote.deliver = explode  # type: ignore[method-assign]
    world.accept("L1", "x@one.test")
    assert world.log.failures == ["L1: RuntimeError('a bug')"]
    assert "L1" in world.spool.stored


def test_a_delivery_here_that_outlasts_the_stop_is_recorded() -> None:
    """A reader may have it, though it is not durable yet: the next start must not deliver it again."""
    slow = SlowTransport()
    world = World(local=slow)
    world.accept("L1", "alice@office.test")
    stopped = world.dispatcher.stopService()
    world.clock.advance(4)
    assert not stopped.called and world.spool.stored
    slow.held[0].callback(None)
    assert slow.delivered == [("L1", "alice@office.test")] and not world.spool.stored
    assert stopped.called


def test_a_record_that_fails_once_while_the_server_stops_is_made_again() -> None:
    """Or the next start would deliver it once more."""
    slow = SlowTransport()
    world = World(local=slow)
    world.accept("L1", "alice@office.test")
    world.dispatcher.stopService()
    settle, failures = world.spool.settle, [OSError(errno.ENOSPC, "the reserve is given up for the next try")]

    async def settle_later(results: Mapping[str, Sequence[Result]]) -> None:
        if failures:
            raise failures.pop()
        await settle(results)

    world.spool.settle = settle_later  # type: ignore[method-assign]
    slow.held[0].callback(None)
    assert not failures and not world.spool.stored


def test_nobody_waits_for_a_report_that_begins_after_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowTransport()
    world = World(local=slow)
    slow.outcomes = {"alice@office.test": [Failed(Reply(550, "5.1.1", "No such user here any more"))]}
    world.accept("L1", "alice@office.test")
    stopped = world.dispatcher.stopService()
    world.clock.advance(4)
    begun: list[Deferred[None]] = []

    async def report(*args: object) -> None:
        begun.append(Deferred())
        await begun[-1]

    monkeypatch.setattr(Reporter, "report", report)
    slow.held[0].callback(None)
    assert len(begun) == 1 and stopped.called
    assert not world.clock.getDelayedCalls() and not world.log.failures


def test_what_cannot_be_recorded_when_the_server_has_stopped_is_not_tried_for_ever() -> None:
    slow = SlowTransport()
    world = World(local=slow)
    world.accept("L1", "alice@office.test")
    world.dispatcher.stopService()
    world.clock.advance(4)
    world.spool.broken = True
    slow.held[0].callback(None)
    world.clock.advance(10 * STUCK)
    assert not world.clock.getDelayedCalls() and len(world.log.warnings) == 1


def test_no_delayed_call_is_left_after_the_stop(world: World) -> None:
    world.accept("L1", "alice@office.test")
    world.dispatcher.stopService()
    world.clock.advance(0)
    assert [call for call in world.clock.getDelayedCalls() if call.active()] == []


def test_local_is_a_key_of_its_own(world: World) -> None:
    """Each letter has its own part in the groups."""
    transports = Transports(world.local, world.remote, where, lambda domain: Terms.of(SETTINGS))
    here = due(letter("L1", "alice@office.test"))
    both = due(letter("L2", "x@one.test", "bob@office.test"))
    groups = transports.groups([here, both])
    assert {
        key: [(part.letter.id, [each.number for each in part.pending]) for part in parts]
        for key, parts in groups.items()
    } == {
        LOCAL: [("L1", [0]), ("L2", [1])],
        "one.test": [("L2", [0])],
    }


# ---- Mail that is fetched


FETCHED = Waits(Reply(450, "4.4.0", "It waits to be fetched"), Reply(554, "5.4.7", "It was not fetched"))


def test_mail_that_is_fetched_waits_in_silence(world: World) -> None:
    """One line in the log, no warning to the sender, and a look on the longest step, in case the route has changed."""
    world.remote.outcomes = {"x@one.test": [FETCHED]}
    world.accept("L1", "x@one.test")
    world.pass_time(3500)
    assert 10 < len(world.remote.attempts) < 15
    lines = [str(fields["status"]) for _, fields in world.log.events if "to" in fields]
    assert lines == ["deferred (450 4.4.0 It waits to be fetched)"]
    assert world.count == 0


def test_mail_that_nobody_fetches_goes_back(world: World) -> None:
    """With true words: nobody could not be reached, and nothing was tried."""
    kept = keep_reports(world)
    world.remote.outcomes = {"x@one.test": [FETCHED]}
    world.accept("L1", "x@one.test")
    world.pass_time(3700)
    assert list(kept) == ["L1", "B1"]
    text = " ".join(kept["B1"].as_string().split())
    assert "The message was too long on its way." in text and "We have tried" not in text
    assert "The answer: 554 5.4.7 It was not fetched" in text and "Status: 5.4.7" in text
    assert "reached" not in text and "tried for the whole time" not in text
    assert not world.spool.stored


def test_a_delay_elsewhere_is_told_without_what_is_fetched(world: World) -> None:
    kept = keep_reports(world)
    world.remote.outcomes = {"x@fetched.test": [FETCHED], "z@two.test": [LATER]}
    world.accept("L1", "x@fetched.test", "z@two.test")
    world.pass_time(1500)
    assert "z@two.test" in kept["B1"].as_string() and "x@fetched.test" not in kept["B1"].as_string()


# ---- Out of turn


def out_of_turn(world: World, id: str, transport: FakeTransport, *domains: str) -> Deferred[None]:
    work = Deferred.fromCoroutine(world.dispatcher.out_of_turn(id, domains or ("one.test",), transport))
    world.turn()
    return work


def waiting_letter(world: World) -> None:
    """For one.test and two.test, tried once."""
    world.remote.outcomes = {"x@one.test": [LATER], "y@two.test": [LATER]}
    world.accept("L1", "x@one.test", "y@two.test")
    world.remote.attempts.clear()


def test_an_attempt_out_of_turn(world: World) -> None:
    """Before its time, at the recipients it is for, and recorded like every other."""
    waiting_letter(world)
    line = FakeTransport()
    assert out_of_turn(world, "L1", line).called
    assert line.delivered == [("L1", "x@one.test")]
    assert world.remote.attempts == []
    (stored,) = world.spool.stored.values()
    assert [row.state for row in stored.rows] == ["sent", "deferred"]
    world.remote.outcomes = {}
    world.pass_time(70)
    assert world.remote.attempts == [("L1", ("y@two.test",))]
    assert not world.spool.stored


def test_several_transactions_out_of_turn(world: World) -> None:
    """One after the other on the same line; the queue's own ways have nothing of it."""
    world.remote.outcomes = {f"{name}@one.test": [LATER] for name in "xyz"}
    world.accept("L1", "x@one.test", "y@one.test", "z@one.test")
    world.remote.attempts.clear()
    line = FakeTransport()
    line.at_once, line.outcomes = 1, {"y@one.test": [LATER]}
    assert out_of_turn(world, "L1", line).called
    assert line.attempts == [("L1", (f"{name}@one.test",)) for name in "xyz"]
    assert world.remote.attempts == []
    (stored,) = world.spool.stored.values()
    assert [row.state for row in stored.rows] == ["sent", "deferred", "sent"]


def test_what_is_held_back_is_not_given_out_of_turn(world: World) -> None:
    world.accept("L1", "x@one.test", not_before=world.now() + 60)
    line = FakeTransport()
    assert out_of_turn(world, "L1", line).called
    assert line.attempts == world.remote.attempts == []
    world.pass_time(60)
    assert world.remote.attempts == [("L1", ("x@one.test",))]


def test_a_failure_out_of_turn_is_reported(world: World) -> None:
    waiting_letter(world)
    reports = keep_reports(world)
    line = FakeTransport()
    line.outcomes = {"x@one.test": [NEVER]}
    out_of_turn(world, "L1", line)
    assert [str(report["Subject"]) for report in reports.values()] != []


def test_nothing_is_sent_twice_at_a_time() -> None:
    """Neither what the queue is at, nor, by the queue, what is on its way out of turn."""
    slow = SlowTransport()
    world = World(remote=slow)
    world.accept("L1", "x@one.test")
    line = SlowTransport()
    assert out_of_turn(world, "L1", line).called
    assert line.held == []
    slow.outcomes = {"x@one.test": [LATER, TAKEN]}
    slow.held.pop().callback(None)
    world.turn()
    on_its_way = out_of_turn(world, "L1", line)
    world.pass_time(200)
    assert slow.held == []
    line.held.pop().callback(None)
    world.turn()
    assert on_its_way.called
    assert not world.spool.stored


def test_a_line_that_is_cut_before_the_letter(world: World) -> None:
    """Nothing has happened to it."""

    class CutLine(FakeTransport):
        async def deliver(self, dues: Sequence[Due]) -> Sequence[dict[int, Outcome]]:
            raise CancelledError

    waiting_letter(world)
    before = world.spool.stored["L1"].rows[0].next_attempt
    out_of_turn(world, "L1", CutLine())
    assert [row.attempts for row in world.spool.stored["L1"].rows] == [1, 1]
    assert world.spool.stored["L1"].rows[0].next_attempt == before
    assert not world.log.failures


def test_letters_that_are_gone_or_for_others(world: World) -> None:
    waiting_letter(world)
    line = FakeTransport()
    out_of_turn(world, "L1", line, "three.test")
    out_of_turn(world, "NONE", line)
    assert line.attempts == []
