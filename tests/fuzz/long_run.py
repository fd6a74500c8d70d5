"""Plays by the hundred thousand, on all cores; each has a seed of its own, by which it can be seen again."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from random import SystemRandom
from time import perf_counter

BATCH = 1_000

Play = Callable[[int], None]


def main(prog: str, description: str | None, play: Play, what: str, count: int) -> int:
    """``play`` takes a seed and raises what went wrong; ``count`` is how many there are unless somebody says so."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--count", type=int, default=count, help=f"{what}; default {count:,}")
    parser.add_argument("--seed", type=int, help="of the first one, to see a failure again; default: a new one")
    options = parser.parse_args()
    first = SystemRandom().getrandbits(48) if options.seed is None else options.seed
    print(f"{options.count} {what}, the first has seed {first}", flush=True)
    started, broken, done = perf_counter(), 0, 0
    starts = range(first, first + options.count, BATCH)
    with ProcessPoolExecutor() as pool:
        for failures in pool.map(partial(_batch, play, first + options.count), starts):
            done = min(done + BATCH, options.count)
            broken += len(failures)
            for line in failures:
                print(line, flush=True)
            if done % (BATCH * 50) == 0:
                print(f"{done} {what}, {broken} failures, {perf_counter() - started:.0f} s", flush=True)
    print(f"{done} {what}, {broken} failures, {perf_counter() - started:.0f} s")
    return 1 if broken else 0


def _batch(play: Play, end: int, start: int) -> Sequence[str]:
    failures = []
    for seed in range(start, min(start + BATCH, end)):
        try:
            play(seed)
        except Exception as error:
            failures.append(f"seed {seed}: {type(error).__name__}: {error}")
    return failures
