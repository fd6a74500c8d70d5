"""The pauses between attempts, when to give up, when to warn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.config.settings import DAY, HOUR, MINUTE, Queue, Route
from mailstack.queue.schedule import JITTER, REST, RETURN, TRY, WARNING, Schedule

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


# ---- Routes


def test_a_route_has_its_own_pauses_and_lifetime() -> None:
    own = SCHEDULE.for_route(Route("mx", retry=(10.0,), lifetime=1800.0))
    assert own.pause(5, 0.5) == 10.0
    assert own.lifetime(False) == 1800.0
    assert own.lifetime(True) == 1800.0, "a bounce is not kept for longer than other mail"
    assert own.warnings(0.0, 900.0) == 1


def test_a_route_without_options_changes_nothing() -> None:
    assert SCHEDULE.for_route(Route("mx")) == SCHEDULE


def test_a_long_lifetime_of_a_route_is_not_for_bounces() -> None:
    assert SCHEDULE.for_route(Route("fetch", lifetime=30 * DAY)).lifetime(True) == 3600.0


# ---- Attempts that were slept through


def test_an_attempt_that_was_slept_through_is_not_the_last() -> None:
    """The letter was to be tried at 5000; the laptop was opened after a week."""
    week = 7 * DAY
    assert SCHEDULE.next_attempt(0.0, False, 2, week, 0.5, planned=5000.0) == week + 300.0
    assert SCHEDULE.next_attempt(0.0, False, 3, week + 310.0, 0.5, planned=week + 300.0) is None


def test_an_attempt_that_is_a_little_late_is_the_last() -> None:
    assert SCHEDULE.next_attempt(0.0, False, 9, 86500.0, 0.5, planned=86400.0) is None


# ---- Destinations


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=8), st.integers(1, 20), st.integers(0, 20))
def test_a_rest_is_over_before_a_letter_comes_back(steps: list[float], failures: int, older: int) -> None:
    """A letter has failed at least as often as its destination has in its time."""
    schedule = Schedule(Queue(retry=tuple(steps)))
    rest = schedule.rest(failures)
    assert rest <= REST
    assert rest < schedule.pause(failures + older, 0.0)


def test_rests_grow_as_pauses_do() -> None:
    assert [Schedule(Queue()).rest(failures) for failures in range(1, 6)] == [30.0, 150.0, 450.0, 600.0, 600.0]


# ---- The forecast


def test_the_forecast_of_a_letter() -> None:
    found = list(SCHEDULE.forecast(1000.0, False))
    assert found[:5] == [(1000.0, TRY), (1060.0, TRY), (1360.0, TRY), (2260.0, TRY), (2260.0, WARNING)]
    assert [kind for _, kind in found].count(WARNING) == 2
    assert found[-2:] == [(87400.0, TRY), (87400.0, RETURN)]


def test_the_forecast_of_a_letter_on_its_way() -> None:
    found = list(SCHEDULE.forecast(1000.0, False, attempts=90, following=85000.0, warned=2))
    assert found == [
        (85000.0, TRY),
        (85900.0, TRY),
        (86800.0, TRY),
        (87400.0, TRY),
        (87400.0, RETURN),
    ]


def test_the_forecast_of_a_bounce_has_no_warnings() -> None:
    assert [kind for _, kind in SCHEDULE.forecast(0.0, True)] == [TRY] * 7 + [RETURN]


def test_the_forecast_of_mail_that_is_fetched() -> None:
    """A look on the longest step, and no warning."""
    found = list(SCHEDULE.forecast(0.0, False, waits=True))
    assert found[:2] == [(0.0, TRY), (900.0, TRY)] and WARNING not in {kind for _, kind in found}


def test_the_forecast_of_the_shipped_settings() -> None:
    found = list(Schedule(Queue()).forecast(0.0, False))
    times = [at for at, kind in found if kind == TRY]
    assert times[:8] == [0, MINUTE, 6 * MINUTE, 21 * MINUTE, 51 * MINUTE, 111 * MINUTE, 231 * MINUTE, 471 * MINUTE]
    assert times[-1] == 5 * DAY and found[-1] == (5 * DAY, RETURN)
    assert [at for at, kind in found if kind == WARNING] == [21 * MINUTE, 471 * MINUTE, 471 * MINUTE + 5 * 4 * HOUR]
