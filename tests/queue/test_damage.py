"""The postmaster is told of damage, and not flooded; what is damaged is not attempted."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from random import Random

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from mailstack.model.address import Address
from mailstack.model.letter import Due, Letter
from mailstack.queue.attempts import STUCK, Attempts
from mailstack.queue.damage import GATHER, PAUSE, DamageNotices
from mailstack.queue.verdict import Verdict
from mailstack.spool.memory import MemorySpool
from tests.fakes import FakeTransport, ListLog
from tests.message.meanings import VOICES
from tests.spool.contract import due, letter


class Notices:
    def __init__(self) -> None:
        self.clock = Clock()
        self.sent: list[bytes] = []
        self.well = True
        postmaster = Address("postmaster", "office.test")
        self.notices = DamageNotices(self.send, "mail.office.test", postmaster, self.clock, lambda: 1e9)

    async def send(self, message: object) -> bool:
        assert callable(message)
        if self.well:
            self.sent.append(message("ID1", VOICES["en"]))
        return self.well


def test_all_of_a_moment_is_one_notice_and_the_next_one_comes_an_hour_later() -> None:
    world = Notices()
    world.notices.add({})
    assert not world.clock.getDelayedCalls()
    world.notices.add({"L1": "x"})
    world.notices.add({"L2": "y"})
    world.clock.advance(GATHER)
    world.notices.add({"L3": "z"})
    world.clock.advance(PAUSE - 1)
    assert len(world.sent) == 1 and b"L1: x\n  L2: y\n" in world.sent[0]
    world.clock.advance(1)
    assert len(world.sent) == 2 and b"L3" in world.sent[1] and b"L1" not in world.sent[1]
    world.notices.add({"L4": "z"})
    world.notices.stop()
    assert not world.clock.getDelayedCalls()


def test_what_the_disk_did_not_take_comes_with_the_next_one() -> None:
    world = Notices()
    world.well = False
    world.notices.add({"L1": "x"})
    world.clock.advance(GATHER)
    world.well = True
    world.notices.add({"L2": "y"})
    world.clock.advance(PAUSE)
    assert len(world.sent) == 1 and b"L1: x\n  L2: y\n" in world.sent[0]
    assert not world.clock.getDelayedCalls()


class DamagedSpool(MemorySpool):
    """Says of ``L1`` that it is damaged; of all that nobody can tell, while there is an ``error``."""

    error: Exception | None = None
    damaged = "L1"
    refusals = 0
    held: tuple[str, ...] = ()

    async def faults(self, letters: Iterable[Letter]) -> Mapping[str, str]:
        if self.error is not None:
            raise self.error
        return {each.id: "its file is missing" for each in letters if each.id == self.damaged}

    async def quarantine(self, faults: Mapping[str, str]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.ENOSPC, "full")
        self.held += tuple(faults)


class World:
    def __init__(self) -> None:
        self.spool, self.transport, self.clock, self.log = DamagedSpool(), FakeTransport(), Clock(), ListLog()
        verdict = Verdict(lambda domain: None, self.log, lambda: 1e9, Random(1))  # type: ignore[arg-type, return-value]
        self.attempts = Attempts(self.spool, verdict, self.log, self.clock)

    def attempt(self, dues: Sequence[Due]) -> list[object]:
        found: list[object] = []
        work = Deferred.fromCoroutine(self.attempts.outcomes(self.transport, dues))
        work.addCallback(found.extend)
        return found


def test_a_damaged_letter_is_not_attempted_and_the_others_are() -> None:
    world = World()
    dues = [due(letter(id)) for id in ("L0", "L1", "L2")]
    first, second, third = world.attempt(dues)
    assert second == {} and first and third
    assert [id for id, _ in world.transport.delivered] == ["L0", "L2"]
    assert world.spool.held == ("L1",)
    assert world.attempts.results(dues[1], {}, 0.0) == []


def test_until_it_is_on_hold_nothing_else_happens_to_it() -> None:
    """Or it would be looked at again and again, as fast as the machine can."""
    world = World()
    world.spool.refusals = 2
    found = world.attempt([due(letter("L1"))])
    assert not found
    world.clock.pump([STUCK, STUCK])
    assert found == [{}] and world.spool.held == ("L1",)
    assert len(world.log.warnings) == 1, "once, however often it is tried"


def test_what_an_ill_disk_has_said_of_a_letter_is_not_believed_when_it_is_well_again() -> None:
    """While it cannot be read, and nothing can be written, a letter looks damaged that is whole."""
    world = World()
    world.spool.refusals = 1
    found = world.attempt([due(letter("L1"))])
    world.spool.damaged = ""
    world.clock.advance(STUCK)
    assert world.spool.held == () and len(found) == 1
    assert [id for id, _ in world.transport.delivered] == ["L1"]


def test_a_stop_does_not_wait_for_a_disk_that_refuses() -> None:
    """Nothing has happened to the letter: the next start looks at it again."""
    world = World()
    world.spool.refusals = 99
    found: list[object] = []
    work = Deferred.fromCoroutine(world.attempts.outcomes(world.transport, [due(letter("L1"))]))
    work.addBoth(found.append)
    work.cancel()
    (failure,) = found
    assert isinstance(failure, Failure) and failure.check(CancelledError)
    world.clock.advance(STUCK)
    assert world.spool.refusals == 98 and not world.transport.delivered


def test_a_bug_in_the_look_delays_what_it_strikes() -> None:
    world = World()
    world.spool.error = RuntimeError("a bug")
    (outcome,) = world.attempt([due(letter("L0"))])
    assert str(outcome[0].reply).startswith("451 4.3.0 An internal error")  # type: ignore[index]
    assert not world.transport.delivered and len(world.log.failures) == 1


@pytest.mark.parametrize("ids", [("L1",), ("L0", "L2")])
def test_what_nobody_can_tell_now_is_delayed(ids: Sequence[str]) -> None:
    world = World()
    world.spool.error = OSError(errno.EMFILE, "Too many open files")
    found = world.attempt([due(letter(id)) for id in ids])
    assert [str(outcome[0].reply) for outcome in found] == [  # type: ignore[index]
        "451 4.3.0 The queue file cannot be read: Too many open files" for _ in ids
    ]
    assert world.spool.held == () and not world.transport.delivered
