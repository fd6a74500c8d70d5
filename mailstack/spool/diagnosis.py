"""Is the queue database what it was? Nothing is changed by asking."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mailstack.spool.lock import same_boot
from mailstack.spool.pages import MAGIC, known_frames, logged_numbers, written_frames
from mailstack.spool.schema import SCHEMA, VERSION, version

LOG = "a damaged log"
SOUND_FORMATS = (1, 2)  # octets 18 and 19 of the database: 2 with a log
#: An OSError of SQLite: not a word about what stands in the file.
_ELSEWHERE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
)


def diagnosed(database: Path, mail: bool) -> str:
    """What is wrong with it, behind "the queue database"; "" when nothing is, or there is none yet. ``mail``: there
    are letters, so there was one. Blocking; while nobody else has it open. OSError: it is of a newer mailstack, or the
    system does not let us look."""
    if obstacle := _obstacle(database):
        return obstacle
    log = _beside(database, "-wal")
    begun = mail or (log.exists() and log.stat().st_size > 0)
    if not database.exists():
        return "is missing" if begun else ""
    if not database.stat().st_size:
        return "is empty" if begun else ""
    # After a power loss the index of the log may be older than the log, or newer: so it says nothing.
    whole = same_boot(database.with_name("lock"))
    if whole and (lost := _lost(database)):
        return lost
    head = _head(database)
    if head[:16] != MAGIC:
        return "is no database, or has lost its beginning"
    if not set(head[18:20]) <= set(SOUND_FORMATS):
        return "has a damaged header"
    try:
        return _read(database, whole)
    except UnicodeError:
        return "cannot be read (its tables have names that make no sense)"
    except sqlite3.Error as error:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _ELSEWHERE:
            raise OSError(f"queue database: {error}") from error
        return f"cannot be read ({error})"


def _lost(database: Path) -> str:
    """What the index beside the log knows of, and the log has not."""
    known, round_ = known_frames(database)
    written, _, salt = written_frames(database)
    if known and salt != round_:
        return "has lost its log"
    return f"has lost the end of its log ({written} of {known} frames are left)" if known > written else ""


def _head(database: Path) -> bytes:
    with database.open("rb") as file:
        return file.read(100)


def _beside(database: Path, ending: str) -> Path:
    return database.with_name(f"{database.name}{ending}")


def _obstacle(database: Path) -> str:
    """Something else in the place of a file. OSError: it is not ours."""
    for path in (database, _beside(database, "-wal"), _beside(database, "-shm")):
        if path.is_symlink() and not path.exists():
            return f"is a link that leads nowhere ({path.name})"
        if not path.exists():
            continue
        if not stat.S_ISREG(path.stat().st_mode):
            return f"is no file ({path.name})"
        if not os.access(path, os.R_OK | os.W_OK):
            raise OSError(f"{path} cannot be read and written: it must belong to the user that mailstack runs as")
    return ""


def _read(database: Path, whole: bool) -> str:
    """``whole``: there was no power loss, so what was written is there."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
        findings = list(_findings(db))
        believed, _ = known_frames(database)
        _, ended, _ = written_frames(database)
        if not findings and ended > believed and (whole or _was_durable(db, database)):
            return f"has {LOG} (frames {believed + 1} to {ended} cannot be believed)"
    return findings[0] if findings else ""


def _was_durable(db: sqlite3.Connection, database: Path) -> bool:
    """Whether something of the log was durable that SQLite does not believe. What it does not believe is what a power
    loss has left of the last batch, torn; unless there is a batch behind that one, as it begins when the last is
    durable."""
    if version(db) != VERSION:
        return False
    (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'counter'").fetchone()
    (batch,) = db.execute("SELECT batch FROM counter").fetchone()
    return any(each > batch + 1 for each in logged_numbers(database, page))


def _findings(db: sqlite3.Connection) -> Iterator[str]:
    """OSError: of a newer mailstack. sqlite3.Error."""
    try:
        version(db)
    except OSError:
        # A newer mailstack has tables that are not ours; if they are ours, just that number is wrong.
        if not _ours(db):
            raise
        yield "has a version number that makes no sense"
        return
    for (line,) in db.execute("PRAGMA integrity_check(1)"):
        if line != "ok":
            yield f"is damaged ({' '.join(str(line).split())})"
    if version(db) == VERSION and not _complete(db):
        yield "has lost tables, or columns of them"


def _ours(db: sqlite3.Connection) -> bool:
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(SCHEMA)
        return _tables(fresh) == _tables(db)


def _complete(db: sqlite3.Connection) -> bool:
    """Tables that an older mailstack has made read otherwise, but have the same columns; indexes are ours."""
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(SCHEMA)
        return _shape(fresh) == _shape(db)


def _shape(db: sqlite3.Connection) -> set[object]:
    found: set[object] = set()
    for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall():
        if kind == "table":
            found |= {(name, *column[1:]) for column in db.execute("SELECT * FROM pragma_table_info(?)", (name,))}
        else:
            found.add((name, sql))
    return found


def _tables(db: sqlite3.Connection) -> dict[str, str]:
    return dict(db.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))
