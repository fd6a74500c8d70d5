"""Whether what is on the disk still is what was there at the start: a file system may be unmounted, a folder moved
away, a backup restored in its place."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

Identity = tuple[int, int]


@frozen
class Place:
    """What stood there at the start."""

    identities: tuple[tuple[str, Identity], ...]

    @classmethod
    def of(cls, paths: Sequence[Path]) -> Place:
        """OSError."""
        return cls(tuple((str(path), _identity(str(path))) for path in paths))

    def verify(self) -> None:
        """ENOENT: it is gone. ESTALE: it is another one."""
        for path, identity in self.identities:
            if _identity(path) != identity:
                raise OSError(errno.ESTALE, "this is not the one that the server has opened", path)


def _identity(path: str) -> Identity:
    found = os.stat(path)  # noqa: PTH116 - asked for every batch
    return found.st_dev, found.st_ino


class Known:
    """One path, once it is known."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place: Place | None = None

    def remember(self) -> None:
        """As it is now. OSError."""
        self._place = Place.of([self._path])

    def verify(self) -> None:
        """OSError, as :meth:`Place.verify` has it; nothing before it is known."""
        if self._place is not None:
            self._place.verify()
