"""One of our Maildirs, into which letters are brought: durable, each once, while the server and other programs use it.

The instants of a batch:

====  =====================================================================  =======================================
step                                                                         after a crash
====  =====================================================================  =======================================
1     The letters are written to ``tmp``, and synced together with it.       Nobody knows of them: removed.
2     The record says what shall become of them, and is synced.              The next import goes on with step 3.
      **From here on they are imported.**
3     Each is renamed into ``new`` or ``cur``.                               As 2, for those that are still in ``tmp``.
4     Both folders are synced, and the record says so.                       As 2, and nothing is left to do.
====  =====================================================================  =======================================

What is gone from ``tmp`` after step 2 was published, and if it is not in the Maildir either, then its owner has
removed it: it does not come again. Only where the crash is older than :data:`KEPT_IN_TMP` somebody may have tidied up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from mailstack import durable, owners
from mailstack.admin.import_draft import Draft
from mailstack.admin.import_record import Letter, Record
from mailstack.maildir import names

SCRATCH = "import."  # what our files in tmp begin with
BATCH_LETTERS = 200
BATCH_OCTETS = 16 * 1024 * 1024
KEPT_IN_TMP = 36 * 3600  # seconds after which others may clean tmp, as Maildir's specification says
MAX_NAME = 255  # octets, NAME_MAX of Linux
ROOM_FOR_FLAGS = 40  # octets: ":2," and every flag there is


class NoRoom(Exception):
    """The disk is nearly full; what is left is for the mail that comes in."""


@frozen
class Arrival:
    """What a draft is to become. Unix times: ``moment`` of its name, ``modified`` of its file; None: the same."""

    id: str
    uid: str
    listed: int | None
    moment: int
    modified: int | None = None
    flags: str | None = None  #: None: into ``new``


class Box:
    """OSError, NoRoom."""

    def __init__(self, folder: Path, record: Record, sync: durable.Sync, host: str, room: int) -> None:
        """``host`` ends the names; ``room`` octets stay free on the disk."""
        self.folder = folder
        self._record = record
        self._sync = sync
        self._host = host.replace("/", "\\057").replace(":", "\\072")  # Maildir's rule
        self._room = room
        self._number = 0
        self._batch: list[tuple[Letter, Arrival]] = []
        self._octets = 0
        self.imported = 0  #: letters
        self.octets = 0  #: of them, with CRLF

    def open(self) -> list[str]:
        """Make what is missing, and bring to its end what a crash has left; the files that are there, without
        their flags."""
        for part in ("tmp", "new", "cur"):
            durable.make_folders(self.folder / part)
        if self.folder.name.startswith("."):
            self._mark_as_folder()
        self._recover()
        return bases(self.folder)

    def draft(self, lf_is_odd: bool) -> Draft:
        self.look_for_room()
        self._number += 1
        return Draft(self.folder / "tmp" / f"{SCRATCH}{self._number}", lf_is_odd)

    def look_for_room(self) -> None:
        """NoRoom."""
        state = os.statvfs(self.folder)
        if state.f_bavail * state.f_frsize < self._room:
            raise NoRoom(f"less than {self._room:,} octets are free on the disk of {self.folder}")

    def add(self, draft: Draft, arrival: Arrival) -> bool:
        """The draft is finished. Whether it, and all before it, is imported by now."""
        base = f"{self._stem(arrival, draft)},S={draft.size},W={draft.wire_size}"
        file = f"new/{base}" if arrival.flags is None else f"cur/{base}:2,{arrival.flags}"
        letter = Letter(arrival.id, arrival.uid, arrival.listed, draft.path.name, file)
        self._batch.append((letter, arrival))
        self._octets += draft.size
        if len(self._batch) < BATCH_LETTERS and self._octets < BATCH_OCTETS:
            return False
        self.flush()
        return True

    def flush(self) -> None:
        """Import what was added."""
        batch, self._batch, self._octets = self._batch, [], 0
        if not batch:
            return
        tmp = self.folder / "tmp"
        try:
            self._sync([*(tmp / letter.scratch for letter, _ in batch), tmp])
        except OSError:
            # A sync that has failed is final: what it covered must be written anew.
            for letter, _ in batch:
                (tmp / letter.scratch).unlink(missing_ok=True)
            raise
        self._record.intend([letter for letter, _ in batch])
        for letter, arrival in batch:
            # Not before: others go by this time when they tidy up tmp. It is no promise, so it need not be durable.
            modified = arrival.modified or arrival.moment
            os.utime(tmp / letter.scratch, (modified, modified))
            self._publish(letter)
        self._sync([self.folder / "new", self.folder / "cur"])
        self._record.done()
        self.imported += len(batch)
        self.octets += sum(names.wire_size(letter.name) or 0 for letter, _ in batch)

    def _stem(self, arrival: Arrival, draft: Draft) -> str:
        stem = names.keeping(arrival.uid, arrival.moment, self._host)
        return stem[: MAX_NAME - ROOM_FOR_FLAGS - len(f",S={draft.size},W={draft.wire_size}")]

    def _publish(self, letter: Letter) -> None:
        scratch = self.folder / "tmp" / letter.scratch
        try:
            durable.move(scratch, self.folder / letter.file)
        except FileExistsError:
            scratch.unlink()

    def _mark_as_folder(self) -> None:
        """Maildir++: so that who delivers into it finds the Maildir that it belongs to."""
        try:
            durable.write_new(self.folder / "maildirfolder", b"")
        except FileExistsError:
            return
        owners.give(self.folder / "maildirfolder", self.folder)

    def _recover(self) -> None:
        tmp = self.folder / "tmp"
        missing = []
        for source, letter in self._record.unfinished:
            if (tmp / letter.scratch).exists():
                self._publish(letter)
            else:
                missing.append((source, letter))
        if self._record.unfinished:
            self._sync([self.folder / "new", self.folder / "cur"])
            self._look_for(missing)
            self._record.done()
        for left in tmp.glob(f"{SCRATCH}*"):
            left.unlink()

    def _look_for(self, missing: list[tuple[str, Letter]]) -> None:
        if self._record.age() < KEPT_IN_TMP:
            return
        there = set(bases(self.folder))
        for source, letter in missing:
            if letter.name not in there:
                self._record.lost(source, [letter.id])


def bases(folder: Path) -> list[str]:
    """What is in a Maildir, without flags; nothing where there is none."""
    return [names.base(name) for part in ("new", "cur") for name in _files(folder / part)]


def _files(folder: Path) -> Iterator[str]:
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        yield from (entry.name for entry in entries if not entry.name.startswith("."))
