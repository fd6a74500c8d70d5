"""What start-up repairs: after a kill or a power loss the folder and the database may disagree.

A batch is one transaction and one sync after it; the next batch begins only then. So at most the rows of the last
batch may stand without their files, and those letters were never acknowledged: they are dropped. Rows of any earlier
batch were durable with their files: if one is missing, the disk has lost it, and somebody must be told.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path

from attrs import field, frozen

from mailstack.durable import write_anew
from mailstack.spool.states import WAITING, listed
from mailstack.spool.store import REMOVE

PATIENCE = 10.0  # seconds to wait for another process
QUARANTINE = "The message file is missing or damaged: held for the administrator"


@frozen
class Repairs:
    unacknowledged: tuple[str, ...]  #: letters cut off by the crash, dropped; their senders will try again
    quarantined: tuple[str, ...]  #: letters whose file is gone: on hold
    orphans: int  #: files without a row, removed
    #: letters of the last batch: whole, but after a kill perhaps in the kernel's cache alone. To be synced, or they
    #: would be delivered before they are durable.
    fresh: tuple[str, ...] = field(default=(), eq=False)


def recover(database: Path, messages: Path) -> Repairs:
    """Bring the rows and the files together. Blocking; before anything else uses them. sqlite3.Error, OSError."""
    db = sqlite3.connect(database, isolation_level=None, timeout=PATIENCE)
    try:
        # Another process may be adding a letter: its row comes before this, and its file is seen, or after all of it.
        db.execute("BEGIN IMMEDIATE")
        files = set(os.listdir(messages))  # noqa: PTH208 - names are all we need, and there may be very many
        last = dict(_last_batch(db, messages))
        unacknowledged = tuple(id for id, whole in last.items() if not whole)
        for statement in REMOVE:
            db.execute(statement, (json.dumps(unacknowledged),))
        rows = {id for (id,) in db.execute("SELECT id FROM messages")}
        missing = tuple(sorted(rows - files))
        db.executemany(
            "UPDATE recipients SET state = 'hold', code = 451, status = '4.3.0', reply = ?"
            f" WHERE id = ? AND state IN {listed(WAITING)}",
            [(QUARANTINE, id) for id in missing],
        )
        for orphan in files - rows:
            (messages / orphan).unlink(missing_ok=True)
        db.execute("COMMIT")
    finally:
        db.close()
    fresh = tuple(id for id, whole in last.items() if whole)
    for id in fresh:
        write_anew(messages / id)  # its sync may have failed, and the kernel would tell nobody now
    return Repairs(unacknowledged, missing, len(files - rows), fresh)


def _last_batch(db: sqlite3.Connection, messages: Path) -> Iterator[tuple[str, bool]]:
    rows = db.execute("SELECT id, size, checksum FROM messages WHERE batch = (SELECT batch FROM counter)")
    for id, size, checksum in rows.fetchall():
        yield id, _measures(messages / id) == (size, checksum)


def _measures(path: Path) -> tuple[int, int]:
    """Octets and CRC-32 of a file."""
    size = checksum = 0
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                size += len(block)
                checksum = zlib.crc32(block, checksum)
    except FileNotFoundError:
        pass
    return size, checksum
