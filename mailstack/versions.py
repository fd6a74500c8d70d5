"""Which version of some files is in use, and whether those that are there now can be read yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path

from attrs import frozen

PAUSE = 1.0  # seconds between two looks at the disk, for whoever looks
WRITING = 2.0  # seconds after a change in which more of it may follow


@frozen
class Signature:
    """Tells two versions of a file apart. ``changed`` is Unix time in nanoseconds."""

    changed: int
    size: int
    inode: int


#: None: the file is not there.
Signatures = Mapping[Path, Signature | None]


def signatures(paths: Iterable[Path]) -> Signatures:
    """Of the files as they are now. Blocks for a stat of each."""
    return {path: _signature(path) for path in paths}


def _signature(path: Path) -> Signature | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return Signature(found.st_mtime_ns, found.st_size, found.st_ino)


class State(Enum):
    IN_USE = "in use"
    BEING_WRITTEN = "being written"  #: more may follow: look again
    NEW = "new"


class Versions:
    """Knows the version in ``use``; empty when there is none, so that any is new."""

    def __init__(self, wall: Callable[[], float], together: bool) -> None:
        """``wall`` is Unix time, as files have it. ``together``: one file is no good without the others, so that more
        may follow a file that was replaced; else only one that is written in its place may be half there."""
        self._wall = wall
        self._together = together
        self._before: Signatures = {}
        self.use: Signatures = {}

    def state(self, found: Signatures) -> State:
        """What has changed just now is being written until two looks are the same."""
        if found == self.use:
            return State.IN_USE
        settled, self._before = found == self._before, found
        young = any(self._is_young(self.use.get(path), new) for path, new in found.items())
        return State.BEING_WRITTEN if young and not settled else State.NEW

    def _is_young(self, old: Signature | None, new: Signature | None) -> bool:
        if new is None or new == old or self._wall() - new.changed / 1e9 >= WRITING:
            return False
        return self._together or (old is not None and old.inode == new.inode)
