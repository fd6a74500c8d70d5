"""What credentials were a moment ago, right or wrong: so that programs which ask every minute cost little."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

RIGHT = 300.0  # seconds for which a right password needs no check
WRONG = 3600.0  # seconds after which a wrong one counts again, if it was not tried since: programs ask more often
MAX_ENTRIES = 10_000


class Remembered:
    """Facts as tuples of text; holds keyed hashes only. ``secret`` is random and of this process; ``now`` and
    ``lifetime`` in seconds. Threads may share it."""

    def __init__(self, secret: bytes, now: Callable[[], float], lifetime: float) -> None:
        self._secret = secret
        self._now = now
        self._lifetime = lifetime
        self._lock = Lock()
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def __contains__(self, fact: tuple[str, ...]) -> bool:
        return self._until.get(self._mark(fact), 0.0) > self._now()

    def add(self, fact: tuple[str, ...]) -> bool:
        """Remember it from now on; False: that was so already."""
        mark, now = self._mark(fact), self._now()
        with self._lock:
            new = self._until.get(mark, 0.0) <= now
            self._until[mark] = now + self._lifetime
            self._until.move_to_end(mark)
            if len(self._until) > MAX_ENTRIES:
                self._until.popitem(last=False)
            return new

    def _mark(self, fact: tuple[str, ...]) -> bytes:
        # One text for each tuple, whatever stands in it.
        return hmac.digest(self._secret, ascii(fact).encode("ascii"), "sha256")
