"""SQLite's errors in the terms of the disk."""

from __future__ import annotations

import errno
import sqlite3

#: SQLite's codes for a database that is not what it was.
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Busy(OSError):
    """Another process is in the middle of a transaction."""


class Damaged(OSError):
    """What is in the database makes no sense any more."""


def as_os_error(error: Exception) -> OSError:
    """An OSError for whatever SQLite or the disk raised."""
    if isinstance(error, OSError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy(errno.EAGAIN, f"queue database: {error}")
    if code in DAMAGED:
        return Damaged(errno.EIO, f"queue database: {error}")
    return OSError(errno.ENOSPC if code == sqlite3.SQLITE_FULL else errno.EIO, f"queue database: {error}")
