"""The window of a destination, its death, its probes and its return."""

from __future__ import annotations

import pytest
from hypothesis import given, note, seed
from hypothesis import strategies as st

from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome
from mailstack.model.reply import Reply
from mailstack.queue.destination import START, SUSPENDED, Destination

HOST = "mx.far.test[192.0.2.1]:25"
DOWN = Delayed(Reply(451, "4.4.1", "connect to mx.far.test: Connection refused"), HOST, unreachable=True)
BUSY = Delayed(Reply(451, "4.7.1", "greylisted"), HOST)
TAKEN = Delivered(Reply(250, "2.0.0", "ok"), HOST)
NEVER = Failed(Reply(550, "5.1.1", "no such user"), HOST)
OURS = Delayed(Reply(451, "4.3.0", "the queue file cannot be read"))
REST = 30.0


def rest(failures: int) -> float:
    return REST * failures


def attempt(destination: Destination, outcome: Outcome | None, now: float = 0.0) -> bool:
    return destination.end(destination.begin(), [outcome] if outcome else [], now, rest)


def dead(now: float = 0.0, limit: int = 20) -> Destination:
    destination = Destination(limit)
    while not destination.dead:
        attempt(destination, DOWN, now)
    return destination


def test_the_first_letters_go_a_few_at_a_time() -> None:
    assert Destination(20).room(0.0) == START
    assert Destination(2).room(0.0) == 2


def test_success_widens_the_window_as_far_as_it_is_used() -> None:
    destination = Destination(20)
    attempt(destination, TAKEN)
    assert destination.window == START, "one at a time is no proof of more"
    rounds = 0
    while destination.window < 20:
        eras = [destination.begin() for _ in range(destination.room(0.0))]
        for era in eras:
            destination.end(era, [TAKEN], 0.0, rest)
        rounds += 1
    assert destination.room(0.0) == 20
    assert 15 <= rounds < 200


@pytest.mark.parametrize("answer", [BUSY, NEVER, TAKEN])
def test_any_answer_is_a_sign_of_life(answer: Outcome) -> None:
    destination = dead()
    assert attempt(destination, answer, REST)
    assert not destination.dead and destination.window == START and destination.proven


def test_what_is_our_own_fault_says_nothing() -> None:
    destination = dead()
    assert not attempt(destination, OURS, REST)
    assert destination.dead and destination.room(REST) == 1, "the next one is the probe"


def test_as_many_failures_as_it_was_given_at_a_time_are_death() -> None:
    destination = Destination(20)
    for _ in range(START - 1):
        attempt(destination, DOWN)
        assert not destination.dead
    attempt(destination, DOWN)
    assert destination.dead and destination.resting(0.0) and destination.room(0.0) == 0
    assert destination.resting(REST - 1) and not destination.resting(REST)


def test_after_its_rest_there_is_one_probe_at_a_time_and_rests_grow() -> None:
    destination = dead()
    assert destination.room(REST) == 1
    era = destination.begin()
    assert destination.room(REST) == 0 and not destination.resting(REST)
    destination.end(era, [DOWN], REST, rest)
    assert destination.resting(2 * REST) and not destination.resting(3 * REST)
    assert destination.room(3 * REST) == 1


def test_failures_of_attempts_that_began_before_it_died_make_it_no_deader() -> None:
    destination = Destination(20)
    eras = [destination.begin() for _ in range(START)]
    late = destination.begin()
    for era in eras:
        destination.end(era, [DOWN], 0.0, rest)
    destination.end(late, [DOWN], 29.0, rest)
    assert destination.failures == 1 and destination.room(REST) == 1


def test_a_late_success_is_a_sign_of_life_and_a_late_failure_after_it_is_none_of_death() -> None:
    destination = Destination(2)
    late = [destination.begin() for _ in range(2)]
    while not destination.dead:
        attempt(destination, DOWN)
    assert destination.end(late[0], [TAKEN], 1.0, rest)
    destination.end(late[1], [DOWN], 2.0, rest)
    assert not destination.dead and destination.window == 2


def test_some_answered_among_the_recipients() -> None:
    """Of one transaction; the connection broke in the middle."""
    destination = dead()
    assert destination.end(destination.begin(), [DOWN, NEVER], REST, rest)


def test_whoever_is_put_off_hears_the_last_words() -> None:
    found = dead().suspended()
    assert found.reply == Reply(451, "4.4.1", SUSPENDED + "connect to mx.far.test: Connection refused")
    assert found.relay == HOST


def test_an_administrator_wakes_it() -> None:
    destination = dead(now=100.0)
    assert destination.room(100.0) == 0
    destination.wake()
    assert destination.room(100.0) == 1 and not destination.resting(100.0)


EVENTS = st.lists(
    st.tuples(st.sampled_from(["begin", "end", "wait"]), st.sampled_from([DOWN, BUSY, TAKEN, NEVER, OURS]))
)


@seed(20260)
@given(EVENTS, st.integers(1, 30))
def test_the_window_keeps_its_bounds_whatever_happens(events: list[tuple[str, Outcome]], limit: int) -> None:
    note("seed 20260")
    destination, now, eras, probes = Destination(limit), 0.0, [], 0
    for kind, outcome in events:
        now += kind == "wait" and 1e4
        if kind == "begin" and destination.room(now):
            if destination.dead:
                assert not probes, "one probe at a time"
                probes += 1
            eras.append((destination.begin(), destination.dead))
        elif kind == "end" and eras:
            era, probe = eras.pop(0)
            was_dead, window = destination.dead, destination.window
            revived = destination.end(era, [outcome], now, rest)
            probes = 0 if probe or revived else probes
            assert revived == (was_dead and outcome in (BUSY, TAKEN, NEVER))
            if outcome is OURS:
                assert (destination.dead, destination.window) == (was_dead, window)
            if outcome is DOWN:
                assert destination.window <= window and (not destination.dead or destination.window == 1 or was_dead)
        assert 1 <= destination.window <= limit
        assert destination.in_flight == len(eras)
        assert destination.dead == (destination.failures > 0)
        assert 0 <= destination.room(now) <= (1 if destination.dead else limit)


@seed(20261)
@given(st.integers(1, 30), st.integers(0, 100), st.integers(0, 100))
def test_it_dies_of_a_windowful_of_failures_and_no_more(limit: int, successes: int, more: int) -> None:
    """So a dead host costs as many attempts as were on their way, and a letter that is alone there is always tried."""
    note("seed 20261")
    destination = Destination(limit)
    for _ in range(successes):
        eras = [destination.begin() for _ in range(destination.room(0.0))]
        for era in eras:
            destination.end(era, [TAKEN], 0.0, rest)
    eras = [destination.begin() for _ in range(destination.room(0.0))]
    for era in eras[:-1]:
        destination.end(era, [DOWN], 0.0, rest)
        assert not destination.dead
    destination.end(eras[-1], [DOWN], 0.0, rest)
    if not destination.dead:  # part of a step was left of the window
        attempt(destination, DOWN)
    assert destination.dead and destination.failures == 1
