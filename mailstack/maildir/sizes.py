"""How long a stored letter is on the wire: as its name says (if it is one of ours, else with :mod:`.ends`), as it was
once counted, or as it is counted now.

What was counted is kept in a file of the Maildir, for a program that delivers without ``W=`` leaves it to us. It may be
lost or damaged: then letters are counted anew, and that is all.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from functools import partial
from pathlib import Path
from struct import Struct, error, iter_unpack
from time import monotonic
from typing import BinaryIO

from mailstack.durable import swap
from mailstack.maildir import raw_names as names
from mailstack.maildir.ends import Ends
from mailstack.maildir.files import opened
from mailstack.maildir.listed import TICK, breathe
from mailstack.model.wire_size import wire_octets

PIECE = 256 * 1024  # octets read at once

FILE = "mailstack.sizes"  #: in the Maildir, beside ``cur``
_MAGIC = b"mailstack sizes 1\n"
_CHECKSUM = Struct("<I")
#: crc32 of the name's stem, inode, octets, time of the last change: one of them differs in another or a changed file.
_KEY = Struct("<IQQQ")
_RECORD = f"<{_KEY.size}sQ"
MOST = 64 * 1024 * 1024  # octets of the file: 1.8 million letters
SAVED_EVERY = 10.0  # seconds; who gives up waiting for a large Maildir finds the next time that less is to be done


def counted(letter: BinaryIO) -> int:
    """Octets on the wire of what is in a file."""
    return wire_octets(iter(partial(letter.read, PIECE), b""))


def key(stem: bytes, found: os.stat_result) -> bytes:
    return _KEY.pack(zlib.crc32(stem), found.st_ino, found.st_size, found.st_mtime_ns)


class Sizes:
    """The sizes of the letters of one Maildir, for one look through all of them."""

    def __init__(self, folder: Path, now: int, wrong: dict[bytes, int]) -> None:
        """``now`` is the time in nanoseconds; ``wrong`` has letters by key whose size turned out to be another one."""
        self._root = os.fsencode(folder) + b"/"
        self._file = folder / FILE
        self._now = now
        self._known = {**_load(self._file), **wrong}
        self._doubted = {kept[:4] for kept in self._known}
        self._met: dict[bytes, int] = {}
        self._news = bool(wrong)
        self._saved = monotonic()
        self._counted = 0
        self.looked = False  #: at a file: not all was said by names
        self.lost = False  #: a letter was not where it was seen
        self._certain = True
        self._ends = Ends(folder)

    def begin(self, certain: bool) -> None:
        """A look through all. Letters that are not where they were seen are left out if it is ``certain`` that another
        look follows."""
        self._known |= self._met
        self._met = {}
        self.lost, self._certain = False, certain
        self._ends.begin()

    def of(self, stem: bytes, measures: bytes, path: bytes) -> int | None:
        """As ``Measure`` of :mod:`.index`. What the name says is believed unless it once was wrong."""
        named = names.wire_size(measures)
        doubted = named is None or (self._doubted and zlib.crc32(stem).to_bytes(4, "little") in self._doubted)
        if named is not None and not doubted and names.is_ours(stem):
            return named
        try:
            if named is not None and not doubted:
                return self._named(stem, measures, self._root + path, named)
            return self._of_file(stem, measures, self._root + path, named)
        except FileNotFoundError:
            self.lost = True
            if self._certain:
                return None
        except OSError:
            # It can't be read now, and RETR will say so. The others can: don't refuse them.
            pass
        self.looked = True
        return named or 0

    def _named(self, stem: bytes, measures: bytes, path: bytes, named: int) -> int:
        return named if names.is_ours(stem) else self._ends.octets(stem + measures, path, named, self._count)

    def _of_file(self, stem: bytes, measures: bytes, path: bytes, named: int | None) -> int:
        self.looked = True
        found = os.lstat(path)
        kept = key(stem, found)
        size = self._known.get(kept)
        if size is None and named is not None:
            size = self._named(stem, measures, path, named)
        if size is None:
            size = self._count(path)
            if self._now - found.st_mtime_ns <= TICK:
                return size  # it may be changed once more, and look the same
            self._news = True
        self._met[kept] = size
        return size

    def _count(self, path: bytes) -> int:
        with os.fdopen(opened(path), "rb", buffering=0) as letter:
            size = counted(letter)
        self._counted += 1
        if not self._counted % 100:
            breathe()
            if monotonic() - self._saved > SAVED_EVERY:
                self._save({**self._known, **self._met})
        return size

    def save(self) -> None:
        """At the end: what belongs to letters that are gone is left out."""
        self._ends.save()
        if self._news:
            self._save(self._met)

    def _save(self, sizes: dict[bytes, int]) -> None:
        body = b"".join(kept + size.to_bytes(8, "little") for kept, size in sizes.items())
        with suppress(OSError):
            # A disk that is full, or not for us to write on: it costs time only.
            swap(self._file, _MAGIC + _CHECKSUM.pack(zlib.crc32(body)) + body)
        self._saved = monotonic()


def _load(file: Path) -> dict[bytes, int]:
    try:
        with os.fdopen(opened(os.fsencode(file)), "rb") as content:
            whole = content.read(MOST)
        head, body = whole[: len(_MAGIC)], whole[len(_MAGIC) + _CHECKSUM.size :]
        if head == _MAGIC and _CHECKSUM.unpack_from(whole, len(_MAGIC)) == (zlib.crc32(body),):
            return dict(iter_unpack(_RECORD, body))
    except (OSError, error):
        pass
    return {}
