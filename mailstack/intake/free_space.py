"""How much room the disk has, asked seldom."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from attrs import define

FRESH = 1.0  # seconds; 2,500 letters a second may ask


@define
class FreeSpace:
    """Octets that may still be written to the file system of ``folder``, as of a second ago at most. OSError."""

    folder: Path
    now: Callable[[], float]  #: seconds
    _octets: int = 0
    _asked: float = -FRESH

    def __call__(self) -> int:
        now = self.now()
        if now - self._asked >= FRESH:
            state = os.statvfs(self.folder)
            self._octets, self._asked = state.f_bavail * state.f_frsize, now
        return self._octets
