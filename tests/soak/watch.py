"""Looks at a process from outside: memory, open files, threads, and what it keeps on the disk."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from attrs import frozen

SHARE = 4  # the first and the last quarter of the samples are compared

MIB = 1 << 20


@frozen
class Sample:
    """One look."""

    rss: float  #: MiB; not PSS, which grows when other processes with the same libraries end
    own: float  #: MiB of RSS that belong to no file: what a leak would be
    files: int
    threads: int


def look(pid: int) -> Sample:
    proc = Path(f"/proc/{pid}")
    rollup = (proc / "smaps_rollup").read_text()
    rss, own = (int(re.search(rf"^{name}:\s+(\d+)", rollup, re.MULTILINE)[1]) / 1024 for name in ("Rss", "Anonymous"))  # type: ignore[index]
    return Sample(rss, own, len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir())))


def growth(samples: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    """From the first quarter to the last one, as a share: 0.05 is 5 %."""
    part = max(1, len(samples) // SHARE)
    first, last = median(map(of, samples[:part])), median(map(of, samples[-part:]))
    return last / first - 1


@frozen
class Limits:
    """What may grow, and how much."""

    memory: float = 0.05  #: share
    files: int = 2  #: more than after the warm-up, when nobody is there
    threads: int = 3  #: likewise; the pools of threads have not all theirs from the start
    database: float = 8 * MIB
    log: float = 32 * MIB  #: SQLite's
    sessions: float = 32 * MIB
    history: float = 4096  #: octets for each letter that was acknowledged


def grown(samples: Sequence[Sample], calm: tuple[Sample, Sample], limits: Limits) -> list[str]:
    """What is more than it may be. ``calm``: after the warm-up and at the end, when nothing was going on."""
    found = []
    for name, of in (("RSS", lambda one: one.rss), ("memory of its own", lambda one: one.own)):
        share = growth(samples, of)
        if share > limits.memory:
            found.append(f"{name} has grown by {share:.1%}, more than {limits.memory:.0%}")
    before, after = calm
    for what, now, then, more in (
        ("open files", after.files, before.files, limits.files),
        ("threads", after.threads, before.threads, limits.threads),
    ):
        if now > then + more:
            found.append(f"{now} {what} at the end, {then} after the warm-up")
    return found


def left(data: Path, letters: int, limits: Limits) -> list[str]:
    """What should not be on the disk when all mail has gone its way."""
    spool, state = data / "spool", data / "state"
    found = [f"left in the spool: {path.name}" for path in (spool / "messages").iterdir()]
    found += [f"left in {path.parent}" for path in data.glob("mail/*/*/tmp/*")]
    for path, most in (
        (spool / "queue.db", limits.database),
        (spool / "queue.db-wal", limits.log),
        (state / "sessions.jsonl", limits.sessions),
        (state / "history", limits.history * letters),
    ):
        if (octets := size(path)) > most:
            found.append(f"{path.name} has {octets:,} octets, more than {most:,.0f}")
    return found


def size(path: Path) -> int:
    """Octets of a file, or of all in a folder."""
    if path.is_dir():
        return sum(each.stat().st_size for each in path.iterdir())
    return path.stat().st_size if path.exists() else 0
