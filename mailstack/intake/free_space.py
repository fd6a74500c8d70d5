"""How much room the disk has, asked seldom."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from attrs import define

from mailstack.config.limits import FEW_INODES

FRESH = 1.0  # seconds; 2,500 letters a second may ask


@define
class FreeSpace:
    """Octets that may still be written to the file system of ``folder``, as of a second ago at most; none where there
    are no inodes for new files. OSError."""

    folder: Path
    now: Callable[[], float]  #: seconds
    _octets: int = 0
    _asked: float = -FRESH

    def __call__(self) -> int:
        now = self.now()
        if now - self._asked >= FRESH:
            state = os.statvfs(self.folder)
            octets = state.f_bavail * state.f_frsize
            self._octets = 0 if state.f_files and state.f_favail < FEW_INODES else octets
            self._asked = now
        return self._octets
