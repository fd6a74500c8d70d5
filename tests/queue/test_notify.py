"""What the sender wants to hear, and hears: NOTIFY of RFC 3461, in the queue."""

from __future__ import annotations

from email.message import Message

import pytest
from attrs import evolve

from mailstack.interfaces.spool import Result
from mailstack.model.address import Address
from mailstack.model.letter import Recipient
from mailstack.model.outcome import Delivered
from mailstack.model.reply import Reply
from tests.fakes import at_once
from tests.queue.test_dispatch import LATER, NEVER, TAKEN, World, keep_reports

HERE = Delivered(Reply(250, "2.0.0", "delivered to the Maildir"), "local")
RELAYED = evolve(TAKEN, action="relayed")
PASSED_ON = evolve(TAKEN, action="")


@pytest.fixture
def world() -> World:
    return World()


def actions(report: Message) -> list[str]:
    return [line.partition(": ")[2] for line in report.as_string().splitlines() if line.startswith("Action: ")]


@pytest.mark.parametrize(
    ("wishes", "told"),
    [("", True), ("FAILURE", True), ("SUCCESS FAILURE", True), ("NEVER", False), ("SUCCESS", False), ("DELAY", False)],
)
def test_failure_is_told_to_those_who_want_to_hear_it(world: World, wishes: str, told: bool) -> None:
    """And the letter is gone in any case."""
    world.remote.outcomes = {"x@one.test": [NEVER]}
    world.accept("L1", "x@one.test", wishes=wishes)
    assert [id for id, _ in world.local.delivered] == ["B1"] * told
    assert not world.spool.stored
    assert any("status=bounced" in f"status={fields.get('status')}" for _, fields in world.log.events)


@pytest.mark.parametrize(("wishes", "told"), [("", True), ("DELAY", True), ("FAILURE", False), ("NEVER", False)])
def test_delay_is_told_to_those_who_want_to_hear_it(world: World, wishes: str, told: bool) -> None:
    world.remote.outcomes = {"x@one.test": [LATER]}
    world.accept("L1", "x@one.test", wishes=wishes)
    world.pass_time(2000)
    assert [id for id, _ in world.local.delivered] == ["B1"] * told


def test_end_of_life_is_a_failure_like_others(world: World) -> None:
    world.remote.outcomes = {"x@one.test": [LATER]}
    world.accept("L1", "x@one.test", wishes="NEVER")
    world.pass_time(3700)
    assert world.count == 0 and not world.spool.stored


def test_success_is_told_of_what_arrived_here_and_of_what_nobody_else_reports(world: World) -> None:
    kept = keep_reports(world)
    world.local.outcomes = {"bob@office.test": [HERE]}
    world.remote.outcomes = {"x@one.test": [RELAYED], "y@two.test": [PASSED_ON]}
    world.accept("L1", "bob@office.test", "x@one.test", "y@two.test", wishes="SUCCESS")
    assert actions(kept["B1"]) == ["delivered", "relayed"]
    assert "y@two.test" not in kept["B1"].as_string()
    assert ("B1", "alice@office.test") in world.local.delivered
    assert not world.spool.stored
    assert "sender delivery status notification: B1" in str(world.log.events)


def test_success_is_told_to_nobody_who_did_not_ask(world: World) -> None:
    world.local.outcomes = {"bob@office.test": [HERE]}
    world.accept("L1", "bob@office.test")
    world.accept("L2", "bob@office.test", wishes="FAILURE DELAY")
    world.accept("L3", "bob@office.test", sender="", wishes="SUCCESS")
    assert world.count == 0 and not world.spool.stored


def test_one_report_has_the_failures_and_the_successes_of_a_moment(world: World) -> None:
    kept = keep_reports(world)
    world.remote.outcomes = {"x@one.test": [NEVER], "y@one.test": [RELAYED]}
    world.accept("L1", "x@one.test", "y@one.test", wishes="SUCCESS FAILURE")
    assert list(kept) == ["L1", "B1"]
    assert actions(kept["B1"]) == ["failed", "relayed"]


def test_success_that_a_crash_left_unreported_is_reported(world: World) -> None:
    world.dispatcher.stopService()
    world.accept("L1", "x@one.test", wake=False, wishes="SUCCESS")
    at_once(world.spool.settle({"L1": [Result(0, "relayed", TAKEN.reply, "mx")]}))
    world.dispatcher = world.build()
    world.dispatcher.startService()
    world.pass_time(1)
    assert world.local.delivered == [("B1", "alice@office.test")]
    assert not world.remote.attempts and not world.spool.stored


def test_expanded_alias_is_told_at_once_and_nothing_is_sent_to_it(world: World) -> None:
    kept = keep_reports(world)
    list_ = Address("list", "office.test")
    members = tuple(Recipient(Address("x", d), list_, frozenset({"NEVER"})) for d in ("one.test", "two.test"))
    alias = Recipient(list_, list_, frozenset({"SUCCESS"}), "rfc822;list@office.test", expanded=True)
    world.remote.outcomes = {"x@one.test": [LATER]}
    world.accept("L1", recipients=(*members, alias))
    assert actions(kept["B1"]) == ["expanded"]
    assert "Original-Recipient: rfc822;list@office.test" in kept["B1"].as_string()
    assert sorted(world.remote.attempts) == [("L1", ("x@one.test",)), ("L1", ("x@two.test",))]
    assert list(world.spool.stored) == ["L1"], "one of its members still waits"
    world.pass_time(70)
    assert list(kept) == ["L1", "B1"], "it is told once"


def test_report_of_a_utf8_letter_is_one_itself(world: World) -> None:
    """Its way back needs SMTPUTF8, for the sender's address does."""
    world.remote.outcomes = {"x@one.test": [NEVER], "用户@xn--fsqu00a.test": [LATER]}
    world.accept("L1", "x@one.test", sender="用户@例子.test", smtputf8=True, require_tls=True)
    report = world.spool.stored["B1"].letter
    assert report.smtputf8 and report.eight_bit and report.require_tls


def test_report_to_an_ascii_sender_needs_nothing(world: World) -> None:
    world.local.outcomes = {"alice@office.test": [LATER]}
    world.remote.outcomes = {"用户@one.test": [NEVER]}
    world.accept("L1", "用户@one.test", smtputf8=True)
    report = world.spool.stored["B1"].letter
    assert not report.smtputf8 and not report.eight_bit and not report.require_tls
