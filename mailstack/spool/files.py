"""``spool/messages``: a file for each letter."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from mailstack.spool.incoming import FileIncoming

LARGEST = 64 * 1024  #: octets of a letter that is kept in memory when it has just come
MOST = 4 * 1024 * 1024  #: octets of those in all; beyond that the oldest are read from the disk


class Files:
    """Nearly all letters leave as soon as they have come: so they need not be read from the disk for that."""

    def __init__(self, folder: Path, troubled: Callable[[OSError], object]) -> None:
        """``troubled`` hears of what the disk refuses."""
        self._troubled = troubled
        self.folder = folder
        self.arriving: set[FileIncoming] = set()  #: begun, and not ended yet
        self.discarded: list[str] = []  #: refused by the disk; of some the file may still be there
        self._recent: dict[str, bytes] = {}
        self._size = 0

    def path(self, id: str) -> str:
        return f"{self.folder}/{id}"

    def receive(self, id: str) -> FileIncoming:
        return FileIncoming(self.path(id), self.arriving, self._troubled)

    def remember(self, id: str, content: bytes) -> None:
        """It is going to be read soon."""
        if len(content) > LARGEST:
            return
        self._recent[id] = content
        self._size += len(content)
        while self._size > MOST:
            self.forget([next(iter(self._recent))])

    def forget(self, ids: Iterable[str]) -> None:
        for id in ids:
            self._size -= len(self._recent.pop(id, b""))

    def open(self, id: str) -> BinaryIO:
        content = self._recent.get(id)
        # Not Path.open: making the Path costs a third of it.
        return open(self.path(id), "rb") if content is None else BytesIO(content)  # noqa: PTH123

    def discard(self, file: FileIncoming) -> None:
        """It was written, and did not become a letter. Where the disk does not let go of it now, or the folder is not
        where it was, it is removed later."""
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
