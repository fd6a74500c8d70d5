"""The long run: a million hostile clients take about five minutes on two cores."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from random import SystemRandom
from time import perf_counter

from tests.fuzz.play import play

BATCH = 1_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="clients; default 1,000,000")
    parser.add_argument("--seed", type=int, help="of the first client, to see a failure again; default: a new one")
    options = parser.parse_args()
    first = SystemRandom().getrandbits(48) if options.seed is None else options.seed
    print(f"{options.count} clients, the first has seed {first}", flush=True)
    started, broken, done = perf_counter(), 0, 0
    starts = range(first, first + options.count, BATCH)
    with ProcessPoolExecutor() as pool:
        for failures in pool.map(_batch, starts, repeat(first + options.count)):
            done = min(done + BATCH, options.count)
            broken += len(failures)
            for line in failures:
                print(line, flush=True)
            if done % (BATCH * 50) == 0:
                print(f"{done} clients, {broken} failures, {perf_counter() - started:.0f} s", flush=True)
    print(f"{done} clients, {broken} failures, {perf_counter() - started:.0f} s")
    return 1 if broken else 0


def _batch(start: int, end: int) -> Sequence[str]:
    failures = []
    for seed in range(start, min(start + BATCH, end)):
        try:
            play(seed)
        except Exception as error:
            failures.append(f"seed {seed}: {type(error).__name__}: {error}")
    return failures


if __name__ == "__main__":
    sys.exit(main())
