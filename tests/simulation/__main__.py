"""``python -m tests.simulation [--seeds 100000] [--first N] [--workers 2] [--verbose]``: many worlds; exit 1 when one
of them has a fault. With ``--verbose`` one seed tells all that happens in it."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from random import SystemRandom
from time import monotonic

from twisted.logger import globalLogBeginner

from tests.simulation.watch import Outcome, watched

PROGRESS = 60.0  # seconds between two lines
PIECE = 10  # seeds that a worker takes at a time
#: A worker begins anew after so many pieces: what it holds is not what is tested here.
LIFE = 100
DAY = 86_400
WORDS = ("letters", "acknowledged", "copies", "duplicates", "bounces", "warnings", "kill", "power", "stop", "jump",
         "sleep", "cuts", "failed syncs", "refused writes", "events")  # fmt: skip


def main() -> int:
    options = _options()
    if options.verbose and options.seeds == 1:
        return _tell(watched(options.first, keep_trace=True))
    print(f"seeds {options.first} to {options.first + options.seeds - 1}", flush=True)
    counts: Counter[str] = Counter()
    failed: list[int] = []
    began = shown = monotonic()
    done = 0
    for outcome in _outcomes(options.first, options.seeds, options.workers):
        done += 1
        counts.update(outcome.counts)
        if outcome.faults:
            failed.append(outcome.seed)
            _complain(outcome)
        elif options.verbose:
            print(outcome.seed, outcome.digest, flush=True)
        if monotonic() - shown > PROGRESS:
            shown = monotonic()
            print(f"{done} seeds in {shown - began:.0f} s, {len(failed)} with faults", flush=True)
    _sum_up(done, monotonic() - began, counts, failed)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100_000, help="how many")
    parser.add_argument("--first", type=int, default=None, help="the first one; any, if it is not given")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--verbose", action="store_true", help="each digest; of a single seed all that happens")
    options = parser.parse_args()
    if options.first is None:
        options.first = SystemRandom().randrange(10**9)
    return options


def _outcomes(first: int, seeds: int, workers: int) -> Iterator[Outcome]:
    if workers == 1:
        _prepare()
        yield from map(watched, range(first, first + seeds))
        return
    with get_context("fork").Pool(workers, _prepare, maxtasksperchild=LIFE) as pool:
        yield from pool.imap_unordered(watched, range(first, first + seeds), PIECE)


def _prepare() -> None:
    """Nothing is logged to the terminal; what is there stays, and need not be looked at by each collection."""
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)
    gc.collect()
    gc.freeze()


def _tell(outcome: Outcome) -> int:
    sys.stdout.writelines(outcome.lines)
    print(outcome.digest)
    if outcome.faults:
        _complain(outcome)
    return 1 if outcome.faults else 0


def _complain(outcome: Outcome) -> None:
    print(f"seed {outcome.seed} has faults:", *outcome.faults, sep="\n  ")
    print(f"  again: python -m tests.simulation --verbose --seeds 1 --first {outcome.seed}", flush=True)


def _sum_up(done: int, seconds: float, counts: Counter[str], failed: list[int]) -> None:
    print(f"{done} seeds in {seconds:.0f} s; {counts['seconds'] / DAY:.0f} simulated days")
    print(", ".join(f"{word} {counts[word]}" for word in WORDS))
    print(f"seeds with faults: {len(failed)} {' '.join(map(str, sorted(failed)[:50]))}")


if __name__ == "__main__":
    sys.exit(main())
