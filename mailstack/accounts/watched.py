"""A file that is read again when it changes, and whose last good version stays when that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Generic, Protocol, TypeVar

from mailstack.accounts.lines import BrokenLine
from mailstack.interfaces.log import IEventLog
from mailstack.versions import PAUSE, State, Versions, signatures

MAX_REPORTS = 20  # broken lines told of at once


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
    """Blocks for a stat once a second at most, and for reading when something has changed. Any thread may ask: one that
    comes while another one looks waits for what that finds."""

    def __init__(
        self,
        path: Path,
        read: Callable[[Path], T],
        now: Callable[[], float],
        wall: Callable[[], float],
        log: IEventLog,
    ) -> None:
        """``now`` in seconds; ``wall`` is Unix time, as files have it. ``read`` raises OSError when there is nothing to
        be had."""
        self._path = path
        self._read = read
        self._now = now
        self._log = log
        self._value: T | None = None
        self._versions = Versions(wall, together=False)
        self._looked: float | None = None
        self._looking = Lock()
        self._complained = False
        self.in_doubt = False  #: the file is being written: the version in use may not be the last

    def value(self) -> T | None:
        """The last good version; None: there never was one."""
        now = self._now()
        if self._stale(now):
            with self._looking:
                if self._stale(now):
                    self._look()
                    # Not before: there may be no version yet.
                    self._looked = now
        return self._value

    def _stale(self, now: float) -> bool:
        return self._looked is None or not 0 <= now - self._looked < PAUSE

    def reload(self) -> None:
        """Read the file the next time it is asked for, changed or not."""
        with self._looking:
            self._looked = None
            self._versions.use = {}

    def _look(self) -> None:
        found = signatures(self._versions.use or (self._path,))
        state = self._versions.state(found)
        self.in_doubt = state is State.BEING_WRITTEN
        if state is not State.NEW:
            return
        try:
            value = self._read(self._path)
        except OSError as error:
            self._complain(error)
            return
        self._value = value
        self._complained = False
        # Looked at before reading, where possible: a change in between is seen the next time.
        now_included = signatures(path for path in value.files if found.get(path) is None)
        self._versions.use = {path: found.get(path) or now_included[path] for path in value.files}
        self._report(value.broken)

    def _complain(self, error: OSError) -> None:
        """Once, until it works again; it is tried again with every look."""
        self._versions.use = {}
        if not self._complained:
            self._complained = True
            then = "the last version counts" if self._value else "mail for names not known otherwise is put off"
            self._log.warn("accounts", note=f"{self._path} cannot be read: {error.strerror}; {then}")

    def _report(self, broken: Sequence[BrokenLine]) -> None:
        for line in broken[:MAX_REPORTS]:
            self._log.warn("accounts", note=str(line))
        if len(broken) > MAX_REPORTS:
            self._log.warn("accounts", note=f"{self._path}: {len(broken) - MAX_REPORTS} more broken lines")
