"""Other processes take their time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 20.0  # seconds; much more than anything takes, so that a busy machine fails no test


def eventually(what: Callable[[], T], seconds: float = PATIENCE) -> T:
    """The first true value of ``what``; the last one, whatever it is, when the time is up."""
    end = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < end:
        time.sleep(0.03)
    return found
