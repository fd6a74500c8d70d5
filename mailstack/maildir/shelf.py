"""The indexes of Maildirs, from one session to the next, within bounds; and whether one may still be believed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from time import time_ns

from mailstack.maildir.freed import give_back
from mailstack.maildir.index import Index
from mailstack.maildir.indexing import indexed, updated
from mailstack.maildir.listed import Stamps, letters, stamps
from mailstack.maildir.sizes import Sizes

MOST = 64 * 1024 * 1024  # octets of all indexes that are kept: 700,000 letters
MANY = 10_000  # letters, whose listing leaves much memory to give back


class Shelf:
    """What is used least goes first. Its methods may be called from any thread."""

    def __init__(self, most: int = MOST, clock: Callable[[], int] = time_ns) -> None:
        """``clock`` is in nanoseconds, and the one that file systems have."""
        self._most = most
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
        now, found = self._clock(), stamps(folder)
        kept = self._take(folder)
        if kept is None or not kept.trusted or kept.stamps != found or kept.wrong:
            kept = _made(folder, found, now, kept)
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


def _made(folder: Path, found: Stamps, now: int, old: Index | None) -> Index:
    wrong = {} if old is None else old.wrong
    sizes = Sizes(folder, now, wrong)
    how = (found, found.settled(now), sizes.of)
    index, paths = None, letters(folder)
    if old is not None and old.alone and not wrong:
        some = list(paths)
        index, paths = updated(old, some, *how), iter(some)
    if index is None:
        index = indexed(paths, *how)
    index.alone = index.alone and not sizes.looked
    sizes.save()
    if len(index) > MANY:
        give_back()
    return index
