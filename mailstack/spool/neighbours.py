"""Other processes at the queue database: the command line reads and writes it while the server runs, or starts.

A start looks whether the database is damaged, and replaces one that is. Meanwhile nobody else may have it open: what a
neighbour writes at that moment would look like damage, and be written to a file that is put aside. So neighbours share
an flock(2) on the folder of letters, and a start has it for itself until it has looked.

While the server runs, its log may come to have a hole, and a power loss takes what neighbours have committed behind
that. Until it has begun the log anew, it has an flock(2) on the folder of the spool: that needs no disk, which refuses
just then.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailstack.spool.errors import Busy
from mailstack.spool.schema import WIPE

PATIENCE = 10.0  # seconds
PAUSE = 0.02  # seconds between two tries


@contextmanager
def neighbour(spool: Path) -> Iterator[None]:
    """For a process that is not the server, around all that it does with the database. Blocking. Busy: a server that is
    starting looks at it for longer than we wait."""
    if not (spool / "messages").is_dir():
        yield
        return
    with _opened(spool / "messages") as fd:
        if not _locked(fd, fcntl.LOCK_SH):
            raise Busy(errno.EAGAIN, "queue database: a server that is starting looks at it")
        yield


def connected(database: Path) -> sqlite3.Connection:
    """For a neighbour. What it commits is durable, unlike in the server, whose batches are synced later. It makes no
    checkpoint while others have the database open: the log may have a hole that only the server knows of.
    sqlite3.Error, also if there is no database."""
    db = sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=PATIENCE, isolation_level=None)
    db.execute(WIPE)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    return db


@contextmanager
def undisturbed(spool: Path) -> Iterator[bool]:
    """Whether no neighbour has the database open, and none will; False: one does not come to an end. Blocking."""
    with _opened(spool / "messages") as fd:
        yield _locked(fd, fcntl.LOCK_EX)


class Doubt:
    """Of the server: whether it may have a hole in its log. It ends with the process."""

    def __init__(self, spool: Path) -> None:
        self._fd = _open(spool)

    def begin(self) -> None:
        """Blocking, while a neighbour looks."""
        _locked(self._fd, fcntl.LOCK_EX)

    def end(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._fd)


def beyond_doubt(spool: Path) -> bool:
    """Whether all that a neighbour has committed before is durable. Blocking; False: the server could not begin its log
    anew for longer than we wait."""
    with _opened(spool) as fd:
        return _locked(fd, fcntl.LOCK_SH)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    fd = _open(folder)
    try:
        yield fd
    finally:
        os.close(fd)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _locked(fd: int, how: int) -> bool:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(PAUSE)
