"""The pauses between attempts, when to give up, when to warn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.config.settings import Queue
from mailstack.queue.schedule import JITTER, Schedule

SCHEDULE = Schedule(
    Queue(retry=(60.0, 300.0, 900.0), lifetime=86400.0, bounce_lifetime=3600.0, delay_warning=(900.0, 14400.0))
)


@pytest.mark.parametrize(("attempt", "pause"), [(1, 60.0), (2, 300.0), (3, 900.0), (4, 900.0), (1000, 900.0)])
def test_the_steps_are_taken_in_turn_and_the_last_repeats(attempt: int, pause: float) -> None:
    assert SCHEDULE.pause(attempt, 0.5) == pytest.approx(pause)


@given(st.integers(1, 50), st.floats(0, 1))
def test_chance_moves_a_pause_by_a_tenth_at_most(attempt: int, chance: float) -> None:
    step = SCHEDULE.pause(attempt, 0.5)
    assert step * (1 - JITTER) * 0.999 <= SCHEDULE.pause(attempt, chance) <= step * (1 + JITTER) * 1.001


def test_a_letter_is_given_up_when_its_lifetime_is_over() -> None:
    assert SCHEDULE.next_attempt(0.0, False, 5, 86400.0, 0.5) is None
    assert SCHEDULE.next_attempt(0.0, False, 5, 86399.0, 0.5) is not None


def test_the_last_attempt_is_made_when_the_lifetime_ends() -> None:
    assert SCHEDULE.next_attempt(0.0, False, 50, 86000.0, 0.5) == 86400.0


def test_the_slowest_attempt_has_the_longest_pause_after_it() -> None:
    assert SCHEDULE.slowest == 3
    assert Schedule(Queue(retry=(60.0, 900.0, 300.0))).slowest == 2


def test_bounces_have_a_lifetime_of_their_own() -> None:
    assert SCHEDULE.next_attempt(0.0, True, 5, 3600.0, 0.5) is None
    assert SCHEDULE.next_attempt(0.0, False, 5, 3600.0, 0.5) == 4500.0


def test_a_clock_set_back_does_not_bring_attempts_earlier_than_a_pause() -> None:
    assert SCHEDULE.next_attempt(5000.0, False, 1, 1000.0, 0.5) == 1060.0


@pytest.mark.parametrize(("age", "count"), [(0, 0), (899, 0), (900, 1), (14399, 1), (14400, 2), (1e9, 2)])
def test_warnings_are_earned_with_age(age: float, count: int) -> None:
    assert SCHEDULE.warnings(1000.0, 1000.0 + age) == count
