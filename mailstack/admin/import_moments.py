"""Times for the names of files, so that letters keep their order among each other and among ours."""

from __future__ import annotations


class Moments:
    """Whole seconds, each later than the one before, and none in the future.

    A letter has the time at which it came, where it is known and the order allows it. Its name begins with that, and so
    letters are sorted by it.
    """

    def __init__(self, now: float, number: int, last: int = 0) -> None:
        """``number``: how many will be asked for; ``last``: what the letter before the first one has."""
        # There must be a second for each of the others before now.
        self._latest = max(int(now) - number, last)
        self._last = last

    def next(self, came: int | None) -> int:
        """``came``: Unix time, None: unknown."""
        self._latest += 1
        if not came:
            came = self._last + 1 if self._last else self._latest
        self._last = max(self._last + 1, min(came, self._latest))
        return self._last
