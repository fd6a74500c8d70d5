"""One server for one spool; and whether the system has been started anew since the last one.

What stands in ``queue.db-shm`` is never synced: after a power loss it may be older than the log beside it, or newer. So
it is a witness only until the system starts again, and ``spool/lock`` says which start of the system it was.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")  # another one for each start of the system; proc(5)


def locked(path: Path) -> int:
    """The lock, as a file descriptor: it goes with the process, however that ends. OSError: another one has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise OSError(f"another mailstack is using {path.parent.parent}") from None
    return fd


def mark(lock: int) -> None:
    """A server has begun to work. Without room for that, the next start believes less."""
    with suppress(OSError):
        os.pwrite(lock, _boot(), 0)


def same_boot(path: Path) -> bool:
    """Whether what the last server has written is all there: the system has not been started since. ``path`` is the
    lock's."""
    try:
        found = path.read_bytes()
    except OSError:
        return False
    return bool(found) and found == _boot()


def _boot() -> bytes:
    try:
        return BOOT.read_bytes()
    except OSError:
        return b""
