"""The letters of one Maildir in few octets: no object for each, as there may be 100,000.

The lines of UIDL are ready to be sent. They have the greater part of each file name, so only the rest of it is kept
beside them. A letter takes the length of its name, and some 20 octets.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from attrs import define, field, frozen

from mailstack.maildir import names
from mailstack.maildir.listed import AT_ONCE, CUR, NEW, Stamps, breathe

#: A letter as it is sorted: by time, base, place, flags.
_ENTRY = re.compile(rb"(?s).(([^,\0]*)([^\0]*))\0(.)(.*)")
_CUR_COMES_LATER = {NEW: b"\0\1", CUR: b"\0\2"}
_PLACES = {b"\1": NEW, b"\2": CUR}
_WHOLE = {b"\1": b"\3", b"\2": b"\4"}  # the rest has the whole name, because it does not begin with the unique-id
_WHOLE_PLACES = {1: NEW, 2: CUR, 3: NEW, 4: CUR}
_W = b"/"  # stands for the W= that the size has; in no file name

_SORTED_AT_ONCE = 4096  # entries: about a millisecond

#: Octets of a letter on the wire, by stem, measures and path below the Maildir; None: it is gone.
Measure = Callable[[bytes, bytes, bytes], int | None]


@frozen
class Listing:
    """Lines with CRLF, and where each ends."""

    text: bytes
    ends: array[int]

    def line(self, index: int) -> bytes:
        return self.text[self.ends[index - 1] if index else 0 : self.ends[index]]

    def lines(self, start: int, stop: int) -> memoryview:
        begin = self.ends[start - 1] if start else 0
        return memoryview(self.text)[begin : self.ends[stop - 1] if stop else 0]


@define
class Index:
    """The letters, oldest first. ``trusted``: as long as the stamps are the same, so are the letters."""

    stamps: Stamps
    trusted: bool
    octets: int  #: of all letters, on the wire
    uid_lines: Listing
    sizes: array[int]
    rests: Listing  # without line ends: place, and what the file's name has behind the unique-id
    #: What RETR has found out: octets on the wire, by :func:`mailstack.maildir.sizes.key`. For the next scan.
    wrong: dict[bytes, int] = field(factory=dict)

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
        rest = self.rests.line(index).replace(_W, b",W=%d" % self.sizes[index])
        name = rest[1:] if rest[0] > 2 else self.uid(index) + rest[1:]
        return _WHOLE_PLACES[rest[0]], name

    def base(self, index: int) -> bytes:
        return names.base(self.file(index)[1])

    def find(self, base: bytes) -> int | None:
        """The index of a letter, also if its measures have another form by now."""
        stem = names.stem(base)
        at = bisect_left(range(len(self)), names.order(stem) + stem, key=self._key)
        first = None
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


def indexed(letters: Iterable[tuple[bytes, Sequence[bytes]]], stamps: Stamps, trusted: bool, measure: Measure) -> Index:
    """Of the names of files, by place. It takes its time, but never the interpreter for long."""
    entries: list[bytes] = []
    for place, found in letters:
        mark = _CUR_COMES_LATER[place]
        entries += [_entry(name, mark) for name in found]
    entries, shared = _sorted(entries), frozenset[bytes]()
    while (rendering := _Rendering(measure, shared)).take_all(entries):
        # Rare: more than once only where names were made up to be so.
        entries = _without_twins(entries)
        shared |= rendering.collisions
    return rendering.index(stamps, trusted)


def _entry(name: bytes, mark: bytes) -> bytes:
    base, colon, flags = name.partition(b":")
    return b"%b%b%b%b%b" % (names.order(base), base, mark, colon, flags)


def _sorted(entries: list[bytes]) -> list[bytes]:
    """In steps: list.sort lets nobody in, but is quick to merge what is sorted in two halves."""
    if len(entries) <= _SORTED_AT_ONCE:
        return sorted(entries)
    middle = len(entries) // 2
    both = _sorted(entries[:middle]) + _sorted(entries[middle:])
    breathe()
    both.sort()
    return both


def _without_twins(entries: Sequence[bytes]) -> list[bytes]:
    """Of files with the same base the last one: in ``cur``, with more flags. A letter that was moved while the folders
    were listed is there twice."""
    kept = [one for one, next in pairwise(entries) if one.partition(b"\0")[0] != next.partition(b"\0")[0]]
    return kept + list(entries[-1:])


class _Rendering:
    """Makes an index of entries, a few at a time."""

    def __init__(self, measure: Measure, shared: frozenset[bytes]) -> None:
        """``shared`` are unique-ids that several letters would have."""
        self.collisions: set[bytes] = set()  #: those that are not in ``shared`` yet
        self._measure = measure
        self._shared = shared
        self._seen: set[bytes] = set()
        self._sizes = array("Q")
        self._uids = _Lines()
        self._rests = _Lines()

    def take_all(self, entries: Sequence[bytes]) -> bool:
        """Whether there are collisions."""
        for start in range(0, len(entries), AT_ONCE):
            self._take(entries[start : start + AT_ONCE])
            breathe()
        return bool(self.collisions)

    def _take(self, entries: Sequence[bytes]) -> None:
        first = len(self._sizes) + 1
        uids, rests = [], []
        for entry in entries:
            base, stem, measures, mark, flags = _ENTRY.match(entry).groups()  # type: ignore[union-attr] # made so
            size = self._measure(stem, measures, b"%b/%b%b" % (_PLACES[mark], base, flags))
            if size is None:
                continue
            uid = names.unique_id(stem)
            if uid in self._shared:
                uid = names.shared_id(base)
            if uid in self._seen:
                self.collisions.add(uid)
            self._seen.add(uid)
            self._sizes.append(size)
            uids.append(uid)
            rest = mark + measures if uid == stem else _WHOLE[mark] + base
            rests.append(rest.replace(b",W=%d" % size, _W) + flags)
        self._uids.add([b"%d %b\r\n" % line for line in enumerate(uids, first)])
        self._rests.add(rests)

    def index(self, stamps: Stamps, trusted: bool) -> Index:
        octets = sum(self._sizes)
        small = max(self._sizes, default=0) < 1 << 32
        sizes = array("I", self._sizes) if small else self._sizes
        return Index(stamps, trusted, octets, self._uids.listing(), sizes, self._rests.listing())


class _Lines:
    def __init__(self) -> None:
        self._texts: list[bytes] = []
        self._ends = array("I")
        self._end = 0

    def add(self, lines: Sequence[bytes]) -> None:
        self._texts.append(b"".join(lines))
        for line in lines:
            self._end += len(line)
            self._ends.append(self._end)

    def listing(self) -> Listing:
        return Listing(b"".join(self._texts), self._ends)
