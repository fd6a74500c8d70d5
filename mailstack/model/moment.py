"""Moments as RFC 3339 writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_DATE_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}):(\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})",
    re.IGNORECASE | re.ASCII,
)


def written(moment: float) -> str:
    """A Unix time, in UTC and whole seconds: ``2026-11-23T15:53:18Z``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def precise(moment: float) -> str:
    """In UTC and whole milliseconds: ``2026-11-23T15:53:18.250Z``."""
    return f"{_second(int(moment))}.{int(moment % 1 * 1000):03}Z"


@lru_cache(maxsize=1)
def _second(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().removesuffix("+00:00")


def read(text: str) -> float:
    """A date-time (§5.6) as Unix time; it must say how far from UTC it is. ValueError."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a date-time as in RFC 3339")
    day, minute, second, fraction, offset = found.groups()
    # §5.7: a leap second is number 60. Unix time has none: it is the one after 59.
    leap = second == "60"
    zone = "+00:00" if offset in "Zz" else offset
    moment = datetime.fromisoformat(f"{day}T{minute}:{'59' if leap else second}{zone}")
    return moment.timestamp() + leap + float(f"0.{fraction or 0}")
