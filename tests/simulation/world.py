"""A world from a seed: machines that send each other mail, people, foreign servers, and what goes wrong.

Everything happens in one thread, one event after the other, in time that passes only between them. All chance comes
from the seed. So a seed gives the same world each time, event by event, which ``digest`` shows.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from mailstack.config.settings import HOUR, MINUTE
from tests.simulation.check import check
from tests.simulation.client import Client
from tests.simulation.clock import Owner, Time
from tests.simulation.foreign import ForeignServer
from tests.simulation.letters import TOKEN, Ledger, Posted, compose
from tests.simulation.machine import Machine
from tests.simulation.names import Names
from tests.simulation.network import Network, Storm
from tests.simulation.plan import Plan
from tests.simulation.trace import Trace
from tests.simulation.trouble import FURTHEST, LONGEST_FULL, Trouble
from tests.simulation.wire import Wire

LOOK = 5 * MINUTE  # seconds between two looks whether all is done
MOST_EVENTS = 200_000  # all worlds come to their end with fewer
LAST = 60.0  # seconds that a polite stop may take
FAR = {"mx1.far.test": "198.51.100.1", "mx2.far.test": "198.51.100.2"}
DEAD = "198.51.100.9"
SHM = Path("/dev/shm")


class World:
    def __init__(self, plan: Plan, keep_trace: bool = False, mutate: Callable[[World], None] | None = None) -> None:
        self.plan = plan
        self.rng = Random(plan.seed ^ 0x5EED)
        self.time = Time()
        self._trace = Trace(keep_trace)
        self.faults: list[str] = []
        self.ledger = Ledger()
        self.counts: Counter[str] = Counter()
        self.outside = Owner(self.time, "outside")
        self.base = Path(tempfile.mkdtemp(prefix="mailstack-simulation-", dir=SHM if SHM.is_dir() else None))
        self.storm = Storm(Random(self.rng.random()))
        self.network = Network(self.storm, self.note, self._wire_is_over)
        self.ended: deque[tuple[float, Wire]] = deque()  #: wires that ended not long ago
        self.names = Names(self._zone(), Random(self.rng.random()))
        self.machines = [self._machine(number) for number in range(plan.machines)]
        self.foreign = {name: self._foreign(address) for name, address in FAR.items()}
        self.network.down.add(DEAD)
        self.open: set[str] = set()  #: letters whose clients do not know yet what came of them
        self.quiet_at = 0.0
        if mutate is not None:
            mutate(self)

    # ---- Who is there

    def _zone(self) -> dict[tuple[str, str], list[str]]:
        zone = {
            ("far.test", "MX"): ["10 mx1.far.test", "20 mx2.far.test"],
            ("late.test", "MX"): ["10 mx2.far.test"],
            ("refuse.test", "MX"): ["10 mx1.far.test"],
            ("dead.test", "A"): [DEAD],
            **{(name, "A"): [address] for name, address in FAR.items()},
        }
        for number in range(self.plan.machines):
            zone[_domain(number), "MX"] = [f"10 mx.{_domain(number)}"]
            zone[f"mx.{_domain(number)}", "A"] = [_address(number)]
        return zone

    def _machine(self, number: int) -> Machine:
        name = _domain(number)
        following = _domain((number + 1) % self.plan.machines)
        aliases = {f"both@{name}": [f"u0@{name}", f"u1@{following}"], f"away@{name}": ["x@far.test"]}
        return Machine(
            name,
            _address(number),
            self.base,
            self.time,
            self.network,
            Random(self.rng.random()),
            self.plan.queue,
            self.plan.looks,
            self.plan.sync,
            [f"u{each}@{name}" for each in range(3)],
            aliases,
            self.names.of,
            self.note,
            self.fault,
            self.on_note,
        )

    def _foreign(self, address: str) -> ForeignServer:
        server = ForeignServer(self.outside, self.ledger, Random(self.rng.random()))
        server.refusals = {"late.test": b"450 4.2.0 come back later\r\n", "refuse.test": b"550 5.1.1 nobody\r\n"}
        self.network.listening[address, 25] = self.outside, server
        return server

    # ---- What is said

    def note(self, who: str, what: str) -> None:
        self._trace.add(self.time.now, who, what)

    def fault(self, what: str) -> None:
        self.note("FAULT", what)
        self.faults.append(what)

    def on_note(self, machine: Machine, id: str, fields: dict[str, object]) -> None:
        what = str(fields.get("what", ""))
        if "notification: " in what:
            self.counts["bounces"] += 1
        elif "delay warning" in what:
            self.counts["warnings"] += 1
        elif "cannot be delivered is dropped" in what:
            found = TOKEN.search(Path(machine.out.spool.path(id)).read_bytes())
            assert found is not None, id
            self.ledger.unheard.add(found[1].decode())

    @property
    def digest(self) -> str:
        return self._trace.digest

    @property
    def lines(self) -> list[str]:
        return self._trace.lines or []

    # ---- What happens

    def run(self) -> None:
        """Until all letters have come to an end, or it is clear that they do not."""
        try:
            self._run()
        finally:
            shutil.rmtree(self.base, ignore_errors=True)

    def _run(self) -> None:
        for machine in self.machines:
            machine.start()
            machine.disk.settle()
        self.quiet_at = Trouble(self).begin()
        self._post_all()
        lifetime = self.plan.queue.lifetime
        deadline = self.quiet_at + 2 * lifetime + self.plan.queue.bounce_lifetime + 6 * HOUR
        if "jump" in self.plan.kinds:
            # Looks are hours apart here: a letter may come, and be put off, while the clock is wrong between two.
            deadline += FURTHEST * lifetime
        self.outside.later(self.quiet_at, self._calm)
        self.outside.later(self.quiet_at + LOOK, self._look)
        self.done = False
        while not self.done and not self.faults and self.time.step(deadline):
            if self.time.events > MOST_EVENTS:
                self.fault(f"no end of events: {self._left()}")
        if not self.done and not self.faults:
            self.fault(f"not done: {self._left()}")
        if not self.faults:
            self._stop_all()
        if not self.faults:
            for wire in self.network.wires:
                self.ledger.wire_is_over(wire)
            check(self)
        self.counts["seconds"] = int(self.time.now)
        self.counts["events"] = self.time.events
        self.counts["letters"] = len(self.ledger.posted)
        self.counts["cuts"] = self.network.cuts
        self.counts["failed syncs"] = sum(machine.disk.failures for machine in self.machines)
        self.counts["refused writes"] = sum(machine.room.refusals for machine in self.machines)

    def _left(self) -> str:
        queued = {machine.name: machine.queued() for machine in self.machines if machine.up}
        down = [machine.name for machine in self.machines if not machine.up]
        return f"clients of {sorted(self.open)}, queues {queued}, down {down}, wires {len(self.network.wires)}"

    def _look(self) -> None:
        if self.open or any(not machine.up or machine.queued() for machine in self.machines):
            self.outside.later(LOOK, self._look)
        else:
            # What is left of connections and timers may take its time.
            self.outside.later(20 * MINUTE, self._finish)

    def _finish(self) -> None:
        self.done = True

    def _post_all(self) -> None:
        rng = self.rng
        for number in range(self.plan.letters + self.plan.strangers):
            stranger = number >= self.plan.letters
            letter, entry = self._letter(number, stranger)
            address = f"203.0.113.{number % 250 + 1}" if stranger or not letter.sender else f"10.9.0.{number % 250 + 1}"
            client = Client(
                letter, address, entry.address, self.outside, self.network, Random(rng.random()), self._client_ended
            )
            self.ledger.posted[letter.token] = letter
            self.open.add(letter.token)
            self.outside.later(rng.uniform(0.0, self.plan.spell), client.try_it)

    def _letter(self, number: int, stranger: bool) -> tuple[Posted, Machine]:
        rng = self.rng
        entry = rng.choice(self.machines)
        other = rng.choice(self.machines)
        if stranger:
            return compose(rng, number, "evil@spam.test", ["x@far.test"], stranger=True), entry
        sender = rng.choice((f"u{rng.randrange(3)}@{entry.name}", f"u2@{other.name}", "s@far.test", ""))
        known = [f"u{rng.randrange(3)}@{entry.name}", f"both@{entry.name}"]
        if sender:
            known += [f"u{rng.randrange(3)}@{other.name}", "x@far.test", "y@far.test", f"away@{entry.name}"]
            known += rng.choice(([], [], ["x@late.test"], ["x@refuse.test"], ["x@dead.test"], ["x@none.test"]))
        wanted = rng.sample(sorted(set(known)), min(len(set(known)), rng.choice((1, 1, 2, 3))))
        return compose(rng, number, sender, wanted), entry

    def _client_ended(self, letter: Posted) -> None:
        self.open.discard(letter.token)
        self.note("client", f"{letter.token} acknowledged={letter.acknowledged} refused={letter.refused}")

    def _calm(self) -> None:
        """From now on nothing goes wrong any more."""
        self.note("world", "is calm")
        self.storm.calm()
        self.names.failing = self.names.slow = 0.0
        for server in self.foreign.values():
            server.mood.improve()
        for machine in self.machines:
            machine.disk.broken = machine.spans.slow = 0.0
            machine.skew = 0.0

    def _stop_all(self) -> None:
        left = set(self.machines)
        for machine in self.machines:
            for problem in leaks(machine):
                self.fault(f"{machine.name}: {problem}")
            if not self.faults:
                machine.stop(lambda machine=machine: left.discard(machine))  # type: ignore[misc]
        end = self.time.now + LAST
        while left and not self.faults and self.time.step(end):
            pass
        if left and not self.faults:
            self.fault(f"does not stop: {sorted(machine.name for machine in left)}")
        self.outside.alive = False

    def _wire_is_over(self, wire: Wire) -> None:
        self.ledger.wire_is_over(wire)
        self.ended.append((self.time.now, wire))
        while self.ended[0][0] < self.time.now - 2 * LONGEST_FULL:
            self.ended.popleft()


def leaks(machine: Machine) -> list[str]:
    """What an idle server still holds."""
    out = machine.out
    queue: Any = out.queue
    spool: Any = out.spool
    found = {
        "letters in memory": list(queue._telling.letters),
        "letters that are coming": list(queue._work.coming),
        "letters on their way here": list(queue._work.here),
        "parts in lines": queue._work.lines.size,
        "places": [*queue._work._places._fast._taken, *queue._work._places._slow._taken],
        "hidden letters": list(spool._adding),
        "letters taken back": list(spool._store.taken_back),
        "messages that arrive": [each.name for each in spool._files.arrivals.awaited],
        "contents in memory": list(spool._files._recent),
        "files": machine.queued(),
        "rows": spool._store._db.execute("SELECT count(*) FROM messages").fetchone()[0],
        "rows of recipients": spool._store._db.execute("SELECT count(*) FROM recipients").fetchone()[0],
        "connections": [
            f"wire {each.number}"
            for each in machine.network.of(machine.owner)
            if any(end.connected and end.owner is machine.owner for end in each.ends)
        ],
        "sessions": sum(len(machine.services[name]._connections) for name in ("smtp",)),
        "clients": list(machine.services["smtp"]._connections._clients),
    }
    return [f"still has {what}: {value}" for what, value in found.items() if value and value != [0] * 6]


def _domain(number: int) -> str:
    return f"{'abc'[number]}.test"


def _address(number: int) -> str:
    return f"192.0.2.{number + 1}"


def play(seed: int, keep_trace: bool = False, mutate: Callable[[World], None] | None = None) -> World:
    world = World(Plan.of(seed), keep_trace, mutate)
    world.run()
    return world
