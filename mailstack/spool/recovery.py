"""What start-up repairs: after a kill, a power loss or damage the folder and the database may disagree.

Small letters whose files are not durable yet have their contents in the database: their files are written once more.

Of the others, a batch is one transaction and one sync after it; the next batch begins only then. So at most the rows of
the last batch may stand without their files, and those letters were never acknowledged: they are dropped. Rows of any
earlier batch were durable with their files: if one is missing, the disk has lost it, and somebody must be told. A stop
ends the last batch, too, so after it whatever is missing is damage.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from attrs import Factory, evolve, field, frozen

from mailstack.durable import write_anew
from mailstack.spool.aside import LEFTOVERS, QUARANTINE, put_aside, tidy
from mailstack.spool.content import BLOCK, fault, opened
from mailstack.spool.contents import restore
from mailstack.spool.custody import ROWS
from mailstack.spool.salvage import Salvage
from mailstack.spool.schema import WIPE
from mailstack.spool.settling import held, remove
from mailstack.spool.states import STATES, WAITING, listed

PATIENCE = 10.0  # seconds to wait for another process
SECTOR = 512  # octets; of what was not written yet, a power loss leaves zeros, in many file systems
_HOLD = "UPDATE recipients SET state = 'hold', code = 451, status = '4.3.0', reply = ? WHERE id = ? AND state"


@frozen
class Repairs:
    unacknowledged: tuple[str, ...] = ()  #: letters cut off by the crash, dropped; their senders will try again
    held: Mapping[str, str] = Factory(dict)  #: damaged letters, on hold, and what is wrong
    leftovers: int = 0  #: files without a row, put aside for a week
    quarantined: tuple[str, ...] = ()  #: files without a row that damage has left, in quarantine
    salvage: Salvage | None = None
    #: letters of the last batch, and those of which the contents were in the database: whole, but perhaps in the
    #: kernel's cache alone. To be synced, or they would be delivered before they are durable.
    fresh: tuple[str, ...] = field(default=(), eq=False)

    @property
    def faults(self) -> dict[str, str]:
        """All that somebody has to be told of: what is wrong, by queue id or by what else has a name."""
        found = dict(self.held)
        if self.salvage is not None:
            kept = f"; the damaged one is kept as spool/{self.salvage.kept}" if self.salvage.kept else ""
            found["queue.db"] = f"it {self.salvage.reason}; {self.salvage.letters} letters were saved{kept}"
            found |= dict.fromkeys(self.salvage.doubtful, "its recipients may have got it already; on hold")
        return found | dict.fromkeys(self.quarantined, "its rows are lost; the file is in spool/quarantine")


def recover(database: Path, folder: Path, salvage: Salvage | None, now: float) -> Repairs:
    """Bring the rows and the files of ``folder`` (spool) together. Blocking; before anything else uses them. ``now`` is
    Unix time. sqlite3.Error, OSError."""
    db = sqlite3.connect(database, isolation_level=None, timeout=PATIENCE)
    try:
        db.execute(WIPE)
        db.execute("PRAGMA wal_autocheckpoint = 0")  # the log is copied where a hole in it is looked for
        # Another process may be adding a letter: its row comes before this, and its file is seen, or after all of it.
        db.execute("BEGIN IMMEDIATE")
        repairs = _Recovery(db, folder / "messages").run(folder)
        db.execute("COMMIT")
    finally:
        db.close()
    tidy(folder / LEFTOVERS, now)
    if salvage is not None:
        lost = tuple(dict.fromkeys((*salvage.quarantined, *repairs.quarantined)))
        repairs = evolve(repairs, salvage=salvage, quarantined=lost)
    return repairs


class _Recovery:
    """Inside of one transaction."""

    def __init__(self, db: sqlite3.Connection, messages: Path) -> None:
        self._db = db
        self._messages = messages

    def run(self, folder: Path) -> Repairs:
        restored = restore(self._db, self._messages, create=True)
        files = set(os.listdir(self._messages))  # noqa: PTH208 - names are all we need, and there may be very many
        torn, damaged, fresh = self._last_batch(set(restored))
        remove(self._db, torn)
        rows = self._ids("SELECT id FROM messages")
        addressed = self._ids("SELECT id FROM recipients WHERE number = 0")
        # Each letter has at least one recipient, and is added in one step with all of them.
        lame = rows - addressed
        orphans = files - rows
        nobodys = self._nobodys(rows, addressed, orphans)
        strange = orphans & nobodys | {name for name in orphans if not _is_file(self._messages / name)}
        quarantined = put_aside(self._messages, sorted(strange | lame & files), folder / QUARANTINE)
        leftovers = put_aside(self._messages, sorted(orphans - strange), folder / LEFTOVERS)
        remove(self._db, [*lame, *nobodys])
        gone = dict.fromkeys(sorted(rows - files - lame), "its file is missing")
        senseless = dict.fromkeys(self._senseless(), ROWS)
        faults = {**damaged, **gone, **senseless}
        self._hold(faults)
        return Repairs(tuple(torn), faults, len(leftovers), tuple(quarantined), fresh=(*restored, *fresh))

    def _ids(self, query: str) -> set[str]:
        return {id for (id,) in self._db.execute(query)}

    def _last_batch(self, restored: Collection[str]) -> tuple[list[str], dict[str, str], list[str]]:
        """Of its letters but the ``restored`` ones: those that were cut off, those that are damaged otherwise, with
        what is wrong, and the whole ones. A crash leaves less than was written, never something else."""
        torn, damaged, whole = list[str](), dict[str, str](), list[str]()
        query = "SELECT id, size, checksum FROM messages WHERE batch = (SELECT batch FROM counter)"
        for id, size, checksum in self._db.execute(query).fetchall():
            if id in restored:
                continue
            path = self._messages / id
            wrong = fault(str(path), size, checksum)
            if wrong and _cut_off(path, size):
                torn.append(id)
            elif wrong:
                damaged[id] = f"its file {wrong}"
            else:
                write_anew(path)  # its sync may have failed, and the kernel would tell nobody now
                whole.append(id)
        return torn, damaged, whole

    def _nobodys(self, rows: set[str], addressed: set[str], orphans: set[str]) -> set[str]:
        """Rows about letters that have none of their own: those are lost."""
        if not orphans and addressed <= rows:
            return set()
        found = set[str]()
        for table in ("recipients", "unsaved", "history", "contents"):
            found |= self._ids(f"SELECT id FROM {table}") - rows
        return found

    def _senseless(self) -> Iterator[str]:
        """Letters with a recipient in no state that there is."""
        query = f"SELECT DISTINCT id FROM recipients WHERE state NOT IN {listed(STATES)}"
        return iter(sorted(self._ids(query)))

    def _hold(self, faults: Mapping[str, str]) -> None:
        for id, why in faults.items():
            for states in (f"IN {listed(WAITING)}", f"NOT IN {listed(STATES)}"):
                self._db.execute(f"{_HOLD} {states}", (held(why), id))


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _cut_off(path: Path, size: int) -> bool:
    """Whether a crash may have left it so: nothing of it, the beginning, or holes."""
    try:
        with opened(str(path)) as file:
            found = os.fstat(file.fileno()).st_size
            return found < size or (found == size and _has_holes(file))
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _has_holes(file: BinaryIO) -> bool:
    """Or ends early, although it is as long as it was to become: that may be durable before the last octets are."""
    last = b""
    for last in _blocks(file):
        if _has_hole(last):
            return True
    return last.endswith(b"\0")


def _has_hole(block: bytes) -> bool:
    return any(not any(block[at : at + SECTOR]) for at in range(0, len(block), SECTOR))


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block
