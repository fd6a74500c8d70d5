"""A file that is read again when it changes, and whose last good version stays when that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import time
from typing import Generic, Protocol, TypeVar

from attrs import frozen

from mailstack.accounts.lines import BrokenLine
from mailstack.interfaces.log import IEventLog

PAUSE = 1.0  # seconds between two looks at the disk
WRITING = 2.0  # seconds after a change in which more of it may follow
MAX_REPORTS = 20  # broken lines told of at once


@frozen
class Signature:
    """Tells two versions of a file apart."""

    changed: int
    size: int
    inode: int


class Listing(Protocol):
    """What was read."""

    @property
    def files(self) -> Sequence[Path]:
        """The file and those that it includes."""

    @property
    def broken(self) -> Sequence[BrokenLine]:
        """What could not be understood."""


T = TypeVar("T", bound=Listing)


class Watched(Generic[T]):
    """Blocks for a stat once a second at most, and for reading when something has changed."""

    def __init__(
        self,
        path: Path,
        read: Callable[[Path], T],
        now: Callable[[], float],
        log: IEventLog,
        wall: Callable[[], float] = time,
    ) -> None:
        """``now`` in seconds; ``wall`` is Unix time, as files have it. ``read`` raises OSError when there is nothing to
        be had."""
        self._wall = wall
        self._path = path
        self._read = read
        self._now = now
        self._log = log
        self._value: T | None = None
        self._signatures: dict[Path, Signature | None] = {}
        self._unsettled: dict[Path, Signature | None] = {}
        self._looked: float | None = None
        self._complained = False
        self.in_doubt = False  #: the file is being written: the version in use may not be the last

    def value(self) -> T | None:
        """The last good version; None: there never was one."""
        now = self._now()
        if self._looked is None or not 0 <= now - self._looked < PAUSE:
            self._looked = now
            self._look()
        return self._value

    def reload(self) -> None:
        """Read the file the next time it is asked for, changed or not."""
        self._looked = None
        self._signatures = {}

    def _look(self) -> None:
        self.in_doubt = False
        current = {path: _signature(path) for path in self._signatures or (self._path,)}
        if current == self._signatures or self._being_written(current):
            return
        try:
            value = self._read(self._path)
        except OSError as error:
            self._complain(error)
            return
        self._value = value
        self._complained = False
        # Looked at before reading, where possible: a change in between is seen the next time.
        self._signatures = {path: current.get(path) or _signature(path) for path in value.files}
        self._report(value.broken)

    def _being_written(self, current: dict[Path, Signature | None]) -> bool:
        """A file that is not replaced but written anew may be half there: wait until two looks are the same."""
        changes = [(self._signatures.get(path), new) for path, new in current.items()]
        young = any(
            old and new and old != new and old.inode == new.inode and self._wall() - new.changed / 1e9 < WRITING
            for old, new in changes
        )
        settled, self._unsettled = current == self._unsettled, current
        self.in_doubt = young and not settled
        return self.in_doubt

    def _complain(self, error: OSError) -> None:
        """Once, until it works again; it is tried again with every look."""
        self._signatures = {}
        if not self._complained:
            self._complained = True
            then = "the last version counts" if self._value else "mail for names not known otherwise is put off"
            self._log.warn("accounts", note=f"{self._path} cannot be read: {error.strerror}; {then}")

    def _report(self, broken: Sequence[BrokenLine]) -> None:
        for line in broken[:MAX_REPORTS]:
            self._log.warn("accounts", note=str(line))
        if len(broken) > MAX_REPORTS:
            self._log.warn("accounts", note=f"{self._path}: {len(broken) - MAX_REPORTS} more broken lines")


def _signature(path: Path) -> Signature | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return Signature(found.st_mtime_ns, found.st_size, found.st_ino)
