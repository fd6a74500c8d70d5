"""A look at a Maildir that other programs may be changing.

Who reads a directory while a file in it is renamed may see it under both names, or under neither (readdir(3)): its new
name can be in the part that was read already. Only a look during which nothing was changed tells what is there, and
that is seen by the times of the directories. So looks are repeated until one is *exact*. Where it never gets quiet,
what any of them has seen counts: a letter too many is found to be gone when it is fetched, one too few would be missed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import sleep, time_ns

from attrs import frozen

from mailstack.maildir import raw_names as names
from mailstack.maildir.listed import AT_ONCE, Stamps, breathe, letters, stamps

LOOKS = 5
#: The kernel's clock for files ticks every 10 ms at the rarest (CONFIG_HZ=100): two changes further apart than this
#: have two times. Nanoseconds.
MOMENT = 20_000_000

Pause = Callable[[float], None]


@frozen
class Look:
    paths: list[bytes]  #: ``new/NAME`` and ``cur/NAME``
    stamps: Stamps  #: before it
    exact: bool  #: these are all letters, and nothing else; not so: some may be gone, or have another name
    trusted: bool  #: as long as the stamps are the same, so are the letters


def look(folder: Path, clock: Callable[[], int] = time_ns, pause: Pause = sleep) -> Look:
    """Blocking. OSError: the disk refuses."""
    seen: list[bytes] = []
    for _ in range(LOOKS):
        now = clock()
        before, calm = _calm(folder, now, pause)
        found = list(letters(folder))
        if calm and stamps(folder) == before:
            return Look(found, before, exact=True, trusted=before.settled(now))
        seen = _united(seen, found)
    return Look(_once_each(folder, seen), before, exact=False, trusted=False)


def _calm(folder: Path, now: int, pause: Pause) -> tuple[Stamps, bool]:
    """Waits until a change would have another time than the last one had; False: there is one after the other."""
    found = stamps(folder)
    age = now - found.latest
    if age > MOMENT:
        return found, True
    # Where the file system has another clock than we, that moment passes all the same.
    pause((MOMENT - max(age, 0)) / 1e9)
    later = stamps(folder)
    return later, later == found


def _united(earlier: Sequence[bytes], later: list[bytes]) -> list[bytes]:
    """All of the later ones, and the letters that only the earlier look has seen."""
    stems = {_stem(path) for path in _paced(later)}
    return later + [path for path in _paced(earlier) if _stem(path) not in stems]


def _once_each(folder: Path, paths: Sequence[bytes]) -> list[bytes]:
    """A letter that was seen under two names has one of them. Where there really are two files, both."""
    seen, twice = set[bytes](), set[bytes]()
    for path in _paced(paths):
        stem = _stem(path)
        (twice if stem in seen else seen).add(stem)
    kept, doubted = list[bytes](), dict[bytes, dict[int, bytes]]()
    for path in _paced(paths):
        if _stem(path) in twice:
            # What is not there any more is kept under no inode's number, until nothing else is.
            doubted.setdefault(_stem(path), {})[_inode(folder, path)] = path
        else:
            kept.append(path)
    for files in doubted.values():
        gone = files.pop(0, b"")
        kept += files.values() or [gone]
    return kept


def _inode(folder: Path, path: bytes) -> int:
    try:
        return os.lstat(os.fsencode(folder) + b"/" + path).st_ino
    except OSError:
        return 0


def _stem(path: bytes) -> bytes:
    return names.stem(names.base(path[4:]))


def _paced(paths: Sequence[bytes]) -> Iterator[bytes]:
    for start in range(0, len(paths), AT_ONCE):
        yield from paths[start : start + AT_ONCE]
        breathe()
