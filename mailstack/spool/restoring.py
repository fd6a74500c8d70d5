"""A letter whose rows are lost is put into the queue again: its file says who sent it, the administrator where to."""

from __future__ import annotations

import errno
import re
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from attrs import frozen

from mailstack.durable import move, sync_paths
from mailstack.model.address import Address
from mailstack.model.letter import Letter, Recipient
from mailstack.spool import notes
from mailstack.spool.adding import add_letters
from mailstack.spool.aside import LEFTOVERS, QUARANTINE
from mailstack.spool.content import BLOCK, opened
from mailstack.spool.gleaning import valid_id
from mailstack.spool.letterbox import DURABLE, UNSURE
from mailstack.spool.neighbours import beyond_doubt, connected, neighbour
from mailstack.spool.schema import must_be_current
from mailstack.spool.settling import remove
from mailstack.spool.states import HELD

MOST_HEADER = 1 << 20  #: octets
_FIELDS = re.compile(rb"Return-Path: <([^\n<>]*)>\n(?:Delivered-To: ([^\n]+)\n)?")


@frozen
class Told:
    """What a file says of its letter."""

    sender: Address | None
    recipient: Address | None  #: there is none where it had several
    relay_offset: int
    size: int
    lines: int
    checksum: int
    eight_bit: bool
    smtputf8: bool


def read(path: Path) -> Told:
    """OSError; ValueError: it does not begin as our files do."""
    with opened(str(path)) as file:
        head = file.read(MOST_HEADER)
        fields = _FIELDS.match(head)
        if fields is None:
            raise ValueError("it does not begin as our files do, so it is damaged")
        size = lines = checksum = 0
        ascii, block = True, head
        while block:
            size, lines = size + len(block), lines + block.count(b"\n")
            checksum = zlib.crc32(block, checksum)
            ascii = ascii and block.isascii()
            block = file.read(BLOCK)
    sender, recipient = (part.decode("utf-8") if part else "" for part in fields.groups())
    header = head[fields.end() :].partition(b"\n\n")[0]
    return Told(
        Address.parse(sender) if sender else None,
        Address.parse(recipient) if recipient else None,
        fields.end(),
        size,
        lines,
        checksum,
        not ascii,
        not header.isascii(),
    )


def found(folder: Path, name: str) -> Path | None:
    """Where in ``folder`` (spool) the file is."""
    base = Path(name).name
    paths = (folder / part / base for part in (QUARANTINE, LEFTOVERS, "messages"))
    return next((path for path in paths if path.is_file() and not path.is_symlink()), None)


def restore(
    folder: Path, path: Path, recipients: Sequence[Recipient], destination: Callable[[str], str], now: float, by: str
) -> Letter:
    """As if it had just come. ``by`` is for the log. Blocking; the server may run. OSError, also if it is in the queue
    and a power loss may undo that; ValueError: it cannot be sent."""
    told, id = read(path), path.name.partition(".")[0]
    if not valid_id(id):
        raise ValueError("it is not called as our files are")
    # Its name tells when it came; nobody knows when its sender wanted to hear of what, so it is as without wishes.
    letter = Letter(
        id, told.sender, tuple(recipients), now, told.size, told.lines, told.relay_offset, told.eight_bit,
        told.checksum, told.smtputf8,
    )  # fmt: skip
    target = folder / "messages" / id
    if path != target:
        # File first: a row without one would be a letter on hold, a file without a row is put aside again.
        move(path, target)
        sync_paths([target, target.parent, path.parent])
    with neighbour(folder), closing(connected(folder / "queue.db")) as db:
        must_be_current(db)
        db.execute("BEGIN IMMEDIATE")
        _make_room(db, letter)
        add_letters(db, [letter], destination)
        db.execute("UPDATE messages SET batch = ? WHERE id = ?", (DURABLE, id))
        notes.leave(db, id, what="put into the queue again by the administrator", by=by)
        db.execute("COMMIT")
    if not beyond_doubt(folder):
        raise OSError(errno.EIO, UNSURE)
    return letter


def _make_room(db: sqlite3.Connection, letter: Letter) -> None:
    """Of a letter that is there already, nothing may be on its way. ValueError."""
    id = letter.id
    row = db.execute("SELECT size, checksum FROM messages WHERE id = ?", (id,)).fetchone()
    if row not in (None, (letter.size, letter.checksum)):
        raise ValueError(f"its file is not what was accepted: mailstack queue bounce {id} tells its sender")
    states = {state for (state,) in db.execute("SELECT state FROM recipients WHERE id = ?", (id,))}
    if states - set(HELD):
        raise ValueError("a letter of that ID is in the queue, and not on hold")
    remove(db, [id])
