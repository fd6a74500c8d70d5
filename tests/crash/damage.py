"""Damaged spools: files, the queue database, its log. One thing of each is damaged, then the server's own spool, queue
and local delivery start on it.

    python -m tests.crash.damage [--variants 10000] [--seed N] [--only VARIANT]

What was not touched goes where it belongs, octet by octet and once. What was touched does so, too, or it is on hold, in
quarantine, or goes back: never anything else arrives. Nothing raises, nothing hangs, and the postmaster is told.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from attrs import Factory, define

from mailstack.model.selection import EVERYTHING
from mailstack.spool.desk import QueueDesk
from tests.crash.damaged_spool import Came, Master, Original, Server, master, outcome, settings_of
from tests.crash.damages import ALL, Harm, choose, clear

HANGS = 60  # seconds for one variant, which takes a tenth of one


@define
class Tally:
    variants: int = 0
    letters: int = 0
    delivered: int = 0  #: letters that arrived as they should
    quarantined: int = 0  #: touched, and on hold or in quarantine
    salvaged: int = 0  #: databases that were made anew
    kinds: Counter[str] = Factory(Counter)
    problems: list[str] = Factory(list)


class Trial:
    """One spool, damaged and started."""

    def __init__(self, server: Server, harm: Harm, letters: dict[str, Original], came: Came) -> None:
        self.server, self.harm, self.letters, self.came = server, harm, letters, came
        spool = server.data / "spool"
        self.aside = {path.name for part in ("quarantine", "leftovers") for path in (spool / part).glob("*")}
        self.queue = {entry.id: entry for entry in QueueDesk(server.data).letters(EVERYTHING)}

    def problems(self) -> Iterator[str]:
        yield from self.came.wrong
        yield from (f"a failure: {each}" for each in self.server.log.failures)
        for id, letter in self.letters.items():
            yield from self._judge(id, letter)
        # A file that is cut off, in the last batch before a kill, looks like one that was never acknowledged.
        crash = self._leftover if "messages/" in self.harm.what else set()
        lost = self.aside & self.letters.keys() - crash
        told = self.came.notices or not (lost or self._damaged)
        if not told:
            yield f"nobody was told of {sorted(lost | self._damaged)}"

    @property
    def _damaged(self) -> set[str]:
        return {id for id, entry in self.queue.items() if entry.state == "hold" and not self.letters[id].held}

    @property
    def _leftover(self) -> set[str]:
        return {path.name for path in (self.server.data / "spool/leftovers").glob("*")}

    def touched(self, id: str) -> bool:
        return self.harm.touched >= ALL or id in self.harm.touched

    def _judge(self, id: str, original: Original) -> Iterator[str]:
        copies = {to: count for (each, to), count in self.came.copies.items() if each == id}
        missing = original.pending - copies.keys()
        if self.touched(id):
            # Without its file, one of the last batch before a kill looks as if it had never been acknowledged.
            named = id in self.server.unacknowledged and self.harm.what.endswith(f"messages/{id}")
            if missing and not (id in self.aside or id in self.queue or self.came.unnamed or named):
                yield f"{id} is lost: {sorted(missing)}"
            return
        if missing:
            where = "aside" if id in self.aside else self.queue[id].state if id in self.queue else "nowhere"
            yield f"{id} was not touched, and is {where}: {sorted(missing)} have it not"
        if any(count > 1 for count in copies.values()) or copies.keys() - original.pending:
            yield f"{id} was not touched, and came twice: {copies}"
        if original.held and (id not in self.queue or self.queue[id].state != "hold"):
            yield f"{id} was on hold, and is not any more"
        if original.told and self.came.reports[id] != 1:
            yield f"{self.came.reports[id]} reports about {id}"
        if original.letter.sent_by is not None and self.came.saved[id] != 1:
            yield f"{self.came.saved[id]} copies of {id} in the Sent folder"


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def play(root: Path, masters: list[Master], variant: int, seed: int, tally: Tally) -> None:
    rng = Random(f"{seed} {variant}")
    image = rng.choice(masters)
    spool = root / "data/spool"
    image.lay(spool)
    harm = choose(spool, image, rng)
    killed = "killed" if "queue.db-wal" in image.files else "stopped"
    name = f"variant {variant} ({killed}, {harm.what})"
    try:
        with no_longer_than(HANGS):
            server = Server(root, settings_of(root))
            server.play()
            trial = Trial(server, harm, image.letters, outcome(server, image.letters))
            tally.problems += [f"{name}: {each}" for each in trial.problems()]
    except Exception as error:
        tally.problems.append(f"{name}: {error!r}")
    else:
        _count(tally, trial)
    tally.variants += 1
    tally.kinds[harm.what.split(" of ")[0] + " " + harm.what.split(" of ")[1].split(" ")[0].split("/")[0]] += 1
    clear(root)


def _count(tally: Tally, trial: Trial) -> None:
    arrived = {id for id, to in trial.came.copies}
    tally.letters += len(trial.letters)
    tally.delivered += len(arrived)
    tally.quarantined += len((trial.aside & trial.letters.keys()) | trial._damaged)
    tally.salvaged += "queue.db" in trial.server.faults


@contextmanager
def folder() -> Iterator[Path]:
    """In memory, where there is such a place: nothing here is about what a disk forgets."""
    memory = Path("/dev/shm")
    place = memory if memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="mailstack-damage-", dir=place) as name:
        yield Path(name)


def run(variants: int, seed: int, first: int = 0) -> Tally:
    tally = Tally()
    with folder() as root:
        masters = [master(root, killed) for killed in (False, True)]
        for variant in range(first, first + variants):
            play(root, masters, variant, seed, tally)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description="Damage spools, and see what the server makes of them.")
    parser.add_argument("--variants", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--only", type=int, help="this variant alone")
    options = parser.parse_args()
    began = time.monotonic()
    tally = run(1, options.seed, options.only) if options.only is not None else run(options.variants, options.seed)
    print(
        f"seed {options.seed}: {tally.variants} variants in {time.monotonic() - began:.0f} s; {tally.letters} letters:"
        f" {tally.delivered} arrived, {tally.quarantined} on hold or in quarantine; {tally.salvaged} databases saved"
    )
    print(", ".join(f"{kind} {count}" for kind, count in sorted(tally.kinds.items())))
    for problem in tally.problems[:200]:
        print(problem)
    print(f"{len(tally.problems)} problems")
    return 1 if tally.problems else 0


if __name__ == "__main__":
    sys.exit(main())
