"""Queue ids: short, in order of time, easy to read out on the telephone."""

from __future__ import annotations

from collections.abc import Callable

#: Crockford's base 32: no I, L, O, U. Its order is that of ASCII.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME_DIGITS = 10  # microseconds; comes round after 35 years
_CHANCE_DIGITS = 2


def _digits(number: int, count: int) -> str:
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * (count - 1), -1, -5))


class Ids:
    """Makes ids. Each is later than the one before, even if the clock is set back while we run; the last two
    characters are chance, so that a clock set back between two runs does not repeat an id."""

    def __init__(self, now: Callable[[], float], chance: Callable[[int], int]) -> None:
        """``now`` is Unix time; ``chance(n)`` is a number from 0 to n - 1."""
        self._now = now
        self._chance = chance
        self._last = 0

    def __call__(self) -> str:
        self._last = max(self._last + 1, int(self._now() * 1e6))
        return _digits(self._last, _TIME_DIGITS) + _digits(self._chance(32**_CHANCE_DIGITS), _CHANCE_DIGITS)
