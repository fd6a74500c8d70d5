"""The letters of one Maildir in few octets: no object for each, as there may be 100,000.

The lines of UIDL are ready to be sent. They have the greater part of each file name, so only the rest of it is kept
beside them. A letter takes the length of its name, and some 20 octets.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from attrs import define, field, frozen

from mailstack.maildir import raw_names as names
from mailstack.maildir.listed import PLACES, Stamps

#: What the rest of a file's name begins with: the place, and whether the whole name follows, because it does not begin
#: with the unique-id.
MARKS = {(place, whole): bytes([number + 2 * whole]) for whole in (False, True) for number, place in enumerate(PLACES)}
_MARKED = {mark[0]: meaning for meaning, mark in MARKS.items()}
_W = b"/"  # stands for the W= that the size has; in no file name


class Row(NamedTuple):
    """A letter. (100,000 frozen ones of attrs would take as long as all the rest.)"""

    uid: bytes
    rest: bytes
    size: int

    @classmethod
    def of(cls, uid: bytes, path: bytes, stem: bytes, size: int) -> Row:
        place, _, name = path.partition(b"/")
        whole = uid != stem
        rest = MARKS[place, whole] + (name if whole else name[len(stem) :])
        return cls(uid, rest.replace(b",W=%d" % size, _W, 1), size)


@frozen
class Listing:
    """Texts one after the other, and where each ends."""

    text: bytes
    ends: array[int]

    def line(self, index: int) -> bytes:
        return self.text[self.ends[index - 1] if index else 0 : self.ends[index]]

    def lines(self, start: int, stop: int) -> memoryview:
        begin = self.ends[start - 1] if start else 0
        return memoryview(self.text)[begin : self.ends[stop - 1] if stop else 0]

    def holding(self, octets: bytes) -> Iterator[int]:
        """The indexes of those that have these octets, without a look at each of the others."""
        at = self.text.find(octets)
        while at >= 0:
            index = bisect_right(self.ends, at)
            if octets in self.line(index):  # and not across two
                yield index
            at = self.text.find(octets, self.ends[index])


@define
class Index:
    """The letters, oldest first. ``trusted``: as long as the stamps are the same, so are the letters."""

    stamps: Stamps
    trusted: bool
    alone: bool  #: what is said of a letter comes from its name, and not from another letter or the file
    octets: int  #: of all letters, on the wire
    uid_lines: Listing  # with CRLF
    sizes: array[int]
    rests: Listing
    #: What RETR has found out: octets on the wire, by :func:`mailstack.maildir.sizes.key`. For the next scan.
    wrong: dict[bytes, int] = field(factory=dict)
    exact: bool = True  #: what is not in it was not there; not so: it may be, see :mod:`.looking`

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def memory(self) -> int:
        """Octets, about."""
        texts = len(self.uid_lines.text) + len(self.rests.text)
        return 2000 + texts + len(self.sizes) * (self.sizes.itemsize + 8)

    def uid(self, index: int) -> bytes:
        line = self.uid_lines.line(index)
        return line[line.index(b" ") + 1 : -2]

    def file(self, index: int) -> tuple[bytes, bytes]:
        """The place and the name of a letter's file."""
        place, _, name = next(self.paths(index, index + 1)).partition(b"/")
        return place, name

    def paths(self, start: int, stop: int) -> Iterator[bytes]:
        """``new/NAME`` or ``cur/NAME`` of each."""
        uids = bytes(self.uid_lines.lines(start, stop)).split()[1::2]
        for uid, index in zip(uids, range(start, stop), strict=True):
            rest = self.rests.line(index).replace(_W, b",W=%d" % self.sizes[index])
            place, whole = _MARKED[rest[0]]
            yield b"%b/%b%b" % (place, b"" if whole else uid, rest[1:])

    def base(self, index: int) -> bytes:
        return names.base(self.file(index)[1])

    def row(self, index: int) -> Row:
        return Row(self.uid(index), self.rests.line(index), self.sizes[index])

    def position(self, base: bytes) -> int:
        """Where a letter is, or would be."""
        return bisect_left(range(len(self)), names.order(base) + base, key=self._key)

    def find(self, base: bytes) -> int | None:
        """The index of a letter, also if its measures have another form by now."""
        stem = names.stem(base)
        at, first = self.position(stem), None
        while at < len(self) and (found := self.base(at)).startswith(stem):
            if found == base:
                return at
            if first is None and names.stem(found) == stem:
                first = at
            at += 1
        return first

    def _key(self, index: int) -> bytes:
        base = self.base(index)
        return names.order(base) + base
