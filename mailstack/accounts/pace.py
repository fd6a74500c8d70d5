"""How long a wrong answer takes: as long for every account, whatever its scheme costs, and for none."""

from __future__ import annotations

from collections.abc import Callable

LONGEST = 2.0  # seconds that others wait for the sake of a slow scheme; argon2id takes 0.1, SHA512-CRYPT 0.3


class Pace:
    """``now`` in seconds; ``dummy`` is the check for an account that does not exist. Threads may share it.

    Every "no" is told when the slowest check of this process would have been done, but for what takes longer than
    LONGEST. So a slower scheme than all before shows once, and the dummy never: it is measured first.
    """

    def __init__(self, now: Callable[[], float], dummy: Callable[[], bool]) -> None:
        self._now = now
        self._dummy: Callable[[], bool] | None = dummy
        self._slowest = 0.0  # seconds, LONGEST at most

    def timed(self, check: Callable[[], bool]) -> tuple[bool, float]:
        """What the check says, and the moment at which a "no" may be told. MemoryError as of the checks."""
        if self._dummy is not None:
            self._measured(self._dummy)
            self._dummy = None
        begun = self._now()
        right = self._measured(check)
        return right, begun + self._slowest

    def _measured(self, check: Callable[[], bool]) -> bool:
        begun = self._now()
        right = check()
        self._slowest = max(self._slowest, min(self._now() - begun, LONGEST))
        return right
