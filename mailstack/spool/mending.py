"""What a start would repair, without a server."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mailstack.spool.errors import as_os_error
from mailstack.spool.lock import locked
from mailstack.spool.recovery import Repairs, recover
from mailstack.spool.salvage import sound_database
from mailstack.spool.schema import prepare, version
from mailstack.spool.settling import QUARANTINE, held
from mailstack.spool.states import WAITING, listed


def is_running(folder: Path) -> bool:
    """Whether a server works in ``folder`` (spool). OSError: nobody can tell."""
    if not (folder / "lock").exists():
        return False
    try:
        os.close(locked(folder / "lock"))
    except PermissionError:
        raise
    except OSError:
        return True
    return False


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """No server starts meanwhile. OSError: one is running."""
    lock = locked(folder / "lock")
    try:
        yield
    finally:
        os.close(lock)


def mend(folder: Path, now: float) -> Repairs:
    """Blocking; within :func:`alone`. OSError: the disk, or a newer mailstack."""
    try:
        salvage = sound_database(folder, now)
        with closing(sqlite3.connect(folder / "queue.db", isolation_level=None)) as db:
            version(db)
            db.execute("PRAGMA journal_mode = WAL")
            prepare(db)
        return recover(folder / "queue.db", folder, salvage, now)
    except sqlite3.Error as error:
        raise as_os_error(error) from error


def hold(folder: Path, id: str, why: str) -> bool:
    """Put what waits of a damaged letter on hold, and say whether there was something. Blocking. OSError."""
    try:
        with closing(sqlite3.connect(folder / "queue.db", isolation_level=None)) as db:
            query = f"SELECT 1 FROM recipients WHERE id = ? AND state IN {listed(WAITING)}"
            if db.execute(query, (id,)).fetchone() is None:
                return False
            db.execute(QUARANTINE, (json.dumps([(id, held(why))]),))
            return True
    except sqlite3.Error as error:
        raise as_os_error(error) from error
