"""What is wrong in a file of accounts or aliases."""

from __future__ import annotations

import errno
from pathlib import Path

from attrs import frozen

HOLE = bytes(8)


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
    octets = path.read_bytes()
    if HOLE in octets:
        raise OSError(errno.EIO, "it is damaged: there are NUL octets in it", str(path))
    return octets.decode("utf-8", "surrogateescape")
