"""While outcomes cannot be recorded, nothing is delivered; when they can be again, all goes on."""

from __future__ import annotations

from typing import Any

import pytest

from mailstack.queue.attempts import STUCK
from mailstack.queue.dispatch import GRACE
from mailstack.queue.looks import Looks
from tests.fakes import FakeTransport, at_once
from tests.queue.test_dispatch import LATER, NEVER, MiddlingSpool, SlowTransport, World


class PausingSpool(MiddlingSpool):
    def __init__(self) -> None:
        super().__init__()
        self.well = True
        self.heals = False  #: at the next look

    def fit(self) -> bool:
        return self.well

    async def examine(self) -> None:
        self.well |= self.heals


class PausingWorld(World):
    def make_spool(self) -> PausingSpool:
        return PausingSpool()

    @property
    def disk(self) -> PausingSpool:
        assert isinstance(self.spool, PausingSpool)
        return self.spool

    @property
    def attempts(self) -> list[tuple[str, tuple[str, ...]]]:
        return [*self.local.attempts, *self.remote.attempts]

    def fall_ill(self) -> None:
        self.disk.well, self.disk.heals = False, False

    def get_well(self) -> None:
        self.disk.heals = True
        self.pass_time(Looks().poll)
        self.turn()


@pytest.fixture
def world() -> PausingWorld:
    return PausingWorld()


def test_what_has_just_come_waits(world: PausingWorld) -> None:
    world.fall_ill()
    world.accept("L1", "alice@office.test", "x@one.test")
    world.pass_time(120)
    assert world.attempts == []
    world.get_well()
    world.pass_time(1)
    assert world.local.delivered == [("L1", "alice@office.test")]
    assert world.remote.delivered == [("L1", "x@one.test")]


def test_what_is_found_in_the_database_waits(world: PausingWorld) -> None:
    world.fall_ill()
    world.accept("L1", "alice@office.test", "x@one.test", wake=False)
    world.pass_time(120)
    assert world.attempts == []
    world.get_well()
    world.pass_time(1)
    assert len(world.attempts) == 2
    assert not world.spool.stored


def test_what_is_in_line_in_memory_waits() -> None:
    """Two at a time go to one server; the others are not begun when the first ones end on a disk that is ill."""
    slow = SlowTransport()
    world = PausingWorld(slow)
    for number in range(5):
        world.accept(f"L{number}", "x@one.test")
    begun = len(slow.held)
    assert begun < 5
    world.fall_ill()
    for gate in list(slow.held):
        gate.callback(None)
    world.pass_time(10)
    assert len(slow.held) == begun
    world.get_well()
    world.pass_time(1)
    assert len(slow.held) > begun


def test_what_is_under_way_is_recorded_when_it_can_be() -> None:
    slow = SlowTransport()
    world = PausingWorld(slow)
    world.accept("L1", "x@one.test")
    world.fall_ill()
    world.disk.broken = True
    slow.held[0].callback(None)
    world.pass_time(60)
    told = [fields for id, fields in world.log.warnings if id == "L1"]
    assert len(told) == 1, "once, however often it is tried"
    world.disk.broken = False
    world.pass_time(STUCK)
    assert not world.spool.stored
    assert len(slow.held) == 1


def test_a_second_try_waits(world: PausingWorld) -> None:
    world.remote.outcomes = {"x@one.test": [LATER]}
    world.accept("L1", "x@one.test")
    assert len(world.remote.attempts) == 1
    world.fall_ill()
    world.pass_time(1_000)
    assert len(world.remote.attempts) == 1
    world.get_well()
    world.pass_time(5)
    assert len(world.remote.attempts) == 2


def test_nothing_is_fetched_out_of_turn(world: PausingWorld) -> None:
    world.accept("L1", "x@fetched.test", wake=False)
    world.fall_ill()
    fetcher = FakeTransport()
    at_once(world.dispatcher.out_of_turn("L1", ["fetched.test"], fetcher))
    assert fetcher.attempts == []


def test_a_queue_that_cannot_be_read_is_told_of_once(world: PausingWorld) -> None:
    async def refuse() -> bool:
        raise OSError(5, "the disk is broken")

    changed, world.spool.changed = world.spool.changed, refuse  # type: ignore[method-assign]
    world.pass_time(30)
    assert [id for id, _ in world.log.warnings] == ["queue"]
    world.spool.changed = changed  # type: ignore[method-assign]
    world.pass_time(2)
    world.spool.changed = refuse  # type: ignore[method-assign]
    world.pass_time(5)
    assert len(world.log.warnings) == 2


def test_a_stop_waits_for_nobody(world: PausingWorld) -> None:
    world.fall_ill()
    world.accept("L1", "alice@office.test", "x@one.test")
    stopped: list[object] = []
    world.dispatcher.stopService().addCallback(stopped.append)
    assert stopped
    world.get_well()
    assert world.attempts == []


def test_a_stop_waits_for_no_report_of_what_cannot_be_recorded() -> None:
    """Its recipient counts as being tried until it is recorded."""
    slow = SlowTransport()
    world = PausingWorld(slow)
    slow.outcomes = {"x@one.test": [NEVER]}
    world.accept("L1", "x@one.test")
    world.fall_ill()
    world.disk.broken = True
    slow.held[0].callback(None)
    world.turn()
    stopped: list[object] = []
    world.dispatcher.stopService().addCallback(stopped.append)
    world.pass_time(GRACE)
    assert stopped


def test_a_stop_tries_once_more_to_record_what_has_happened() -> None:
    slow = SlowTransport()
    world = PausingWorld(slow)
    world.accept("L1", "x@one.test")
    world.disk.broken = True
    slow.held[0].callback(None)
    world.turn()
    stopped: list[object] = []
    world.dispatcher.stopService().addCallback(stopped.append)
    world.disk.broken = False
    assert "L1" in world.spool.stored
    world.pass_time(GRACE)
    assert stopped
    assert "L1" not in world.spool.stored


def test_a_report_that_the_disk_refuses_is_made_soon_after(world: PausingWorld) -> None:
    world.remote.outcomes = {"x@one.test": [NEVER]}
    report, refused = world.spool.report, [True, True]

    async def refusing(*args: Any) -> None:
        if refused and refused.pop():
            raise OSError(5, "the disk is broken")
        await report(*args)

    world.spool.report = refusing  # type: ignore[method-assign]
    world.accept("L1", "x@one.test")
    world.pass_time(2 * STUCK + 2)
    assert world.local.delivered == [("B3", "alice@office.test")]
    assert len([id for id, _ in world.log.warnings if id == "L1"]) == 1, "told once"
    assert not world.spool.stored
