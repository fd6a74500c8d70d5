"""How soon somebody may log in again: LOGIN-DELAY, RFC 2449 §6.5."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from time import monotonic

MAX_KEPT = 10_000  # log-ins that are remembered, some 200 octets each


class LoginDelay:
    """Who has logged in, and from where, counts as one. So a user's telephone does not shut out the same user's desk,
    and a program that keeps to the interval is never refused.

    The delay begins with the positive answer; what was refused does not count, for whatever reason it was.
    """

    def __init__(self, seconds: int = 0, now: Callable[[], float] = monotonic) -> None:
        """``seconds`` 0: no delay."""
        self._seconds = seconds
        self._now = now
        self._free: OrderedDict[tuple[str, str], float] = OrderedDict()  # when they may come again, the soonest first

    def left(self, name: str, client: str) -> int:
        """Whole seconds to wait; 0: none. ``name`` is the account, in one form, ``client`` an address."""
        return max(0, ceil(self._free.get((name, client), 0.0) - self._now())) if self._seconds else 0

    def begin(self, name: str, client: str) -> None:
        """They have logged in."""
        if not self._seconds:
            return
        now = self._now()
        self._free.pop((name, client), None)
        self._free[name, client] = now + self._seconds
        while len(self._free) > MAX_KEPT or next(iter(self._free.values())) <= now:
            self._free.popitem(last=False)
