"""What is wrong in a file of accounts or aliases."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from attrs import frozen

HOLE = bytes(8)
MAX_SIZE = 16 * 1024 * 1024  # octets; while it is read everybody waits


@frozen
class BrokenLine:
    path: Path
    number: int
    wrong: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}: {self.wrong}"


def text_of(path: Path) -> str:
    """OSError, also if the file is damaged: nobody can tell then who stood in it. A power loss, or a disk, leaves NULs
    where something was; nobody writes several in a row."""
    octets = _octets(path)
    if HOLE in octets:
        raise OSError(errno.EIO, "it is damaged: there are NUL octets in it", str(path))
    return octets.decode("utf-8", "surrogateescape")


def _octets(path: Path) -> bytes:
    """Who may write a list that an alias includes must not be able to stop the server: by a FIFO, whose end nobody
    sees, or a device."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        if found.st_size > MAX_SIZE:
            raise OSError(errno.EFBIG, f"it has more than {MAX_SIZE >> 20} MiB", str(path))
        with open(fd, "rb", closefd=False) as file:
            return file.read(MAX_SIZE)
    finally:
        os.close(fd)
