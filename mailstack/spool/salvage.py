"""A damaged queue database is replaced by a new one, with all that can be read of it.

What is there when, and what a crash leaves:

1. ``spool/salvage/`` has copies to read from; ``queue.db.building`` grows. A crash: all of it is begun anew.
2. ``queue.db.salvaged``: the new one is complete and durable. A crash: the next start goes on here.
3. Letters' files without rows are in ``spool/quarantine``, the damaged database and its log are
   ``queue.db.damaged-TIME`` and ``queue.db.damaged-TIME-wal``.
4. ``queue.db.salvaged`` is called ``queue.db``.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from time import gmtime, strftime
from typing import Any

from attrs import frozen

from mailstack.durable import move, sync_paths
from mailstack.spool.aside import QUARANTINE, put_aside
from mailstack.spool.diagnosis import LOG, diagnosed
from mailstack.spool.errors import Busy
from mailstack.spool.files import any_mail
from mailstack.spool.gleaning import Gleaned, columns, glean
from mailstack.spool.neighbours import undisturbed
from mailstack.spool.schema import prepare
from mailstack.spool.settling import held
from mailstack.spool.states import WAITING

DOUBT = "the queue database was damaged, and nobody knows whether this recipient has got it already"


@frozen
class Salvage:
    reason: str  #: what was wrong, behind "the queue database"
    kept: str  #: the damaged database, a name in ``spool``; "" when there was none
    letters: int  #: that are in the new one
    doubtful: tuple[str, ...]  #: of these, those on hold
    quarantined: tuple[str, ...]  #: files whose rows are lost


def sound_database(folder: Path, now: float) -> Salvage | None:
    """See to it that ``folder`` (spool) has a database that can be read, or none yet. None: nothing had to be done.
    Blocking; while no other server uses it. OSError as :func:`diagnosed`, or the disk; Busy: it seems to be damaged,
    and another process does not let it go."""
    with undisturbed(folder) as alone:
        reason = _reason(folder)
        if not reason:
            return None
        if not alone:
            raise Busy(errno.EAGAIN, f"the queue database {reason}, and another process is using it: end that first")
        if (folder / "queue.db.salvaged").exists():
            return _put_in_place(folder, reason, (), now)
        return _put_in_place(folder, reason, _build(folder, LOG in reason), now)


def _reason(folder: Path) -> str:
    if (folder / "queue.db.salvaged").exists():
        return "was being saved when the server was stopped"
    return diagnosed(folder / "queue.db", mail=any_mail(folder / "messages"))


def _build(folder: Path, newer: bool) -> tuple[str, ...]:
    """Make the new one; the letters that are on hold in it."""
    scratch, building = folder / "salvage", folder / "queue.db.building"
    shutil.rmtree(scratch, ignore_errors=True)
    for path in folder.glob("queue.db.building*"):
        path.unlink()
    scratch.mkdir(0o700)
    try:
        for ending in ("", "-wal"):
            _copy(folder / f"queue.db{ending}", scratch / f"queue.db{ending}")
            _copy(folder / f"queue.db{ending}", scratch / f"raw.db{ending}")
        letters = glean(scratch / "queue.db", os.listdir(folder / "messages"), newer)  # noqa: PTH208 - as in recovery
        doubtful = _write(building, letters)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    building.chmod(0o600)
    sync_paths([building])
    move(building, folder / "queue.db.salvaged")
    sync_paths([folder])
    return doubtful


def _copy(source: Path, target: Path) -> None:
    """Block by block, so that a bad place of the disk costs no more than itself; nothing of what is no file."""
    if not source.is_file():
        return
    with source.open("rb") as old, target.open("xb") as new:
        octets = os.fstat(old.fileno()).st_size
        for at in range(0, octets, 4096):
            try:
                block = os.pread(old.fileno(), 4096, at)
            except OSError:
                block = b""
            new.write(block.ljust(min(4096, octets - at), b"\0"))


def _write(path: Path, letters: Mapping[str, Gleaned]) -> tuple[str, ...]:
    known = columns()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        prepare(db)
        insert = {
            table: f"INSERT INTO {table} ({', '.join(each.names)}) VALUES ({', '.join(f':{n}' for n in each.names)})"
            for table, each in known.items()
        }
        kept = [letter for letter in letters.values() if _add(db, insert, letter)]
        # No letter belongs to the last batch: there is none that a crash may have cut off.
        db.execute("UPDATE counter SET batch = (SELECT coalesce(max(batch), 0) + 1 FROM messages)")
    return tuple(sorted(each.message["id"] for each in kept if each.doubtful))


def _add(db: sqlite3.Connection, insert: Mapping[str, str], letter: Gleaned) -> bool:
    """Whole, or not at all."""
    db.execute("BEGIN")
    try:
        db.execute(insert["messages"], letter.message)
        for each in letter.recipients.values():
            db.execute(insert["recipients"], _on_hold(each) if letter.doubtful else each)
        if letter.unsaved is not None:
            db.execute(insert["unsaved"], letter.unsaved)
    except (sqlite3.Error, OverflowError, ValueError):
        db.execute("ROLLBACK")
        return False
    db.execute("COMMIT")
    # Nothing but memories; and most files need no content.
    kept = [] if letter.contents is None else [letter.contents]
    for table, rows in (("history", letter.history), ("contents", kept)):
        for row in rows:
            with suppress(sqlite3.Error, OverflowError, ValueError):
                db.execute(insert[table], row)
    return True


def _on_hold(recipient: dict[str, Any]) -> dict[str, Any]:
    """Not knowing whether it has arrived."""
    if recipient["state"] not in WAITING:
        return recipient
    return {**recipient, "state": "hold", "code": 451, "status": "4.3.0", "reply": held(DOUBT)}


def _put_in_place(folder: Path, reason: str, doubtful: tuple[str, ...], now: float) -> Salvage:
    ready, messages = folder / "queue.db.salvaged", folder / "messages"
    with closing(sqlite3.connect(ready)) as db:
        rows = {id for (id,) in db.execute("SELECT id FROM messages")}
    lost = put_aside(messages, sorted(set(os.listdir(messages)) - rows), folder / QUARANTINE)  # noqa: PTH208
    kept = f"queue.db.damaged-{strftime('%Y%m%dT%H%M%SZ', gmtime(now))}"
    _each(lambda name: _move(folder / f"queue.db{name}", folder / f"{kept}{name}"), ("-wal", ""))
    _remove(folder / "queue.db-shm")
    sync_paths([folder])
    move(ready, folder / "queue.db")
    sync_paths([folder, messages])
    there = (folder / kept).exists()
    return Salvage(reason, kept if there else "", len(rows), doubtful, tuple(lost))


def _each(step: Callable[[str], None], names: Iterable[str]) -> None:
    for name in names:
        step(name)


def _move(source: Path, target: Path) -> None:
    if source.is_symlink() or source.exists():
        move(source, target)


def _remove(path: Path) -> None:
    """The index of the log, or what stands in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
