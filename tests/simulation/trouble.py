"""What goes wrong in a world, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.config.settings import HOUR, MINUTE
from tests.simulation.foreign import Mood
from tests.simulation.machine import Machine

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Seconds before a crash in which what was heard may not be recorded yet; where syncs fail, it is tried again each 5.
WINDOW, LONG_WINDOW = 15.0, 60.0
FURTHEST = 1.5  #: lifetimes of a letter by which a clock may be wrong
#: Seconds in which a disk stays full, and nothing can be recorded when the reserve is used up.
LONGEST_FULL = 20 * MINUTE


class Trouble:
    """All chance comes from the world's."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._plan = world.plan
        self._rng = world.rng

    def begin(self) -> float:
        """When all of it is over."""
        plan, rng = self._plan, self._rng
        last = plan.spell
        storm, kinds = self._world.storm, plan.kinds
        storm.latency = rng.choice((0.001, 0.05, 1.0))
        storm.cuts = rng.choice((0.1, 0.5)) if "cut" in kinds else 0.0
        storm.stalls = rng.choice((0.01, 0.1)) if "stall" in kinds else 0.0
        storm.splits = 0.3 if "split" in kinds else 0.0
        storm.lost_calls = 0.2 if "call" in kinds else 0.0
        storm.silent = rng.choice((0.1, 0.6))
        if "dns" in kinds:
            self._world.names.failing, self._world.names.slow = rng.choice((0.05, 0.4)), 0.2
        if "mood" in kinds:
            for server in self._world.foreign.values():
                server.mood = self._mood()
        for machine in self._world.machines:
            machine.spans.slow = 0.2 if "slow disk" in kinds else 0.0
            machine.disk.broken = rng.choice((0.05, 0.3)) if "sync" in kinds else 0.0
            last = max(last, self._trouble_of(machine, last))
            if "full disk" in kinds:
                last = max(last, self._fill_up(machine))
        return last + 1.0

    def _fill_up(self, machine: Machine) -> float:
        """Once or twice. When it is over."""
        rng, at = self._rng, 0.0
        for _ in range(rng.choice((1, 2))):
            at += rng.uniform(0.0, self._plan.spell)
            length = rng.choice((1.0, MINUTE, rng.uniform(0.0, LONGEST_FULL)))
            self._world.outside.later(at, self._set_full, machine, True)
            self._world.outside.later(at + length, self._set_full, machine, False)
            at += length
        return at

    def _set_full(self, machine: Machine, full: bool) -> None:
        self._world.note(machine.name, f"its disk is full: {full}")
        machine.room.full = full
        machine.room.since = self._world.time.now

    def _mood(self) -> Mood:
        def some() -> float:
            return self._rng.choice((0.0, 0.0, 0.05, 0.2))

        return Mood(some(), some() / 4, some(), some(), some(), some())

    def _trouble_of(self, machine: Machine, last: float) -> float:
        """When it is over."""
        rng, kinds, spell = self._rng, self._plan.kinds, self._plan.spell
        at = 0.0
        ways = [kind for kind in ("kill", "power", "stop", "jump", "sleep") if kind in kinds]
        for _ in range(self._plan.crashes if ways else 0):
            at += rng.uniform(0.0, spell)
            way = rng.choice(ways)
            down = rng.choice((0.0, 1.0, MINUTE, rng.uniform(0.0, self._plan.queue.lifetime / 3)))
            self._world.outside.later(at, self._strike, machine, way, down)
            at += down + 1.0
        return max(at, spell)

    def _strike(self, machine: Machine, way: str, down: float) -> None:
        if not machine.up:
            return
        self._world.counts[way] += 1
        if way in ("kill", "power"):
            self._remember_the_crash(machine)
            machine.kill() if way == "kill" else machine.lose_power()
            self._world.outside.later(down, machine.start)
        elif way == "stop":
            machine.stop(lambda: self._stopped(machine, down))
        elif way == "jump":
            furthest = FURTHEST * self._plan.queue.lifetime
            machine.skew = self._rng.choice((-1, 1)) * self._rng.choice((10.0, HOUR, furthest))
            self._world.note(machine.name, f"its clock is wrong by {machine.skew:.0f} s")
            self._world.outside.later(down, self._set_right, machine)
        elif way == "sleep":
            machine.sleep(down)
            self._world.outside.later(down, machine.wake)

    def _stopped(self, machine: Machine, down: float) -> None:
        if machine.disk.failures:
            # A stop does not wait for a disk that refuses: what it could not write down is forgotten, as by a crash.
            self._remember_the_crash(machine)
        self._world.outside.later(down, machine.start)

    def _remember_the_crash(self, machine: Machine) -> None:
        now = self._world.time.now
        wires = [*(wire for _, wire in self._world.ended), *self._world.network.wires]
        window = LONG_WINDOW if {"sync", "full disk"} & self._plan.kinds else WINDOW
        window += machine.owner.slept  # nothing was written down meanwhile
        if machine.room.full:
            window += now - machine.room.since
        elif machine.room.refusals and now - machine.room.since < LONG_WINDOW:
            window += LONGEST_FULL + LONG_WINDOW
        self._world.ledger.crashed([wire for wire in wires if wire.caller.owner is machine.owner], now - window)
        if machine.disk.log_failed is not None:
            # Who was put off for that may find that the letter has come after all: that it was taken back was to be
            # written into the same log.
            here = [wire for wire in wires if wire.callee.owner is machine.owner]
            self._world.ledger.crashed(here, machine.disk.log_failed)

    def _set_right(self, machine: Machine) -> None:
        machine.skew = 0.0
        self._world.note(machine.name, "its clock is right")
