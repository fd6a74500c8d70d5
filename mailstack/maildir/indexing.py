"""Makes the index of a Maildir: anew, or of an older one and what has changed since.

It takes its time, but never the interpreter for long: other sessions go on.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from mailstack.maildir import raw_names as names
from mailstack.maildir.index import Index, Listing, Row
from mailstack.maildir.listed import AT_ONCE, Stamps, breathe

#: A letter as it is sorted: by time, base, place, flags.
_ENTRY = re.compile(rb"(?s).(([^,\0]*)([^\0]*))\0(...)(.*)")

_SORTED_AT_ONCE = 4096  # entries: about a millisecond
MOST_ADDED = 100  # each costs a look through all unique-ids

#: Octets of a letter on the wire, by stem, measures and path below the Maildir; None: it is gone.
Measure = Callable[[bytes, bytes, bytes], int | None]


def indexed(paths: Iterable[bytes], stamps: Stamps, trusted: bool, measure: Measure) -> Index:
    """Of the paths of files, ``new/NAME`` and ``cur/NAME``."""
    entries, shared = _packed(_sorted(_entries(paths))), frozenset[bytes]()
    while collisions := (rendering := _Rendering()).take_all(entries, measure, shared):
        # Rare: more than once only where names were made up to be so.
        entries = _packed(_without_twins([entries.line(index) for index in range(len(entries.ends))]))
        shared |= collisions
    return rendering.index(stamps, trusted, alone=not shared)


def updated(old: Index, paths: Sequence[bytes], stamps: Stamps, trusted: bool, measure: Measure) -> Index | None:
    """What :func:`indexed` would make, in less time. None: that is not to be had."""
    new, gone = _changes(old, _in_steps(paths))
    if not old.alone or len(new) > MOST_ADDED:
        return None
    added = sorted(_entries(new))
    places = deque((old.position(entry[1 : entry.index(b"\0")]), entry) for entry in added)
    first = min([len(old), *gone, *(at for at, _ in places)])
    rendering, rows, measured = _Rendering(), list[Row](), list[Row]()
    rendering.copy(old, first)
    for at in range(first, len(old) + 1):
        while places and places[0][0] == at:
            found = _rows([places.popleft()[1]], measure)
            rows += found
            measured += found
        if at < len(old) and at not in gone:
            rows.append(old.row(at))
        if len(rows) >= AT_ONCE or at == len(old):
            rendering.add(rows)
            rows = []
            breathe()
    index = rendering.index(stamps, trusted, alone=True)
    clash = any(index.uid_lines.text.count(b" %b\r\n" % row.uid) > 1 for row in measured)
    return None if clash else index


def _in_steps(paths: Sequence[bytes]) -> set[bytes]:
    """As a set, which would keep all others waiting while it is made at once."""
    there = set[bytes]()
    for start in range(0, len(paths), AT_ONCE):
        there.update(paths[start : start + AT_ONCE])
        breathe()
    return there


def _changes(old: Index, there: set[bytes]) -> tuple[set[bytes], set[int]]:
    """The paths that were not there before, and the indexes of those that are gone."""
    gone: set[int] = set()
    for start in range(0, len(old), AT_ONCE):
        for at, path in enumerate(old.paths(start, min(start + AT_ONCE, len(old))), start):
            if path in there:
                there.remove(path)
            else:
                gone.add(at)
        breathe()
    return there, gone


def _entries(paths: Iterable[bytes]) -> list[bytes]:
    entries = []
    for path in paths:
        base, colon, flags = path[4:].partition(b":")
        entries.append(b"%b%b\0%b%b%b" % (names.order(base), base, path[:3], colon, flags))
    return entries


def _sorted(entries: list[bytes]) -> list[bytes]:
    """In steps: list.sort lets nobody in, but is quick to merge what is sorted in two halves."""
    if len(entries) <= _SORTED_AT_ONCE:
        return sorted(entries)
    middle = len(entries) // 2
    both = _sorted(entries[:middle]) + _sorted(entries[middle:])
    breathe()
    both.sort()
    return both


def _packed(entries: Sequence[bytes]) -> Listing:
    """In one piece while they are gone through, which may take a second: what others keep of that time would otherwise
    lie between 100,000 small pieces, whose memory could not go back then."""
    return Listing(b"".join(entries), array("I", accumulate(map(len, entries))))


def _without_twins(entries: Sequence[bytes]) -> list[bytes]:
    """Of files with the same base the first one, in ``cur``. A letter that was moved while the directories were listed
    is there twice."""
    kept = {entry[: entry.index(b"\0")]: entry for entry in reversed(entries)}
    return list(reversed(kept.values()))


def _rows(entries: Iterable[bytes], measure: Measure, shared: frozenset[bytes] = frozenset()) -> list[Row]:
    """``shared`` are unique-ids that several letters would have."""
    rows = []
    for entry in entries:
        base, stem, measures, place, flags = _ENTRY.match(entry).groups()  # type: ignore[union-attr] # made so
        path = b"%b/%b%b" % (place, base, flags)
        size = measure(stem, measures, path)
        if size is None:
            continue
        uid = names.unique_id(stem)
        if uid in shared:
            uid = names.shared_id(base)
        rows.append(Row.of(uid, path, stem, size))
    return rows


class _Rendering:
    """An index while it grows."""

    def __init__(self) -> None:
        self._sizes = array("Q")
        self._uids = _Lines()
        self._rests = _Lines()

    def take_all(self, entries: Listing, measure: Measure, shared: frozenset[bytes]) -> set[bytes]:
        """Returns the unique-ids that several letters would have, and that are not in ``shared``."""
        seen, count = array("q"), len(entries.ends)  # hashes take little memory
        for start in range(0, count, AT_ONCE):
            some = [entries.line(index) for index in range(start, min(start + AT_ONCE, count))]
            rows = _rows(some, measure, shared)
            seen.extend([hash(row.uid) for row in rows])
            self.add(rows)
            breathe()
        return set() if _all_differ(seen) else self._uids.shared()

    def add(self, rows: Sequence[Row]) -> None:
        first = len(self._sizes) + 1
        self._uids.add([b"%d %b\r\n" % line for line in enumerate([row.uid for row in rows], first)])
        self._rests.add([row.rest for row in rows])
        self._sizes.extend([row.size for row in rows])

    def copy(self, old: Index, stop: int) -> None:
        """The letters before that index; they have the same numbers as before."""
        self._uids.copy(old.uid_lines, stop)
        self._rests.copy(old.rests, stop)
        self._sizes.extend(array("Q", old.sizes[:stop]))

    def index(self, stamps: Stamps, trusted: bool, alone: bool) -> Index:
        octets, most = sum(self._sizes), max(self._sizes, default=0)
        sizes = array("I", self._sizes) if most < 1 << 32 else self._sizes
        return Index(stamps, trusted, alone, octets, self._uids.listing(), sizes, self._rests.listing())


def _all_differ(hashes: array[int]) -> bool:
    different = set[int]()
    for start in range(0, len(hashes), AT_ONCE):
        different.update(hashes[start : start + AT_ONCE])
        breathe()
    return len(different) == len(hashes)


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

    def copy(self, old: Listing, stop: int) -> None:
        """To begin with."""
        self._end = old.ends[stop - 1] if stop else 0
        self._texts.append(old.text[: self._end])
        self._ends.extend(old.ends[:stop])

    def listing(self) -> Listing:
        return Listing(b"".join(self._texts), self._ends[:])  # a copy is without room to grow

    def shared(self) -> set[bytes]:
        """The second words that are in several lines."""
        counts = Counter(b"".join(self._texts).split()[1::2])
        return {word for word, count in counts.items() if count > 1}
