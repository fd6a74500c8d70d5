"""One soak: warm-up, calm, traffic, calm, judgement."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from statistics import median

from attrs import define, field

from tests.live.office import Office
from tests.live.sink import Sink
from tests.live.waiting import eventually
from tests.soak.ledger import Ledger
from tests.soak.places import USERS
from tests.soak.traffic import Traffic
from tests.soak.watch import Limits, Sample, grown, growth, left, look, size

RUSH = 5  # times the usual pace, in the first half of the warm-up
SAMPLES = 0.5  # seconds between two looks
PROGRESS = 60.0
SETTLED = 60.0  # seconds until all mail has gone its way
STEADY = 3.0  # seconds without a change of open files and threads
QUIET = 20.0  # seconds to wait for that


@define
class Soak:
    """What is known of it, also while it goes on."""

    office: Office
    traffic: Traffic
    limits: Limits
    say: Callable[[str], None]
    samples: list[Sample] = field(factory=list)
    calm: list[Sample] = field(factory=list)
    problems: list[str] = field(factory=list)

    def run(self, warm_up: float, seconds: float) -> None:
        """``seconds`` after the warm-up."""
        self.traffic.start()
        # A rush first: buffers and the heap have been as large as they get, and what grows after it is a leak.
        usual, self.traffic.pause = self.traffic.pause, self.traffic.pause / RUSH
        self._go(warm_up / 2, "rush")
        self.traffic.pause = usual
        self._go(warm_up / 2, "warm-up")
        self._come_to_rest()
        self.samples.clear()
        self._go(seconds, "")
        self._come_to_rest()
        self.traffic.end()
        self.problems += self._judge()

    def _go(self, seconds: float, name: str) -> None:
        begun, told = time.monotonic(), 0.0
        self.traffic.going.set()
        while (passed := time.monotonic() - begun) < seconds and self.office.ended is None:
            time.sleep(SAMPLES)
            self.traffic.relayed()
            self.samples.append(look(self.office.process.pid))
            if passed - told >= PROGRESS:
                told = passed
                self._tell(name, passed)

    def _tell(self, name: str, passed: float) -> None:
        ledger, last = self.traffic.ledger, self.samples[-1]
        self.say(
            f"{name} {passed / 60:4.0f} min: {ledger.acknowledged:,} letters, {ledger.copies:,} copies,"
            f" {ledger.bounces:,} bounces, {last.own:.1f} MiB, {last.files} files, {last.threads} threads,"
            f" {len(ledger.problems)} problems".strip()
        )

    def _come_to_rest(self) -> None:
        """Everything has arrived and was seen, nobody is connected."""
        self.traffic.rest()
        rng = random.Random(self.traffic.seed)
        eventually(lambda: self._all_seen(rng), SETTLED)
        self.calm.append(self._quiet())

    def _quiet(self) -> Sample:
        """When nothing changes any more: connections that rest are closed after two seconds."""
        last, since = look(self.office.process.pid), time.monotonic()
        end = since + QUIET
        while time.monotonic() < min(end, since + STEADY) and self.office.ended is None:
            time.sleep(0.1)
            now = look(self.office.process.pid)
            if (now.files, now.threads) != (last.files, last.threads):
                since = time.monotonic()
            last = now
        return last

    def _all_seen(self, rng: random.Random) -> bool:
        if self.office.ended is not None:
            return True
        for user in USERS:
            self.traffic.empty(user, rng)
        self.traffic.relayed()
        return not self.traffic.ledger.missing() and not self.office.spooled()

    def _judge(self) -> list[str]:
        if self.office.ended is not None:
            return [f"the server has ended: {self.office.ended}", *self.traffic.ledger.judge()]
        ledger = self.traffic.ledger
        found = [*ledger.judge(), *grown(self.samples, (self.calm[0], self.calm[1]), self.limits)]
        found += left(self.office.data, ledger.acknowledged, self.limits)
        if ledger.acknowledged == 0 or ledger.bounces == 0:
            found.append("nothing was sent, or nothing was returned: this shows nothing")
        found += [f"the log: {line}" for word in ("Traceback", "Unhandled") for line in self.office.logged(word)]
        return found

    def table(self) -> list[str]:
        ledger, counts = self.traffic.ledger, self.traffic.counts
        first, last = self.calm[0], self.calm[-1]
        return [
            f"letters acknowledged  {ledger.acknowledged:,}; copies {ledger.copies:,}, bounces {ledger.bounces:,},"
            f" {ledger.octets / 1e6:,.0f} MB read back",
            "sessions              " + ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items())),
            *self._memory(),
            f"open files, threads   {first.files}, {first.threads} after the warm-up,"
            f" {last.files}, {last.threads} at the end",
            "on the disk           "
            + ", ".join(
                f"{name} {size(self.office.data / name) / 1e6:.2f} MB"
                for name in ("spool/queue.db", "spool/queue.db-wal", "state/sessions.jsonl", "state/history")
            ),
            f"problems              {len(self.problems)}",
            *(f"  {problem}" for problem in self.problems[:50]),
        ]

    def _memory(self) -> list[str]:
        """Medians, by tenths of the time: how it went."""
        size = max(1, len(self.samples) // 10)
        tenths = [self.samples[start : start + size] for start in range(0, size * 10, size)]
        return [
            f"{name:22}{' '.join(f'{median(map(of, part)):.1f}' for part in tenths if part)} MiB:"
            f" grown by {growth(self.samples, of):+.1%}"
            for name, of in (("RSS", lambda one: one.rss), ("memory of its own", lambda one: one.own))
        ]


def play(
    root: Path, seed: int, warm_up: float, seconds: float, limits: Limits, say: Callable[[str], None], pause: float
) -> Soak:
    with Sink() as sink:
        office = _office(root, sink)
        soak = Soak(office, Traffic(office, sink, Ledger(), seed, pause), limits, say)
        try:
            office.add_users(*USERS)
            office.start()
            soak.run(warm_up, seconds)
        finally:
            # The end of the log, which close() prints, is for those who look for the cause of something.
            well = bool(soak.calm) and not soak.problems
            with redirect_stdout(StringIO() if well else sys.stdout):
                office.close()
    return soak


def _office(root: Path, sink: Sink) -> Office:
    sections = {
        "routes": {"*": f"smtp:[127.0.0.1]:{sink.port}"},
        "limits": {"recipients_per_hour": "1000000", "connections_per_client": "1000"},
    }
    return Office(root, sections)
