"""Whether what is on the disk still is what was there at the start: a file system may be unmounted, a folder moved
away, a backup restored in its place."""

from __future__ import annotations

import errno
import os
from pathlib import Path

Identity = tuple[int, int]


class Place:
    """What stands at these paths. Before it is remembered, nothing is expected there."""

    def __init__(self, *paths: Path) -> None:
        self._paths = [str(path) for path in paths]
        self._identities: list[Identity] = []

    def remember(self) -> None:
        """As it is now. OSError."""
        self._identities = [_identity(path) for path in self._paths]

    def verify(self) -> None:
        """ENOENT: it is gone. ESTALE: it is another one."""
        for path, identity in zip(self._paths, self._identities, strict=False):
            if _identity(path) != identity:
                raise OSError(errno.ESTALE, "this is not the one that the server has opened", path)


def _identity(path: str) -> Identity:
    found = os.stat(path)  # noqa: PTH116 - asked for every batch
    return found.st_dev, found.st_ino
