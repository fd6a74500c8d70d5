"""Opens what is a letter, and nothing else that may have its name."""

from __future__ import annotations

import os
import stat


def opened(path: bytes, directory: int | None = None) -> int:
    """A letter's file descriptor. FileNotFoundError also where something else has its name by now: a link, which may
    lead anywhere, a device or a FIFO, which may block."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError as problem:
        if _other(path, directory):
            raise FileNotFoundError(f"{os.fsdecode(path)} is no letter") from problem
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileNotFoundError(f"{os.fsdecode(path)} is no letter")
    return fd


def _other(path: bytes, directory: int | None) -> bool:
    try:
        return not stat.S_ISREG(os.stat(path, dir_fd=directory, follow_symlinks=False).st_mode)
    except OSError:
        return False
