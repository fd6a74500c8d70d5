"""Whose clock is wrong, by the times that several hosts have written one after the other. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from attrs import frozen


@frozen
class Skew:
    """A clock that is wrong by at least ``seconds``. With ``other`` it may be either that of ``place``, which then is
    ahead, or that of ``other``, which then is behind."""

    place: int
    seconds: int
    ahead: bool
    other: int | None = None


@frozen
class Runs:
    """The heaviest runs of times that never go back: whose place is in one of them, and whose in all. The clocks of
    the latter are right as far as anybody can tell, those of the former may be."""

    some: frozenset[int]
    all: frozenset[int]


def skews(times: Sequence[int | None], found: Runs) -> Iterator[Skew]:
    """In the order of the places. ``times`` as they were given to :func:`runs`."""
    known = [place for place, time in enumerate(times) if time is not None]
    for place in known:
        if place not in found.some:
            yield _wrong(place, times, found)
    kept = [place for place in known if place in found.some]
    for before, after in pairwise(kept):
        difference = _time(times, before) - _time(times, after)
        if difference > 0:
            yield Skew(before, difference, True, after)


def _wrong(place: int, times: Sequence[int | None], found: Runs) -> Skew:
    """Beside whom it cannot be right: those that surely are, or else any of those that may be."""
    time = _time(times, place)
    for right in (found.all, found.some):
        behind = max((_time(times, other) - time for other in right if other < place), default=0)
        ahead = max((time - _time(times, other) for other in right if other > place), default=0)
        if behind > 0 or ahead > 0:
            break
    return Skew(place, max(behind, ahead), ahead > behind)


def _time(times: Sequence[int | None], place: int) -> int:
    return times[place] or 0


def runs(times: Sequence[int | None], weights: Sequence[int]) -> Runs:
    """``times`` from the oldest host to the newest, None where one says none; who is known to be right has more weight.
    The work grows with the square of their number."""
    known = [place for place, time in enumerate(times) if time is not None]
    values = [_time(times, place) for place in known]
    heavy = [weights[place] for place in known]
    before = _ending(values, heavy)
    # The same from the other end, with time running backwards.
    after = _ending([-value for value in reversed(values)], heavy[::-1])[::-1]
    most = max((weight for weight, _ in before), default=0)
    number = sum(count for weight, count in before if weight == most)
    some, everywhere = set(), set()
    for place, (left, ways), (right, further), own in zip(known, before, after, heavy, strict=True):
        if left + right - own == most:
            some.add(place)
            if ways * further == number:
                everywhere.add(place)
    return Runs(frozenset(some), frozenset(everywhere))


def _ending(values: Sequence[int], weights: Sequence[int]) -> list[tuple[int, int]]:
    """For each place the weight of the heaviest run that ends there, and how many such there are."""
    found: list[tuple[int, int]] = []
    for place, value in enumerate(values):
        fitting = [found[other] for other in range(place) if values[other] <= value]
        best = max((weight for weight, _ in fitting), default=0)
        ways = sum(count for weight, count in fitting if weight == best) if best else 1
        found.append((best + weights[place], ways))
    return found
