"""How many files and connections the system lets us have open."""

from __future__ import annotations

import resource

ENOUGH = 65_536


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
