"""A disk that is full for a while: new files and rows find no room, but for what the reserve gives.

Where a server writes is not seen by the simulated disk, which looks at the files when they are synced. So the server's
own parts are asked before they write.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

from attrs import define

from mailstack.spool.disk import DiskSpool
from mailstack.spool.incoming import FileIncoming
from mailstack.spool.reserve import PIECES, Reserve


@define
class Room:
    """On one disk. ``spare``: how often something may be written although it is full."""

    full: bool = False
    since: float = 0.0  #: when it has become full, or had room again
    spare: int = 0
    refusals: int = 0

    def take(self) -> None:
        """OSError: there is none."""
        if not self.full:
            return
        if not self.spare:
            self.refusals += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.spare -= 1


class Pieces(Reserve):
    """A reserve without files: here they would only cost time. One piece is room for one thing."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._pieces: list[str] = []

    def make(self) -> None:
        if self._room.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._pieces = [str(number) for number in range(PIECES)]
        self._room.spare = 0

    def give_up(self, everything: bool) -> bool:
        half = len(self._pieces) <= PIECES // 2
        if half and not everything:
            return False
        kept = 0 if half else PIECES // 2
        given, self._pieces = len(self._pieces) - kept, self._pieces[:kept]
        self._room.spare += given
        return bool(given)


class Arriving(FileIncoming):
    """A message that needs room for its file."""

    def __init__(self, room: Room, *args: Any) -> None:
        super().__init__(*args)
        self._room = room

    def _spill(self) -> None:
        self._room.take()
        super()._spill()

    def _finish(self, hurry: bool) -> None:
        if self._fd is None:
            self._room.take()
        super()._finish(hurry)


def limit(spool: DiskSpool, room: Room) -> None:
    """Before it starts."""
    files: Any = spool._files
    spool._health._reserve = Pieces(room)
    files.receive = lambda id: Arriving(room, files.path(id), files.arrivals)


def limit_rows(spool: DiskSpool, room: Room) -> None:
    """When it has started."""
    store: Any = spool._store
    write: Callable[[Any], list[str]] = store._transact

    def transact(batch: Any) -> list[str]:
        room.take()
        return write(batch)

    store._transact = transact
