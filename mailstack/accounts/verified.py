"""Credentials that were right a moment ago: so that programs which ask every minute do not cost 200 ms each time."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable

from mailstack.accounts.users import Account

LIFETIME = 300.0  # seconds
MAX_ENTRIES = 10_000


class Verified:
    """Holds keyed hashes only. ``secret`` is random and of this process; ``now`` in seconds."""

    def __init__(self, secret: bytes, now: Callable[[], float]) -> None:
        self._secret = secret
        self._now = now
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def __contains__(self, credentials: tuple[Account, str]) -> bool:
        return self._until.get(self._mark(*credentials), 0.0) > self._now()

    def add(self, account: Account, password: str) -> None:
        mark = self._mark(account, password)
        self._until[mark] = self._now() + LIFETIME
        self._until.move_to_end(mark)
        if len(self._until) > MAX_ENTRIES:
            self._until.popitem(last=False)

    def _mark(self, account: Account, password: str) -> bytes:
        # The user's whole line is part of it: any change, and this counts no more.
        parts = (account.text, password)
        octets = b"\0".join(part.encode("utf-8", "surrogateescape") for part in parts)
        return hmac.digest(self._secret, octets, "sha256")
