"""A message's file while the message arrives."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from attrs import Factory, define
from zope.interface import implementer

from mailstack.durable import write_all, write_new
from mailstack.interfaces.spool import IIncoming

#: Octets that are kept in memory; what is larger goes to the disk as it arrives. Most letters are smaller, and a
#: thousand clients at once cost 128 MiB.
MAX_HELD = 128 * 1024
#: Octets of one that the log of the database takes in, too: so it is durable before its file is.
MAX_LOGGED = 16 * 1024


@define
class Arrivals:
    """What the messages on their way into one folder have in common."""

    #: hears what the disk refuses
    troubled: Callable[[OSError], object] = lambda error: None
    #: begun, not ended yet, and not waited for by any batch
    awaited: set[FileIncoming] = Factory(set)
    #: Syncs that have failed. What was written before may be among the pages that the kernel has given up, and that no
    #: later sync writes.
    failed_syncs: int = 0


@implementer(IIncoming)
class FileIncoming:
    """Small messages are written once, when they are complete; large ones piece by piece.

    The file has its final name from the start: only the row in the database makes it a letter.
    """

    def __init__(self, name: str, arrivals: Arrivals) -> None:
        """``name`` is the path."""
        self.name = name
        self._arrivals = arrivals
        arrivals.awaited.add(self)
        self._held: list[bytes] = []
        self._size = 0
        self._fd: int | None = None
        self._failed_syncs = 0  #: when the file was begun before the end of the message
        self._made = False
        self.whole = b""  #: the content, once it is complete, if it was held in memory

    def write(self, chunk: bytes) -> None:
        if self._fd is None and self._size + len(chunk) <= MAX_HELD:
            self._held.append(chunk)
            self._size += len(chunk)
            return
        try:
            if self._fd is None:
                self._held.append(chunk)
                self._spill()
            else:
                write_all(self._fd, chunk)
        except OSError as error:
            self._arrivals.troubled(error)
            raise

    def _spill(self) -> None:
        self._failed_syncs = self._arrivals.failed_syncs
        self._fd = os.open(self.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._made = True
        write_all(self._fd, b"".join(self._held))
        self._held.clear()
        self._size = 0

    @property
    def size(self) -> int:
        """Octets in memory."""
        return self._size

    @property
    def small(self) -> bool:
        """Whether the log may take it in, too; asked before :meth:`finish`."""
        return self._fd is None and not self._made and self._size <= MAX_LOGGED

    @property
    def made(self) -> bool:
        """Whether there is a file that is no letter's."""
        return self._made

    def end(self) -> None:
        """The content is complete: no batch waits for it any more."""
        self._arrivals.awaited.discard(self)
        if self._held:
            self.whole = b"".join(self._held)
            self._held.clear()

    def finish(self, hurry: bool = True) -> None:
        """After :meth:`end`: put the content into the file, if it is not there yet. Not durable yet, but on its way if
        there is a ``hurry``. OSError, also if it may have a hole."""
        try:
            self._finish(hurry)
        except OSError as error:
            self._arrivals.troubled(error)
            raise

    def _finish(self, hurry: bool) -> None:
        if self._fd is None:
            if not self._made:
                write_new(self.name, self.whole, hurry=hurry)
                self._made = True
        else:
            if self._arrivals.failed_syncs > self._failed_syncs:
                raise OSError(errno.EIO, "a sync has failed since the message began to arrive")
            self._close()

    def keep(self) -> None:
        """It is a letter now: nothing is left to discard."""
        self._made = False

    def discard(self) -> None:
        self._arrivals.awaited.discard(self)
        self._held.clear()
        self.whole = b""
        self._close()
        if self._made:
            self._made = False
            Path(self.name).unlink(missing_ok=True)

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def ended(content: IIncoming) -> FileIncoming:
    """One whose content is complete."""
    assert isinstance(content, FileIncoming), "content comes from receive()"
    content.end()
    return content
