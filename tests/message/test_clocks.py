"""Whose clock is wrong."""

from __future__ import annotations

import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.clocks import Runs, Skew, runs, skews


def found(*times: int | None, weights: tuple[int, ...] | None = None) -> list[Skew]:
    return list(skews(times, runs(times, weights or (1,) * len(times))))


def test_times_that_go_on() -> None:
    assert found() == found(5) == found(None, None) == found(1, None, 1, 2, 9) == []


def test_one_against_the_others() -> None:
    assert found(10, 11, 90, 12, 13) == [Skew(2, 78, ahead=True)]
    assert found(10, 11, 3, 12, 13) == [Skew(2, 8, ahead=False)]
    assert found(50, 11, None, 12) == [Skew(0, 39, ahead=True)]
    assert found(10, 12, 2) == [Skew(2, 10, ahead=False)]


def test_at_least() -> None:
    """An hour behind shows as far as the pauses do not hide it."""
    assert found(0, 3600, 300, 4000) == [Skew(1, 3300, True, 2)]


def test_one_against_one() -> None:
    assert found(10, 7) == [Skew(0, 3, True, 1)]


def test_known_clock_against_others() -> None:
    assert found(10, 7, weights=(1, 5)) == [Skew(0, 3, ahead=True)]
    assert found(10, 11, 12, 7, weights=(1, 1, 1, 5)) == [Skew(0, 3, True), Skew(1, 4, True), Skew(2, 5, True)]


def test_two_of_three() -> None:
    assert runs((10, 5, 12), (1, 1, 1)) == Runs(frozenset({0, 1, 2}), frozenset({2}))
    assert found(10, 5, 12, 3) == [Skew(3, 9, ahead=False), Skew(0, 5, True, 1)]


@given(st.lists(st.tuples(st.integers(-9, 9) | st.none(), st.integers(1, 3)), max_size=12))
def test_every_step_back_is_somebodys_fault(pairs: list[tuple[int | None, int]]) -> None:
    times = [when for when, _ in pairs]
    right = runs(times, [weight for _, weight in pairs])
    sure = [when for place, when in enumerate(times) if when is not None and place in right.all]
    assert sure == sorted(sure)
    assert right.all <= right.some
    blamed = {place for skew in skews(times, right) for place in (skew.place, skew.other)}
    assert all(skew.seconds > 0 for skew in skews(times, right))
    known = [(place, when) for place, when in enumerate(times) if when is not None]
    assert all(a <= b or {one, other} & blamed for (one, a), (other, b) in pairwise(known))


def test_hundred_clocks_take_no_time() -> None:
    began = time.process_time()
    found(*(place * 37 % 100 for place in range(100)))
    assert time.process_time() - began < 1
