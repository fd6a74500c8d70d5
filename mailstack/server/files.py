"""How many files and connections the system lets us have open, and which of them clients may not have."""

from __future__ import annotations

import os
import resource

from mailstack.interfaces.alarms import IAlarms
from mailstack.model.condition import FILES

ENOUGH = 65_536
#: Descriptors that no client gets: for the disk, for other servers, for the command at hand. Or half of all.
KEPT = 2_048


def raise_limit() -> int:
    """As many as we may have without being root; returns how many that are. The usual 1,024 are for programs that wait
    with select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if most <= soft:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        return soft  # macOS has a limit that it does not tell of
    return most


class Descriptors:
    """Keeps some from clients, so that however many there are, the disk can be used."""

    def __init__(self, limit: int, alarms: IAlarms) -> None:
        self._limit = limit
        self._most = limit - min(KEPT, limit // 2)
        self._alarms = alarms
        self._any = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._scarce = False

    def scarce(self) -> bool:
        """Whether so many are in use that no client may have one more."""
        used = self._lowest_free()
        if used >= self._most:
            self._scarce = True
            self._alarms.seen(FILES, f"{used} of {self._limit} are in use")
        elif self._scarce:
            self._scarce = False
            self._alarms.over(FILES)
        return self._scarce

    def given_back(self) -> None:
        """By somebody who has gone."""
        if self._scarce:
            self.scarce()

    def _lowest_free(self) -> int:
        """The system gives the lowest number that is free: so all below it are in use."""
        try:
            found = os.dup(self._any)
        except OSError:
            return self._limit
        os.close(found)
        return found

    def close(self) -> None:
        os.close(self._any)
