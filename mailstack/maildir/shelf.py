"""The indexes of Maildirs, from one session to the next, within bounds; and whether one may still be believed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from time import sleep, time_ns

from mailstack.maildir.freed import give_back
from mailstack.maildir.index import Index
from mailstack.maildir.indexing import indexed, updated
from mailstack.maildir.listed import stamps
from mailstack.maildir.looking import LOOKS, Look, Pause, look
from mailstack.maildir.sizes import Sizes

MOST = 128 * 1024 * 1024  # octets of all indexes that are kept: 1,400,000 letters
MANY = 10_000  # letters, whose listing leaves much memory to give back


class Shelf:
    """What is used least goes first. Its methods may be called from any thread."""

    def __init__(self, most: int = MOST, clock: Callable[[], int] = time_ns, pause: Pause = sleep) -> None:
        """``clock`` is in nanoseconds, and the one that file systems have."""
        self._most = most
        self._pause = pause
        self._clock = clock
        self._octets = 0
        self._indexes: OrderedDict[Path, Index] = OrderedDict()
        self._guard = Lock()

    def index(self, folder: Path) -> Index:
        """The letters that are in a Maildir now. Blocking.

        An index is as good as a look when both directories have the times that they had *before* it was made, and those
        were old enough even then: whatever happened since has left another time. A file that is changed in place does
        not, but letters never are; if one was, RETR finds out.
        """
        kept = self._take(folder)
        if kept is None or not kept.trusted or kept.stamps != stamps(folder) or kept.wrong:
            kept = self._made(folder, kept)
        self._put(folder, kept)
        return kept

    def _take(self, folder: Path) -> Index | None:
        with self._guard:
            index = self._indexes.pop(folder, None)
            self._octets -= index.memory if index else 0
            return index

    def _put(self, folder: Path, index: Index) -> None:
        with self._guard:
            self._indexes[folder] = index
            self._octets += index.memory
            while self._octets > self._most:
                self._octets -= self._indexes.popitem(last=False)[1].memory

    def _made(self, folder: Path, old: Index | None) -> Index:
        index = self._listed(folder, old)
        if len(index) > MANY:
            give_back()  # when all that was needed to list it is gone
        return index

    def _listed(self, folder: Path, old: Index | None) -> Index:
        """Again, where a letter was not there any more to be measured: it is removed, or has another name."""
        sizes = Sizes(folder, self._clock(), {} if old is None else old.wrong)
        for looks_left in reversed(range(LOOKS)):
            seen = look(folder, self._clock, self._pause)
            sizes.begin(certain=looks_left > 0)
            index = _indexed(seen, sizes, old)
            if not sizes.lost:
                break
        index.exact = seen.exact and not sizes.lost
        index.alone = index.alone and not sizes.looked
        sizes.save()
        return index


def _indexed(seen: Look, sizes: Sizes, old: Index | None) -> Index:
    how = (seen.stamps, seen.trusted, sizes.of)
    index = None
    if old is not None and old.alone and not old.wrong:
        index = updated(old, seen.paths, *how)
    return indexed(_taken(seen.paths), *how) if index is None else index


def _taken(paths: list[bytes]) -> Iterator[bytes]:
    """Out of the list, so that a large one is not in memory twice."""
    while paths:
        yield paths.pop()
