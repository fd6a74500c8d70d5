"""A look at all of the spool: each letter, its rows and its file, the database, and what lies around. Only reads."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from mailstack.model.finding import DATABASE, FILE, KEPT, LOST, PLACE, ROWS, Finding
from mailstack.spool import restoring
from mailstack.spool.aside import LEFTOVERS, QUARANTINE
from mailstack.spool.content import fault
from mailstack.spool.contents import is_kept
from mailstack.spool.gleaning import Gleaned, columns
from mailstack.spool.onlooker import looked_at, read_only
from mailstack.spool.schema import must_be_current, version
from mailstack.spool.settling import held
from mailstack.spool.states import STATES, WAITING

PAGE = 500  # letters read at once
ARRIVING = 3_600.0  # seconds in which a file may come whose letter is not ours yet
FAR = 3 * 366 * 86_400.0  # seconds; no letter comes from so far, or waits so long
KNOWN = ("lock", "queue.db", "queue.db-wal", "queue.db-shm", "messages", "reserve", "probe", QUARANTINE, LEFTOVERS)

BOUNCE = "mailstack queue bounce {id}: its sender is told; or mailstack queue drop {id}: nobody is"
SEND_ON = "mailstack queue fsck --release {id}: send it on"
SEND_ON_TO = "mailstack queue fsck --release {id} --to ADDRESS: send it on"
SAVE = "{begin} the server, or use --repair while it is stopped: what can be read is saved, and the damaged one is kept"

#: Told how many letters have been looked at, of how many.
Progress = Callable[[int, int], object]


@frozen
class Inspection:
    folder: Path  #: spool
    running: bool  #: a server works there
    now: float  #: Unix time
    progress: Progress = lambda done, total: None

    def findings(self) -> Iterator[Finding]:
        """Blocking. OSError: nobody can tell, or a newer mailstack has made it."""
        yield from self._places()
        with looked_at(self.folder, self.running) as (database, wrong):
            if wrong:
                yield Finding(
                    DATABASE,
                    "queue.db",
                    f"it {wrong}",
                    SAVE.format(begin="stop and start" if self.running else "start"),
                )
            else:
                yield from self._queue(database)
        yield from self._aside()

    # ---- The letters

    def _queue(self, database: Path) -> Iterator[Finding]:
        if not database.exists():
            return
        with closing(read_only(database)) as db:
            if not version(db):
                return
            must_be_current(db)
            (total,) = db.execute("SELECT count(*) FROM messages").fetchone()
            for done, letter in enumerate(_letters(db)):
                self.progress(done, total)
                yield from self._letter(db, letter)
            self.progress(total, total)
            yield from _nobodys(db)
            yield from self._files(db)

    def _letter(self, db: sqlite3.Connection, letter: Gleaned) -> Iterator[Finding]:
        found = [*self._rows_of(letter), *self._file_of(db, letter), *_held(letter)]
        if found and self._is_there(db, found[0].name):  # or it has just gone, file first or rows first
            yield found[0]

    def _is_there(self, db: sqlite3.Connection, id: str) -> bool:
        return db.execute("SELECT 1 FROM messages WHERE id = ?", (id,)).fetchone() is not None

    def _rows_of(self, letter: Gleaned) -> Iterator[Finding]:
        row, id = letter.message, str(letter.message["id"])
        advice = f"it goes nowhere. {SEND_ON_TO.format(id=id)}; or mailstack queue drop {id}"
        if not letter.recipients:
            yield Finding(ROWS, id, "it has no recipients", "the next start, or --repair, puts its file in quarantine")
        elif strange := [each["state"] for each in letter.recipients.values() if each["state"] not in STATES]:
            wrong = f"a recipient is in no state that there is ({strange[0]})"
            yield Finding(ROWS, id, wrong, "the next start, or --repair, puts it on hold")
        elif not letter.sound:
            yield Finding(ROWS, id, "its envelope is not what was accepted", advice)
        elif impossible := list(self._impossible(row, letter.recipients.values())):
            yield Finding(ROWS, id, impossible[0], f"mailstack queue retry {id}: try it now")

    def _impossible(self, row: Mapping[str, Any], recipients: Iterable[Mapping[str, Any]]) -> Iterator[str]:
        if not 0 <= row["arrived"] <= self.now + FAR or not 0 <= row["not_before"] <= self.now + 20 * FAR:
            yield "it has come at a time that cannot be"
        for each in recipients:
            if each["state"] in WAITING and not 0 <= each["next_attempt"] <= max(self.now, row["not_before"]) + FAR:
                yield "its next attempt is at a time that cannot be"
            if each["attempts"] < 0:
                yield "it was tried less than never"

    def _file_of(self, db: sqlite3.Connection, letter: Gleaned) -> Iterator[Finding]:
        row, id = letter.message, str(letter.message["id"])
        wrong = fault(str(self.folder / "messages" / id), row["size"], row["checksum"])
        if wrong and not is_kept(db, id):  # or a crash has taken it, and the next start writes it once more
            note = "the next start, or its next attempt, puts it on hold. " if _waits(letter) else ""
            yield Finding(FILE, id, f"its file {wrong}", note + BOUNCE.format(id=id))

    # ---- Files

    def _files(self, db: sqlite3.Connection) -> Iterator[Finding]:
        owner = self.folder.stat().st_uid
        with os.scandir(self.folder / "messages") as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    yield from self._file(db, entry, owner)

    def _file(self, db: sqlite3.Connection, entry: os.DirEntry[str], owner: int) -> Iterator[Finding]:
        found, path = entry.stat(follow_symlinks=False), f"messages/{entry.name}"
        regular = stat.S_ISREG(found.st_mode)
        row = db.execute("SELECT 1 FROM messages WHERE id = ?", (entry.name,)).fetchone()
        if row is None and not (self.running and regular and found.st_mtime > self.now - ARRIVING):
            where = QUARANTINE if not regular else LEFTOVERS
            yield Finding(PLACE, path, "it belongs to no letter", f"the next start, or --repair, moves it to {where}")
        if row is not None and regular:
            yield from _access(path, found, owner, self.folder)

    def _places(self) -> Iterator[Finding]:
        owner = self.folder.stat().st_uid
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith("queue.db.damaged-"):
                what = f"{'the log of ' if path.name.endswith('-wal') else ''}a damaged queue database"
                yield Finding(KEPT, path.name, what, "remove it when nothing is missed any more")
            elif path.name.startswith(("queue.db.building", "queue.db.salvaged")) or path.name == "salvage":
                yield Finding(PLACE, path.name, "a database was being saved", "start the server, or use --repair")
            elif path.name not in KNOWN and not path.name.startswith("probe-"):
                yield Finding(PLACE, path.name, "it is nothing of ours", "move it elsewhere")
            elif path.is_file():
                with suppress(FileNotFoundError):
                    yield from _access(path.name, path.stat(), owner, self.folder)

    def _aside(self) -> Iterator[Finding]:
        for part in (QUARANTINE, LEFTOVERS):
            for path in sorted((self.folder / part).glob("*")):
                here = path.lstat()
                delivered = "; it is in a mailbox here, too" if stat.S_ISREG(here.st_mode) and here.st_nlink > 1 else ""
                said, note = _said(path)
                what = f"{here.st_size} octets{said}{delivered}"
                if part == QUARANTINE:
                    yield Finding(LOST, f"{part}/{path.name}", f"a letter whose rows are lost: {what}", note)
                else:
                    what = f"of a letter that was never acknowledged, or is done with: {what}"
                    yield Finding(KEPT, f"{part}/{path.name}", what, f"it goes after a week. {note}")


def _said(path: Path) -> tuple[str, str]:
    """What a file says of its letter, and what can be done with it."""
    try:
        told = restoring.read(path)
    except (OSError, ValueError) as error:
        return f", of which nothing can be made ({error})", "look at it, and remove it"
    sender = "<>" if told.sender is None else told.sender.unicode
    to, send = (told.recipient.unicode, SEND_ON) if told.recipient else ("several", SEND_ON_TO)
    return f", from {sender} to {to}", f"{send.format(id=path.name)}; or remove the file"


def _access(name: str, found: os.stat_result, owner: int, folder: Path) -> Iterator[Finding]:
    if found.st_uid != owner:
        yield Finding(PLACE, name, "it belongs to somebody else than the spool", f"chown --reference={folder} on it")
    if found.st_mode & 0o077:
        yield Finding(PLACE, name, f"others may use it (mode {found.st_mode & 0o777:o})", "chmod 600 on it")


def _letters(db: sqlite3.Connection) -> Iterator[Gleaned]:
    """Page by page, so that no transaction stays open."""
    names = {table: each.names for table, each in columns().items()}
    after = ""
    while True:
        found = {row["id"]: Gleaned(row) for row in _select(db, "messages", names["messages"], after)}
        if not found:
            return
        last = max(found)
        for row in _select(db, "recipients", names["recipients"], after, last):
            if row["id"] in found:
                found[row["id"]].recipients[row["number"]] = row
        yield from found.values()
        after = last


def _select(
    db: sqlite3.Connection, table: str, names: tuple[str, ...], after: str, last: str | None = None
) -> Iterator[dict[str, Any]]:
    end = "LIMIT :limit" if last is None else "AND id <= :last ORDER BY id, number LIMIT -1"
    order = "ORDER BY id" if last is None else ""
    query = f"SELECT {', '.join(names)} FROM {table} WHERE id > :after {order} {end}"
    for row in db.execute(query, {"after": after, "last": last, "limit": PAGE}).fetchall():
        yield dict(zip(names, row, strict=True))


def _nobodys(db: sqlite3.Connection) -> Iterator[Finding]:
    for table in ("recipients", "unsaved", "history", "contents"):
        query = f"SELECT DISTINCT id FROM {table} WHERE NOT EXISTS (SELECT 1 FROM messages WHERE id = {table}.id)"
        for (id,) in db.execute(query).fetchall():
            wrong = f"rows of a letter that is not there ({table})"
            yield Finding(ROWS, id, wrong, "the next start, or --repair, removes them, and puts its file in quarantine")


def _held(letter: Gleaned) -> Iterator[Finding]:
    """Put on hold as damaged before, whatever is to be seen now."""
    id, begin = str(letter.message["id"]), held("")
    for each in letter.recipients.values():
        if each["state"] == "hold" and each["reply"].startswith(begin):
            advice = f"mailstack queue release {id}: send it as it is; or {BOUNCE.format(id=id)}"
            yield Finding(ROWS, id, f"on hold: {each['reply'].removeprefix(begin)}", advice)
            return


def _waits(letter: Gleaned) -> bool:
    return any(each["state"] in WAITING for each in letter.recipients.values())
