"""Moments and spans of time, for people."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

#: The two largest units that a span has are told: so what is left out is small beside it.
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_EXACT_FROM = 10  # of the larger unit the smaller one is not told any more


def wall_clock(at: float) -> str:
    """In local time, with its zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def span(seconds: float) -> str:
    """``5 d``, ``3 h 20 min``, ``0 s``."""
    left = int(abs(seconds))
    for (unit, size), (smaller, part) in pairwise(_UNITS):
        if left >= size:
            whole, rest = divmod(left, size)
            detail = f" {rest // part} {smaller}" if whole < _EXACT_FROM and rest >= part else ""
            return f"{whole} {unit}{detail}"
    return f"{left} s"


def short_span(seconds: float) -> str:
    """The largest unit alone."""
    words = span(seconds).split()
    return " ".join(words[:2])


def relative(at: float, now: float) -> str:
    """``in 3 h``, ``5 min ago``, ``now``."""
    away = at - now
    if abs(away) < 1:
        return "now"
    return f"in {span(away)}" if away > 0 else f"{span(away)} ago"


def when(at: float, now: float) -> str:
    return f"{wall_clock(at)}, {relative(at, now)}"
