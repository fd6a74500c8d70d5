"""Room that is kept for what must be written down on a full disk: ``spool/reserve``, files with nothing in them but
blocks of their own.

Each file that is given up is one inode and a few blocks. The first half is for whatever we have to write: reports to
senders, outcomes. The second half is for the outcomes of what is under way when that is used up.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

PIECES = 16
LARGEST, SMALLEST = 4 * 1024 * 1024, 256 * 1024  # octets, all pieces together
SHARE = 64  # of a small file system, one so manieth part
#: What was given up is made again when there is room for so many of it: or it would be given up again at once.
ROOMY = 2


def size_for(total: int) -> int:
    """Octets of the reserve on a file system of that size."""
    return min(LARGEST, max(SMALLEST, total // SHARE))


class Reserve:
    """All methods block; OSError."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is for the pieces; the one above must be there."""
        self._folder = folder
        self._pieces: list[str] = []
        self._given = False  #: some of it was needed, since the start

    @property
    def whole(self) -> bool:
        return len(self._pieces) == PIECES

    @property
    def spent(self) -> bool:
        """Nothing is left, not even for outcomes."""
        return len(self._pieces) < PIECES // 2

    def make(self) -> None:
        """Make what is missing, all of it or nothing. ENOSPC, EDQUOT when there is no room for more than that."""
        self._folder.mkdir(0o700, exist_ok=True)
        state = os.statvfs(self._folder)
        octets = size_for(state.f_blocks * state.f_frsize) // PIECES
        there = {name for name in os.listdir(self._folder) if self._is_whole(name, octets)}  # noqa: PTH208
        self._pieces = [name for name in _names() if name in there]
        missing = [name for name in _names() if name not in there]
        if not missing:
            return
        try:
            # Not asked of statvfs, which knows of no quota.
            slack = [f"slack-{each}" for each in range((ROOMY - 1) * PIECES)] if self._given else []
            for name in [*missing, *slack]:
                _allocate(self._folder / name, octets)
        except OSError:
            for name in missing:
                (self._folder / name).unlink(missing_ok=True)
            raise
        finally:
            self._remove_slack()
        self._pieces = _names()

    def _is_whole(self, name: str, octets: int) -> bool:
        return (self._folder / name).stat().st_size >= octets

    def _remove_slack(self) -> None:
        for path in self._folder.glob("slack-*"):
            path.unlink(missing_ok=True)

    def give_up(self, everything: bool) -> bool:
        """Let go of half of it, or with ``everything`` of what is left after that; whether that has made room."""
        half = len(self._pieces) <= PIECES // 2
        if half and not everything:
            return False
        self._given = True
        kept = 0 if half else PIECES // 2
        names, self._pieces = self._pieces[kept:], self._pieces[:kept]
        for name in names:
            with suppress(FileNotFoundError):
                (self._folder / name).unlink()
        self._remove_slack()
        return bool(names)

    def give_up_found(self) -> bool:
        """All that another process has left of it; whether there was any."""
        found = list(self._folder.glob("*"))
        for path in found:
            path.unlink(missing_ok=True)
        self._given = True
        return bool(found)


def whole(spool: Path) -> bool:
    """Whether the reserve of a spool is there, or there is none at all. For other processes."""
    try:
        found = os.listdir(spool / "reserve")  # noqa: PTH208
    except OSError:
        return True
    return len(set(found) & set(_names())) == PIECES


def octets(spool: Path) -> int:
    """What is there of it."""
    try:
        return sum(path.stat().st_size for path in (spool / "reserve").iterdir())
    except FileNotFoundError:
        return 0


def _names() -> list[str]:
    return [f"{number:02}" for number in range(PIECES)]


def _allocate(path: Path, octets: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, octets)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            raise
        os.pwrite(fd, bytes(octets), 0)
    finally:
        os.close(fd)
