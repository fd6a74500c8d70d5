"""Whether the spool can write: a fuse for deliveries, the reserve, and the alarms.

Nothing may be delivered whose outcome cannot be written down, or a restart would deliver it again. So the first batch
that fails pauses all deliveries, and the first one that is durable again lets them go on.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mailstack.config.limits import FEW_INODES
from mailstack.interfaces.alarms import IAlarms
from mailstack.model.condition import DAMAGED, FULL, INODES, LITTLE, NO_ROOM, READ_ONLY, condition_of
from mailstack.place import Place
from mailstack.spool.commit import InThread
from mailstack.spool.errors import Damaged
from mailstack.spool.place import room
from mailstack.spool.reserve import Reserve

#: Seconds between two tries to make the reserve again, or to write while nothing can be written.
PATIENCE = 5.0
PROBE = 65_536  # octets that are written to see whether that can be done
WARY = 60.0  #: seconds after the last sign of a damaged database in which nothing new is taken


class Health:
    """``look``, ``explained`` and ``make_room`` block: they belong into the disk's thread, all else into the other."""

    def __init__(self, data: Path, least: float, now: Callable[[], float], alarms: IAlarms) -> None:
        """With less than ``least`` octets the receiver takes no mail, and there is an alarm. ``now`` in seconds."""
        self._data = data
        self._folder = data / "spool"
        self._least = least
        self._now = now
        self._alarms = alarms
        self._reserve = Reserve(self._folder / "reserve")
        # Without its log nothing that is written would be found.
        self._place = Place(*(self._folder / name for name in ("messages", "queue.db", "queue.db-wal")))
        self._database = -1  #: a descriptor
        self._failure: OSError | None = None  #: of the last batch, since then nothing was durable
        self._standing: dict[str, OSError] = {}  #: by condition, what the last look has found
        self._lacking: dict[str, OSError] = {}  #: likewise, why the reserve is not whole
        self._raised: set[str] = set()
        self._tried = self._made = -PATIENCE
        self._damage: Damaged | None = None
        self._damage_seen = 0.0

    def make_room_to_start(self, error: OSError) -> bool:
        """Blocking. Before all else, when there was no room to open the queue."""
        return self.explained(error).errno in NO_ROOM and self._reserve.give_up_found()

    def start(self) -> None:
        """Blocking, when the database is open. What is there now is ours. OSError: it is not even there."""
        self._place.remember()
        self._database = os.open(self._folder / "queue.db", os.O_RDONLY | os.O_CLOEXEC)
        self.seen(self.look())

    def close(self) -> None:
        """When the database is closed: whoever closes its file drops the locks that SQLite has on it."""
        if self._database >= 0:
            os.close(self._database)
            self._database = -1

    def verify(self) -> None:
        """Of whatever is written from now on nothing gets lost when the server starts again. OSError. In any thread."""
        self._place.verify()

    # ---- What the group commit tells

    def wrote(self) -> None:
        """A batch with rows is durable."""
        self._failure = None
        for condition in self._raised - self._standing.keys():
            self._over(condition)

    def failed(self, error: OSError, must: int) -> None:
        """A batch is not durable. Where there is no room, that says nothing of those that ``must`` be."""
        if must:
            self._failure = error
        self.noticed(error)

    def noticed(self, error: OSError) -> None:
        """What somebody's message has met with. The next batch says whether outcomes meet with it, too."""
        if isinstance(error, Damaged):
            error = self._unread() or error
        if isinstance(error, Damaged):
            # What is in SQLite's memory may still be written, to where nobody will read it.
            self._damage, self._damage_seen = error, self._now()
            self._standing = {**self._standing, DAMAGED: error}
        elif error.errno not in NO_ROOM:
            self._failure = error
        self._raise(self._named(error), error)

    def _unread(self) -> OSError | None:
        """SQLite calls it malformed, too, if the disk refuses to read: which is no damage."""
        if self._database < 0:
            return None
        try:
            os.pread(self._database, 1, 0)
        except OSError as error:
            return error if error.errno == errno.EIO else None
        return None

    def watching(self, in_thread: InThread) -> InThread:
        """The same, but that a database which is damaged is noticed."""

        async def run(*args: Any, **named: Any) -> Any:  # Any: as it is given, and as it comes back
            try:
                return await in_thread(*args, **named)
            except Damaged as error:
                self.noticed(error)
                raise

        return run

    def _named(self, error: OSError) -> str:
        if isinstance(error, Damaged):
            return DAMAGED
        if error.errno == errno.ENOSPC:
            with suppress(OSError):
                return INODES if room(self._folder)[1] == 0 else FULL
        return condition_of(error)

    # ---- What others ask

    @property
    def fit(self) -> bool:
        """Whether outcomes can be written down, so that there may be any."""
        if self._failure is not None or (self._reserve.spent and self._standing):
            return False
        return all(error.errno in NO_ROOM or key == DAMAGED for key, error in self._standing.items())

    @property
    def tight(self) -> bool:
        """What can be written again in its own place needs no more room."""
        return not self._reserve.whole

    def admit(self) -> None:
        """OSError: no new mail now. The room that is left is for what is here already."""
        for condition, error in self._standing.items():
            if condition != LITTLE:
                raise error

    def due(self, in_doubt: bool) -> bool:
        """Whether it is time to try and write something, as nothing could be written last time, or that is
        ``in_doubt``."""
        if not (in_doubt or self._failure is not None) or self._now() - self._tried < PATIENCE:
            return False
        self._tried = self._now()
        return True

    # ---- In the disk's thread

    def look(self) -> dict[str, OSError]:
        """What is wrong with the disk, by condition. Makes the reserve again if there is room."""
        found = self._look()
        if self._damage is not None and self._now() - self._damage_seen < WARY:
            found[DAMAGED] = self._damage
        return found

    def _look(self) -> dict[str, OSError]:
        try:
            self.verify()
            octets, inodes, read_only = room(self._folder)
        except OSError as error:
            return {condition_of(error): error}
        if read_only:
            return {READ_ONLY: OSError(errno.EROFS, "Read-only file system", str(self._folder))}
        found = self._remake()
        if inodes is not None and inodes < FEW_INODES:
            found.setdefault(INODES, OSError(errno.ENOSPC, f"only {inodes} inodes are left"))
        elif octets < self._least and FULL not in found:
            found[LITTLE] = OSError(errno.ENOSPC, f"only {octets} octets are left")
        return found

    def _remake(self) -> dict[str, OSError]:
        """What keeps the reserve from being whole."""
        if self._reserve.whole:
            return {}
        if self._now() - self._made >= PATIENCE:
            self._made, self._lacking = self._now(), {}
            try:
                self._reserve.make()
            except OSError as error:
                self._lacking = {self._named(error): error}
        return dict(self._lacking)

    def make_room(self, error: OSError, everything: bool) -> bool:
        """Give up some of the reserve, if that can help; whether a second try is worth while."""
        if error.errno not in NO_ROOM:
            return False
        self._made = self._now()
        return self._reserve.give_up(everything)

    def explained(self, error: OSError) -> OSError:
        """SQLite does not tell a quota, or a file system that has become read-only, from a broken disk: so we write
        something ourselves."""
        if error.errno != errno.EIO:
            return error
        probe = self._folder / "probe"
        try:
            probe.write_bytes(b"x" * PROBE)
        except OSError as better:
            return better
        finally:
            with suppress(OSError):
                probe.unlink()
        return error

    # ---- Alarms

    def seen(self, found: dict[str, OSError]) -> None:
        """What a look has found."""
        self._standing = found
        for condition, error in found.items():
            self._raise(condition, error)
        if self._failure is None:
            for condition in self._raised - found.keys():
                self._over(condition)

    def given_up(self, error: OSError) -> None:
        """The reserve is not whole any more."""
        self._lacking = {self._named(error): error}
        self._standing = {**self._standing, **self._lacking}
        self.noticed(error)

    def _raise(self, condition: str, error: OSError) -> None:
        self._raised.add(condition)
        self._alarms.seen(condition, str(error))

    def _over(self, condition: str) -> None:
        self._raised.discard(condition)
        self._alarms.over(condition)
