"""Whether letters of others end in a line end.

Dovecot's ``W=`` does not count the CRLF that is sent after a last line without an end, others may: so a look at the
last octet tells whether it can be believed. Names of ours count it. What was seen is kept in a file of the Maildir; if
that is lost or damaged, letters are looked at anew, and that is all.
"""

from __future__ import annotations

import os
import zlib
from array import array
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from pathlib import Path
from struct import Struct, error
from time import monotonic

from mailstack.durable import swap
from mailstack.maildir.files import opened
from mailstack.maildir.listed import breathe

FILE = "mailstack.ends"  #: in the Maildir, beside ``cur``
#: Letters that are sooner looked at than the file is read. So it has nothing to do with a few that are new.
FEW = 100
MOST = 64 * 1024 * 1024  # octets of the file: 16 million letters
SAVED_EVERY = 10.0  # seconds; who gives up waiting for a large Maildir finds the next time that less is to be done

_MAGIC = b"mailstack ends 1\n"
#: The body's crc32; how many crc32 of bases follow, 4 octets each, of letters that end as they should. Behind them, 8
#: octets each, those of the others with their octets on the wire.
_HEAD = Struct("<II")
_AT_ONCE = 100  # files that are looked at between two pauses


class Ends:
    """Those of one Maildir, for one look through all letters. They are known by the crc32 of their bases: no two
    letters in a Maildir have one base, and one in 40,000 Maildirs of 100,000 letters has a new letter with the crc32 of
    another one, which costs two octets in LIST."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._good, self._others = array("I"), dict[int, int]()  # as seen in this look
        self._known_good, self._known_others = set[int](), dict[int, int]()
        self._read = False
        self._news = False
        self._saved = monotonic()
        self.begin()

    def begin(self) -> None:
        """A look through all."""
        self._known_good.update(self._good)
        self._known_others |= self._others
        self._good, self._others = array("I"), {}
        self._asked = 0

    def octets(self, base: bytes, path: bytes, named: int, count: Callable[[bytes], int]) -> int:
        """On the wire, where the name tells ``named``; ``count`` finds them out. FileNotFoundError as :func:`opened`;
        other OSErrors: it can't be read."""
        self._asked += 1
        if self._asked > FEW and not self._read:
            self._load()
        number = zlib.crc32(base)
        if number in self._known_good:
            self._good.append(number)
            return named
        octets = self._known_others.get(number)
        if octets is None:
            self._news = True
            self._pace()
            if _ends_well(path):
                self._good.append(number)
                return named
            octets = count(path)
        self._others[number] = octets
        return octets

    def _load(self) -> None:
        good, others = _load(self._file)
        self._known_good |= good
        self._known_others |= others
        self._read = True

    def _pace(self) -> None:
        if self._asked % _AT_ONCE:
            return
        breathe()
        if self._read and monotonic() - self._saved > SAVED_EVERY:
            self._save(array("I", self._known_good.union(self._good)), self._known_others | self._others)

    def save(self) -> None:
        """At the end: what belongs to letters that are gone is left out."""
        if self._read and self._news:
            self._save(self._good, self._others)

    def _save(self, good: array[int], others: Mapping[int, int]) -> None:
        pairs = array("Q", [number for pair in others.items() for number in pair])
        body = good.tobytes() + pairs.tobytes()
        with suppress(OSError):
            # A disk that is full, or not for us to write on: it costs time only.
            swap(self._file, _MAGIC + _HEAD.pack(zlib.crc32(body), len(good)) + body)
        self._saved = monotonic()


def _ends_well(path: bytes) -> bool:
    fd = opened(path)
    try:
        size = os.lseek(fd, 0, os.SEEK_END)
        return not size or os.pread(fd, 1, size - 1) == b"\n"
    finally:
        os.close(fd)


def _load(file: Path) -> tuple[Set[int], dict[int, int]]:
    with suppress(OSError, error, ValueError), os.fdopen(opened(os.fsencode(file)), "rb") as content:
        whole = content.read(MOST)
        checksum, count = _HEAD.unpack_from(whole, len(_MAGIC))
        body = whole[len(_MAGIC) + _HEAD.size :]
        if whole.startswith(_MAGIC) and zlib.crc32(body) == checksum:
            good, pairs = array("I", body[: 4 * count]), array("Q", body[4 * count :])
            return frozenset(good), dict(zip(pairs[::2], pairs[1::2], strict=True))
    return frozenset(), {}
