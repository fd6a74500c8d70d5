"""``spool/messages``: a file for each letter."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from mailstack.spool.content import opened
from mailstack.spool.incoming import Arrivals, FileIncoming

LARGEST = 64 * 1024  #: octets of a letter that is kept in memory when it has just come
MOST = 4 * 1024 * 1024  #: octets of those in all; beyond that the oldest are read from the disk
FEW = 2  #: files for which a hand-over to a thread costs less than the wait of whoever sends the next letter
FRESH = 60.0  #: seconds in which a file needs no look, as we have written it
MOST_FRESH = 10_000  #: files that are known to be fresh


def any_mail(folder: Path) -> bool:
    """Whether a file of a letter is there; costs the same however many there are. Blocking. OSError."""
    with os.scandir(folder) as entries:
        return next(entries, None) is not None


class Files:
    """Nearly all letters leave as soon as they have come: so they need not be read from the disk for that."""

    def __init__(self, folder: Path, troubled: Callable[[OSError], object]) -> None:
        """``troubled`` hears of what the disk refuses."""
        self.folder = folder
        self.arrivals = Arrivals(troubled)
        self.discarded: list[str] = []  #: refused by the disk; of some the file may still be there
        self._recent: dict[str, bytes] = {}
        self._size = 0
        self._fresh: dict[str, float] = {}  #: by id, when we have written it
        self._light: set[str] = set()  #: of these the small ones

    def path(self, id: str) -> str:
        return f"{self.folder}/{id}"

    def receive(self, id: str) -> FileIncoming:
        return FileIncoming(self.path(id), self.arrivals)

    def written(self, id: str, now: float, light: bool) -> None:
        """By ourselves, and whole. ``now`` in seconds, whatever they count from. ``light``: it is small."""
        self._fresh[id] = now
        if light:
            self._light.add(id)
        if len(self._fresh) > MOST_FRESH:
            self._grow_old(next(iter(self._fresh)))

    def _grow_old(self, id: str) -> None:
        self._fresh.pop(id, None)
        self._light.discard(id)

    def is_fresh(self, id: str, now: float) -> bool:
        return now - self._fresh.get(id, -FRESH) < FRESH

    def remember(self, id: str, content: bytes) -> None:
        """It is going to be read soon."""
        if len(content) > LARGEST:
            return
        self._recent[id] = content
        self._size += len(content)
        while self._size > MOST:
            self._drop(next(iter(self._recent)))

    def forget(self, ids: Iterable[str]) -> list[str]:
        """Letters that are done with. The files of many small ones are removed; others take their time: returned."""
        light = {id for id in ids if id in self._light}
        if len(light) <= FEW:
            light = set()
        self.unlink(light)
        for id in ids:
            self._grow_old(id)
            self._drop(id)
        return [id for id in ids if id not in light]

    def _drop(self, id: str) -> None:
        self._size -= len(self._recent.pop(id, b""))

    def open(self, id: str) -> BinaryIO:
        content = self._recent.get(id)
        return opened(self.path(id)) if content is None else BytesIO(content)

    def discard(self, file: FileIncoming) -> None:
        """It did not become a letter. Where the disk does not let go of it now, or the folder is not where it was, it
        is removed later."""
        if file.made:
            try:
                os.unlink(file.name)  # noqa: PTH108
            except OSError:
                self.discarded.append(os.path.basename(file.name))  # noqa: PTH119 - it is mostly text
        with suppress(OSError):
            file.discard()

    def unlink_discarded(self) -> None:
        """Blocking. The folder is where it should be."""
        discarded, self.discarded = self.discarded, []
        self.unlink(discarded)

    def unlink(self, ids: Iterable[str]) -> None:
        """Blocking. One that can't be removed now has no row any more: it is removed later, or by the next start."""
        for id in ids:
            try:
                os.unlink(self.path(id))  # noqa: PTH108
            except OSError as error:
                if error.errno != errno.ENOENT or not self.folder.exists():
                    self.discarded.append(id)
