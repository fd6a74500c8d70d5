"""Return addresses: with which key we sign them, and for how long they lead back."""

from __future__ import annotations

from math import ceil
from pathlib import Path

from mailstack.config.settings import DAY, Settings
from mailstack.protocol.srs import MAX_AGE, Srs

#: Days after our last attempt, in which the next server may try, give up and tell us; 21 as with other forwarders.
GRACE = 21


def key_file(data: Path) -> Path:
    """Not below ``state``, which may be lost: bounces that are on their way would be refused."""
    return data / "srs.key"


def returns(settings: Settings, key: bytes) -> Srs | None:
    """None: ``[accounts] srs`` is off."""
    if not settings.accounts.srs:
        return None
    lifetimes = [settings.queue.lifetime, *(route.lifetime or 0.0 for _, route in settings.routes)]
    return Srs(key, min(ceil(max(lifetimes) / DAY) + GRACE, MAX_AGE))
