"""Files that belong to no letter of the queue are not thrown away.

``spool/quarantine``: what something damaged has left. It stays until the administrator decides.
``spool/leftovers``: what a crash has left, of letters that were never acknowledged or are done with. It goes after a
week, and the oldest of it before, if it is much: until then it can be looked at, if somebody misses a letter.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from mailstack.durable import make_folders, move, sync_paths

QUARANTINE, LEFTOVERS = "quarantine", "leftovers"
KEEP = 7 * 86_400.0  # seconds
MOST_FILES, MOST_OCTETS = 1_000, 256 * 1024 * 1024  #: of leftovers


def put_aside(messages: Path, names: Iterable[str], folder: Path) -> list[str]:
    """Move files out of ``messages``, durably; whatever they are. Returns what they are called there. OSError."""
    moved = []
    for name in names:
        make_folders(folder)
        target = next(path for path in _targets(folder, name) if not path.exists() and not path.is_symlink())
        with suppress(FileNotFoundError):
            move(messages / name, target)
            moved.append(target.name)
    if moved:
        sync_paths([folder, messages])
    return moved


def _targets(folder: Path, name: str) -> Iterable[Path]:
    yield folder / name
    for number in count(1):
        yield folder / f"{name}.{number}"


def tidy(leftovers: Path, now: float) -> None:
    """Remove what is there for a week, and all but the newest of the rest: however often there is a crash, it does not
    fill the disk. ``now`` is Unix time."""
    octets = 0
    for number, (came, size, path) in enumerate(sorted(_found(leftovers), reverse=True), 1):
        octets += size
        if came < now - KEEP or number > MOST_FILES or octets > MOST_OCTETS:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108


def _found(leftovers: Path) -> Iterator[tuple[float, int, str]]:
    """When they came here, which is not when they were written, how many octets they have, and where they are."""
    if not leftovers.is_dir():
        return
    with os.scandir(leftovers) as entries:
        for entry in entries:
            with suppress(OSError):
                state = entry.stat(follow_symlinks=False)
                yield state.st_ctime, state.st_size, entry.path
