"""One seed, watched: what nobody has handled, and what nobody has awaited, is a fault too."""

from __future__ import annotations

import gc
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import frozen
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from mailstack.spool import store
from tests.simulation.plan import Plan
from tests.simulation.world import World


@frozen
class Outcome:
    seed: int
    digest: str
    faults: tuple[str, ...]
    counts: Counter[str]
    lines: tuple[str, ...] = ()


def watched(seed: int, keep_trace: bool = False) -> Outcome:
    return outcome(Plan.of(seed), keep_trace)


def outcome(plan: Plan, keep_trace: bool = False, mutate: Callable[[World], None] | None = None) -> Outcome:
    """Garbage is collected at the end alone, at the same moment each time: errors in it show themselves then."""
    unhandled: list[str] = []
    enabled = gc.isenabled()
    gc.disable()
    try:
        with _listening(unhandled), _checkpoints(plan.checkpoint):
            world = World(plan, keep_trace, mutate)
            world.run()
            crashed = any(machine.crashes for machine in world.machines)
            found = world.digest, list(world.faults), world.counts, tuple(world.lines)
            before = len(unhandled)
            del world
            gc.collect()
            if crashed:
                # What was left behind in a process that was killed cannot be told from what was forgotten.
                del unhandled[before:]
    finally:
        if enabled:
            gc.enable()
    digest, faults, counts, lines = found
    return Outcome(plan.seed, digest, tuple(faults + unhandled), counts, lines)


@contextmanager
def _checkpoints(rows: int) -> Iterator[None]:
    """With few rows between two of them a world has some, and its logs are short, which are read at each sync."""
    old, store.CHECKPOINT = store.CHECKPOINT, rows
    try:
        yield
    finally:
        store.CHECKPOINT = old


@contextmanager
def _listening(unhandled: list[str]) -> Iterator[None]:
    def observe(event: LogEvent) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            failure = event.get("log_failure")
            trace = failure.getTraceback() if failure is not None else event.get("log_format")
            unhandled.append(f"an error that nobody has handled: {trace}")

    def hook(problem: Any) -> None:
        unhandled.append(f"an error that nobody has handled: {problem.exc_value!r} in {problem.object!r}")

    old, sys.unraisablehook = sys.unraisablehook, hook
    globalLogPublisher.addObserver(observe)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            yield
    finally:
        globalLogPublisher.removeObserver(observe)
        sys.unraisablehook = old
