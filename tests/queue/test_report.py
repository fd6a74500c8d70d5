"""When the sender is told: one report for what ends at nearly the same moment."""

from __future__ import annotations

import errno
from email import message_from_bytes

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstack.interfaces.spool import IIncoming, Lagging, Result
from mailstack.model.address import Address
from mailstack.model.letter import Due, Letter, Recipient
from mailstack.model.reply import Reply
from mailstack.queue.mailer import Mailer
from mailstack.queue.report import GATHER, Reporter
from mailstack.queue.schedule import Schedule
from mailstack.spool.memory import MemorySpool
from tests.fakes import ListLog, at_once
from tests.fakes_accounts import MemoryDirectory
from tests.message.meanings import VOICES
from tests.queue.test_dispatch import SETTINGS
from tests.spool.contract import letter

START = 1_000_000.0
NO, LATER = Reply(550, "5.1.1", "no such user"), Reply(451, "4.4.1", "try later")
FETCHED = "fetched.test"


class FullSpool(MemorySpool):
    full = False

    async def report(
        self, id: str, told: object, bounce: Letter | None, content: IIncoming | None, warned: int
    ) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "full")
        await super().report(id, told, bounce, content, warned)  # type: ignore[arg-type]

    async def lagging(self, id: str, now: float) -> Lagging:
        if self.full:
            raise OSError(errno.EIO, "cannot be read")
        return await super().lagging(id, now)


class Office:
    """A letter to as many destinations as it has recipients; their attempts end when the test says so."""

    def __init__(self, *to: str) -> None:
        self.clock, self.spool, self.log = Clock(), FullSpool(), ListLog()
        self.woken: list[str] = []
        self.letter = letter("L1", *to, sender="alice@office.test", arrived=START, content=b"Subject: hello\n\nx\n")
        incoming = self.spool.receive("L1")
        incoming.write(b"Subject: hello\n\nx\n")
        at_once(self.spool.add(self.letter, incoming))
        self.reporter = self.build()

    def build(self) -> Reporter:
        directory = MemoryDirectory(["alice@office.test"])
        mailer = Mailer("mail.office.test", directory, self.spool, lambda: f"B{len(self.woken) + 1}")
        postmaster = Address("postmaster", "office.test")
        rest = (self.until, lambda: VOICES["en"], postmaster, self.log, self.now, self.clock)
        return Reporter(self.spool, mailer, Schedule(SETTINGS), *rest)

    def now(self) -> float:
        return START + self.clock.seconds()

    def until(self, letter: Letter, recipient: Recipient) -> float | None:
        return None if recipient.address.domain == FETCHED else START + SETTINGS.lifetime

    def end(self, number: int, state: str = "bounced", warned: int = 0, waits: bool = False) -> Deferred[None]:
        """The attempt at one recipient ends so."""
        reply, following = (LATER, self.now() + 300) if state == "deferred" else (NO, 0.0)
        result = Result(number, state, reply, "mx.x.test[192.0.2.1]:25", following, waits)
        at_once(self.spool.settle({"L1": [result]}))
        return self.report([result], warned)

    def report(self, results: list[Result], warned: int = 0, unreported: bool = False) -> Deferred[None]:
        due = Due(self.letter, (), warned=warned, unreported=unreported)
        work = self.reporter.report(due, results, lambda report: self.woken.append(report.id))
        return Deferred.fromCoroutine(work)

    def told(self, id: str) -> list[str]:
        """Action and recipient, of a report."""
        _, machine, _ = message_from_bytes(self.spool.stored[id].content).get_payload()
        blocks = machine.get_payload()[1:]  # type: ignore[union-attr]
        return [f"{block['Action']} {block['Final-Recipient'].partition(';')[2]}" for block in blocks]


FIVE = tuple(f"x@{name}.test" for name in "abcde")


def test_what_ends_at_nearly_the_same_moment_is_one_report() -> None:
    office = Office(*FIVE)
    for number in range(4):
        office.end(number)
        office.clock.advance(1)
    assert office.woken == []
    office.end(4)
    assert office.woken == ["B1"], "nobody else is being tried, so nobody is waited for"
    assert office.told("B1") == [f"failed {address}" for address in FIVE]
    assert list(office.spool.stored) == ["B1"]
    assert not office.clock.getDelayedCalls()


def test_a_slow_destination_does_not_keep_the_others_fate_secret() -> None:
    office = Office(*FIVE[:3])
    works = [office.end(0), office.end(1)]
    office.clock.advance(GATHER)
    assert office.told("B1") == ["failed x@a.test", "failed x@b.test"]
    office.clock.advance(120)
    works.append(office.end(2))
    assert office.told("B2") == ["failed x@c.test"]
    assert all(work.called for work in works)


def test_whoever_is_alone_is_told_of_at_once() -> None:
    office = Office(FIVE[0])
    office.end(0)
    assert office.woken == ["B1"]


def test_those_who_wait_for_a_later_attempt_are_not_waited_for() -> None:
    office = Office(*FIVE[:2])
    office.end(0, "deferred")
    office.end(1)
    assert office.told("B1") == ["failed x@b.test"]


def test_what_comes_while_a_report_is_written_is_told_too() -> None:
    """By whoever writes it."""
    office = Office(*FIVE[:2])
    report, gate = office.spool.report, Deferred[None]()

    async def slowly(*words: object) -> None:
        await gate
        await report(*words)  # type: ignore[arg-type]

    office.spool.report = slowly  # type: ignore[assignment]
    first = office.end(0)
    office.clock.advance(GATHER)
    second = office.end(1)
    assert second.called and not first.called
    gate.callback(None)
    assert office.told("B1") == ["failed x@a.test"] and office.told("B2") == ["failed x@b.test"]
    assert first.called


def test_when_the_server_stops_nobody_is_waited_for() -> None:
    office = Office(*FIVE)
    office.end(0)
    office.reporter.hurry()
    assert office.told("B1") == ["failed x@a.test"]
    assert not office.clock.getDelayedCalls()


def test_after_a_crash_it_is_told() -> None:
    """What was gathered is in the spool."""
    office = Office(*FIVE[:2])
    office.end(0)
    office.reporter, office.clock = office.build(), Clock()
    office.reporter = office.build()
    office.report([], unreported=True)
    office.end(1)
    assert office.told("B1") == ["failed x@a.test", "failed x@b.test"]


def test_of_a_letter_that_was_dropped_meanwhile_nobody_is_told() -> None:
    office = Office(*FIVE[:2])
    work = office.end(0)
    del office.spool.stored["L1"]
    office.clock.advance(GATHER)
    assert work.called and not office.woken and not office.log.failures


def test_a_full_disk_is_no_end_of_it() -> None:
    office = Office(*FIVE[:1])
    office.spool.full = True
    assert office.end(0).called
    assert "cannot write the report to the sender yet" in str(office.log.warnings)
    office.spool.full = False
    office.report([], unreported=True)
    assert office.woken == ["B1"]


def test_a_disk_that_fails_while_others_are_waited_for_is_no_bug() -> None:
    office = Office(*FIVE[:2])
    first = office.end(0)
    office.spool.full = True
    second = office.end(1)
    assert second.called and second.result is None
    office.clock.advance(GATHER)
    assert first.called and first.result is None
    assert "cannot write the report to the sender yet" in str(office.log.warnings)
    office.spool.full = False
    office.report([], unreported=True)
    assert len(office.told("B1")) == 2


# ---- Delays


def test_one_warning_tells_of_all_that_wait() -> None:
    """Also of those whose last attempt was some time ago."""
    office = Office(*FIVE[:3])
    for number in range(3):
        office.end(number, "deferred")
    assert not office.woken
    office.clock.advance(SETTINGS.delay_warning[0])
    for number in range(3):
        office.end(number, "deferred")
    assert office.told("B1") == [f"delayed {address}" for address in FIVE[:3]]
    assert office.woken == ["B1"], "each part of the letter was looked at before the warning was noted"


def test_failures_and_delays_of_one_moment_are_one_report() -> None:
    office = Office(*FIVE[:2])
    office.clock.advance(SETTINGS.delay_warning[0])
    office.end(0, "deferred")
    office.end(1)
    assert office.told("B1") == ["failed x@b.test", "delayed x@a.test"]
    office.end(0, "deferred", warned=1)
    assert office.woken == ["B1"]


def test_what_waits_to_be_fetched_is_no_delay() -> None:
    office = Office(f"x@{FETCHED}", FIVE[0])
    office.clock.advance(SETTINGS.delay_warning[0])
    office.end(0, "deferred", waits=True)
    assert not office.woken
    office.end(1, "deferred")
    assert office.told("B1") == ["delayed x@a.test"]


def test_bounces_delay_nobody() -> None:
    office = Office(FIVE[0])
    office.letter = evolve(office.letter, sender=None)
    office.spool.stored["L1"].letter = office.letter
    office.clock.advance(SETTINGS.delay_warning[0])
    office.end(0, "deferred")
    assert not office.woken


@pytest.mark.parametrize("wishes", ["NEVER", "SUCCESS", "FAILURE"])
def test_who_does_not_want_to_hear_of_a_delay(wishes: str) -> None:
    office = Office(*FIVE[:2])
    first, second = office.letter.recipients
    office.letter = evolve(office.letter, recipients=(evolve(first, notify=frozenset({wishes})), second))
    office.spool.stored["L1"].letter = office.letter
    office.clock.advance(SETTINGS.delay_warning[0])
    office.end(0, "deferred")
    office.end(1, "deferred")
    assert office.told("B1") == ["delayed x@b.test"]
