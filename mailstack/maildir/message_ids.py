"""Which of the newest letters of a folder has which Message-ID, without reading them each time.

A cache: what is lost or damaged is made again from the letters. What other programs add, remove or rename is seen by
the times at which the folder has changed, and then its names alone are compared.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from hashlib import sha256
from heapq import nlargest
from pathlib import Path
from typing import TypeVar

from mailstack.durable import make_folders
from mailstack.maildir import names
from mailstack.maildir.files import opened

T = TypeVar("T")

MOST = 10_000  # letters of a folder that are looked at: who sends the same one again does so within days
HEADER = 64 * 1024  # octets in which a header's Message-ID is looked for

_MESSAGE_ID = re.compile(rb"^message-id[ \t]*:[ \t]*(?:\r?\n[ \t]+)?([^\s]{1,990})", re.IGNORECASE | re.MULTILINE)
_BLANK = re.compile(rb"^\r?\n", re.MULTILINE)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS folders (
    number INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    seen TEXT NOT NULL,              -- when it had last changed, as of what stands here
    added INTEGER NOT NULL           -- letters of ours since all of it was compared
) STRICT;
CREATE TABLE IF NOT EXISTS letters (
    folder INTEGER NOT NULL,
    base BLOB NOT NULL,              -- the name without flags
    message BLOB NOT NULL,           -- a hash of the Message-ID; empty without
    PRIMARY KEY (folder, base)
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS by_message ON letters (folder, message);
"""
#: Two questions, or all letters of the folder are looked at.
_FIND = """
SELECT base FROM letters WHERE folder = ?1 AND base = ?2
UNION ALL SELECT base FROM letters WHERE folder = ?1 AND message = ?3 AND ?3 != x''
"""


def message_id(letter: Path) -> bytes:
    """A hash of it; b"": there is none, or it cannot be read, or what has this name is no file: reading might never
    end."""
    try:
        with os.fdopen(opened(os.fsencode(letter)), "rb", buffering=0) as file:
            start = file.read(HEADER)
    except OSError:
        return b""
    end = _BLANK.search(start)
    found = _MESSAGE_ID.search(start[: end.start()] if end else start)
    return sha256(found[1]).digest()[:16] if found else b""


class MessageIds:
    """Blocking; one call at a time, from any thread. OSError and sqlite3.Error: it cannot be had now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def find(self, folder: Path, base: str, message: bytes) -> Path | None:
        """That letter in the folder, or another one with its Message-ID; None: there is neither."""
        return self._mended(lambda db: self._find(db, folder, base, message))

    def add(self, folder: Path, base: str, message: bytes) -> None:
        """One that has just been put there, after :meth:`find`."""
        self._mended(lambda db: self._add(db, folder, base, message))

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _mended(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Whatever is wrong with the file, it is thrown away, and made again once."""
        try:
            return work(self._open())
        except sqlite3.Error:
            self.close()
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(f"{self._path.name}{suffix}").unlink(missing_ok=True)
            return work(self._open())

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            make_folders(self._path.parent)
            self._db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            # A power failure may cost the last changes, and never more.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA)
        return self._db

    def _find(self, db: sqlite3.Connection, folder: Path, base: str, message: bytes) -> Path | None:
        number = _refreshed(db, folder)
        found = {os.fsdecode(row[0]) for row in db.execute(_FIND, (number, os.fsencode(base), message))}
        # Rather two copies than none: the letter must be there indeed.
        there = {each: Path(path) for each, path in _letters(folder) if each in found} if found else {}
        return there.get(base) or next(iter(there.values()), None)

    def _add(self, db: sqlite3.Connection, folder: Path, base: str, message: bytes) -> None:
        number, stamp = _number(db, folder), _stamp(folder)
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT OR REPLACE INTO letters VALUES (?, ?, ?)", (number, os.fsencode(base), message))
        db.execute("UPDATE folders SET seen = ?, added = added + 1 WHERE number = ?", (stamp, number))
        db.execute("COMMIT")


def _number(db: sqlite3.Connection, folder: Path) -> int:
    db.execute("INSERT OR IGNORE INTO folders (path, seen, added) VALUES (?, '', 0)", (str(folder),))
    number: int = db.execute("SELECT number FROM folders WHERE path = ?", (str(folder),)).fetchone()[0]
    return number


def _refreshed(db: sqlite3.Connection, folder: Path) -> int:
    """The folder's number, when what stands there is what the folder has."""
    number, stamp = _number(db, folder), _stamp(folder)
    seen, added = db.execute("SELECT seen, added FROM folders WHERE number = ?", (number,)).fetchone()
    if seen == stamp and added < MOST:
        return number
    newest = dict(nlargest(MOST, _letters(folder), key=lambda letter: names.age(letter[0])))
    known = {os.fsdecode(base) for (base,) in db.execute("SELECT base FROM letters WHERE folder = ?", (number,))}
    found = [(number, os.fsencode(base), message_id(Path(newest[base]))) for base in newest.keys() - known]
    with closing(db.cursor()) as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        gone = [(number, os.fsencode(base)) for base in known - newest.keys()]
        cursor.executemany("DELETE FROM letters WHERE folder = ? AND base = ?", gone)
        cursor.executemany("INSERT OR REPLACE INTO letters VALUES (?, ?, ?)", found)
        cursor.execute("UPDATE folders SET seen = ?, added = 0 WHERE number = ?", (stamp, number))
        cursor.execute("COMMIT")
    return number


def _stamp(folder: Path) -> str:
    """Changes when a letter comes, goes or is renamed."""
    return " ".join(map(_changed, (folder / "new", folder / "cur")))


def _changed(place: Path) -> str:
    try:
        return str(place.stat().st_mtime_ns)
    except FileNotFoundError:
        return "-"


def _letters(folder: Path) -> Iterator[tuple[str, str]]:
    """Base name and path. Text, as there may be very many, and a Path costs more than all the rest."""
    for place in ("new", "cur"):
        with suppress(FileNotFoundError), os.scandir(folder / place) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    yield names.base(entry.name), entry.path
