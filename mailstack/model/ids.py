"""Queue ids: short, in order of time, easy to read out on the telephone."""

from __future__ import annotations

from collections.abc import Callable

#: Crockford's base 32: no I, L, O, U. Its order is that of ASCII.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_PAIR_BITS = 10
_CHANCE_BITS = _PAIR_BITS
_SHIFTS = range(50, -1, -_PAIR_BITS)  # ten digits of microseconds, which come round after 35 years, then chance


class Ids:
    """Makes ids. Each is later than the one before, even if the clock is set back while we run; the last two
    characters are chance, so that a clock set back between two runs does not repeat an id."""

    def __init__(self, now: Callable[[], float], chance: Callable[[int], int]) -> None:
        """``now`` is Unix time; ``chance(n)`` is a number of n random bits."""
        self._now = now
        self._chance = chance
        self._last = 0

    def __call__(self) -> str:
        self._last = max(self._last + 1, int(self._now() * 1e6))
        number = self._last << _CHANCE_BITS | self._chance(_CHANCE_BITS)
        return "".join([_PAIRS[(number >> shift) % len(_PAIRS)] for shift in _SHIFTS])


def came(id: str, now: float) -> float | None:
    """The Unix time at which an id was made, as far as one can say: of the times that it can stand for, the one nearest
    to ``now``. None: it is no id of ours."""
    if len(id) != 2 * len(_SHIFTS) or not set(id) <= set(ALPHABET):
        return None
    digits = len(ALPHABET)
    number = 0
    for char in id:
        number = number * digits + ALPHABET.index(char)
    micros, round_ = number >> _CHANCE_BITS, 1 << 5 * len(id) - _CHANCE_BITS
    return (micros + round((now * 1e6 - micros) / round_) * round_) / 1e6
