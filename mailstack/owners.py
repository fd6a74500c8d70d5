"""Whom files belong to. Root, who writes for others, must not leave any that these cannot use."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def give(target: Path | int, model: Path) -> None:
    """As root: to whom the model belongs.

    Whose folder it is may have put something else in the target's place since it was made: a link to it, or another
    name of it, would make him the owner of any file. OSError."""
    if isinstance(target, int):
        _give(target, model.stat())
        return
    if os.geteuid() != 0:
        return
    fd = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if stat.S_ISDIR(found.st_mode) or found.st_nlink == 1:
            _give(fd, model.stat())
    finally:
        os.close(fd)


def _give(target: int, model: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(target, model.st_uid, model.st_gid)


def take_after(fd: int, path: Path, mode: int) -> None:
    """Owner and mode of the file at ``path``; of its folder, with ``mode``, when it is new (root makes it for us)."""
    there = path.exists()
    model = path.stat() if there else path.parent.stat()
    _give(fd, model)
    os.fchmod(fd, model.st_mode & 0o777 if there else mode)
