"""Whether what is on the disk still is what was there at the start: a file system may be unmounted, a folder moved
away, a backup restored in its place."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

Identity = tuple[int, int]


def inode(path: str) -> Identity:
    """For what is kept open. OSError."""
    found = os.stat(path)  # noqa: PTH116 - asked for every batch
    return found.st_dev, found.st_ino


def folder(path: str) -> Identity:
    """For what is opened anew each time. A file system that is mounted again is the same one, though NFS, btrfs and
    others have another device number then. OSError."""
    return os.statvfs(path).f_fsid, os.stat(path).st_ino  # noqa: PTH116


class Place:
    """What stands at these paths. Before it is remembered, nothing is expected there."""

    def __init__(self, *paths: Path, identity: Callable[[str], Identity] = inode) -> None:
        self._paths = [str(path) for path in paths]
        self._identity = identity
        self._identities: list[Identity] = []

    def remember(self) -> None:
        """As it is now. OSError."""
        self._identities = [self._identity(path) for path in self._paths]

    def verify(self) -> None:
        """ENOENT: it is gone. ESTALE: it is another one."""
        for path, identity in zip(self._paths, self._identities, strict=False):
            if self._identity(path) != identity:
                raise OSError(errno.ESTALE, "this is not the one that the server has opened", path)
