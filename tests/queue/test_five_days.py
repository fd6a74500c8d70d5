"""Days in a moment: the real queue on a clock that the test turns, with a remote that follows a script."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from mailstack.config.settings import DAY, HOUR, MINUTE, Queue
from mailstack.interfaces.spool import Result
from mailstack.model.letter import ASKED
from mailstack.model.outcome import Delayed
from mailstack.model.reply import Reply
from mailstack.queue.destination import SUSPENDED
from mailstack.queue.looks import Looks
from mailstack.queue.schedule import JITTER, RETURN, TRY, WARNING, Schedule
from tests.fakes import FakeTransport, at_once
from tests.queue.test_dispatch import LATER, START, TAKEN, World, keep_reports

SETTINGS = Queue()
DOWN = Delayed(Reply(451, "4.4.1", "connect to mx.far.test: timed out"), "mx.far.test[192.0.2.1]:25", unreachable=True)
FINE = 1.0  # seconds; what the clock's steps come to
LOOKS = Looks(poll=30.0)  # a second has too many rounds for days


class Watched(FakeTransport):
    """Notes when it was asked for whom."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.times: list[tuple[float, str]] = []

    def _deliver(self, letter: Any, pending: Any) -> Any:
        self.times.append((self.world.now() - START, letter.id))
        return super()._deliver(letter, pending)

    def of(self, id: str) -> list[float]:
        return [at for at, each in self.times if each == id]


class Days(World):
    """``now`` may be set to another time than the clock that wakes us."""

    remote: Watched
    looks = LOOKS

    def __init__(self, settings: Queue = SETTINGS) -> None:
        self.set_by = 0.0
        self.settings = settings
        self.remote = Watched(self)
        super().__init__(self.remote)

    def now(self) -> float:
        return super().now() + self.set_by

    def restart(self) -> None:
        self.dispatcher.stopService()
        self.dispatcher = self.build()
        self.dispatcher.startService()
        self.turn()

    def pass_time(self, seconds: float) -> None:
        """From call to call; the polls are many."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            following = min((call.getTime() for call in self.clock.getDelayedCalls()), default=end)
            self.clock.advance(max(0.0, min(following, end) - self.clock.seconds()))
            self.dispatcher.meanwhile()
            self.clock.advance(0)

    def asleep(self, seconds: float) -> None:
        """The laptop is closed: the clock on the wall goes on, ours stands."""
        self.set_by += seconds


@pytest.fixture
def days() -> Days:
    return Days()


def jitter(seed: int = 1) -> Any:
    rng = Random(seed)
    return lambda: 1 + JITTER * (2 * rng.random() - 1)


def test_five_days_of_a_host_that_refuses_for_now(days: Days) -> None:
    """Each try, each warning and the return to the second: as the shipped settings say, and as the dice have fallen."""
    kept = keep_reports(days)
    days.remote.outcomes = {"x@one.test": [LATER]}
    days.accept("L1", "x@one.test")
    days.pass_time(6 * DAY)

    expected, factor = [0.0], jitter()
    for step in (1, 5, 15, 30, 60, 120, *[240] * 100):
        expected.append(expected[-1] + step * MINUTE * factor())
        if expected[-1] >= 5 * DAY:
            break
    expected[-1] = 5 * DAY
    assert days.remote.of("L1") == pytest.approx(expected, abs=FINE)

    due = [next(at for at in expected if at >= age) for age in (15 * MINUTE, 4 * HOUR, DAY)]
    told = [(email_time(report), action(report)) for id, report in kept.items() if id != "L1"]
    assert [kind for _, kind in told] == ["delayed", "delayed", "delayed", "failed"]
    assert [at for at, _ in told] == pytest.approx([*due, 5 * DAY], abs=2 * FINE)
    assert not days.spool.stored and not days.log.failures and not days.log.warnings


def test_the_forecast_is_what_happens(days: Days) -> None:
    """With no jitter in it, it is right but for the jitter; kinds and their number are."""
    kept = keep_reports(days)
    days.remote.outcomes = {"x@one.test": [LATER]}
    days.accept("L1", "x@one.test")
    days.pass_time(6 * DAY)
    forecast = list(Schedule(SETTINGS).forecast(0.0, False))
    tries = [at for at, kind in forecast if kind == TRY]
    assert abs(len(days.remote.times) - len(tries)) <= 3
    for ours, theirs in zip(days.remote.of("L1"), tries, strict=False):
        assert ours == pytest.approx(theirs, rel=JITTER, abs=FINE)
    assert len(kept) - 1 == sum(kind in (WARNING, RETURN) for _, kind in forecast)


def test_five_days_of_a_host_that_is_dead(days: Days) -> None:
    """A letter that is alone there is tried on its own schedule, as if its destination had none."""
    days.remote.outcomes = {"x@one.test": [DOWN]}
    days.accept("L1", "x@one.test")
    days.pass_time(6 * DAY)
    dead = days.remote.of("L1")
    other = Days()
    other.remote.outcomes = {"x@one.test": [LATER]}
    other.accept("L1", "x@one.test")
    other.pass_time(6 * DAY)
    assert dead == pytest.approx(other.remote.of("L1"), abs=FINE)
    assert not any(SUSPENDED in str(fields.get("status")) for _, fields in days.log.events)


def test_a_bounce_lives_a_day_and_nobody_hears_of_it(days: Days) -> None:
    kept = keep_reports(days)
    days.remote.outcomes = {"x@one.test": [LATER]}
    days.accept("L1", "x@one.test", sender="")
    days.pass_time(2 * DAY)
    assert days.remote.of("L1")[-1] == pytest.approx(DAY, abs=FINE)
    assert list(kept) == ["L1"] and not days.spool.stored


def test_a_letter_that_its_sender_holds_back_for_days(days: Days) -> None:
    days.accept("L1", "x@one.test", not_before=days.now() + 3 * DAY)
    days.restart()
    days.pass_time(4 * DAY)
    assert days.remote.of("L1") == pytest.approx([3 * DAY], abs=FINE)


# ---- Restarts, sleep, and clocks that are set


def crowd(days: Days, count: int = 50) -> None:
    """Letters for as many hosts, which have been refused for a day; of each host one."""
    for number in range(count):
        days.remote.outcomes[f"x@{number}.test"] = [LATER]
        days.accept(f"L{number:03}", f"x@{number}.test")
    days.pass_time(DAY)
    days.remote.times.clear()


def tries(days: Days, count: int = 50) -> list[int]:
    return [len(days.remote.of(f"L{number:03}")) for number in range(count)]


def test_restarts_change_nothing(days: Days) -> None:
    crowd(days, 5)
    for _ in range(40):
        days.pass_time(HOUR)
        days.restart()
    assert set(tries(days, 5)) <= {9, 10, 11}


@pytest.mark.parametrize("ahead", [2 * HOUR, 3 * DAY, 400 * DAY])
def test_a_clock_that_is_set_forward_brings_one_attempt_and_no_stall(days: Days, ahead: float) -> None:
    """Also for a laptop that was closed for so long. The letter of which the lifetime has ended meanwhile has another
    try, later: for the network may not have been there."""
    crowd(days)
    days.asleep(ahead)
    days.pass_time(2 * MINUTE)
    assert max(tries(days)) == 1
    assert sum(tries(days)) >= 50 * min(1.0, ahead / (5 * HOUR))
    assert len(days.spool.stored) == 50, "nothing has come back"
    days.pass_time(5 * HOUR)
    assert min(tries(days)) >= (1 if ahead < 5 * HOUR else 2)
    assert len(days.spool.stored) == (50 if ahead <= 3 * DAY else 0)


@pytest.mark.parametrize("back", [30 * MINUTE, 6 * HOUR, 3 * DAY, 400 * DAY])
def test_a_clock_that_is_set_back_brings_no_stall(days: Days, back: float) -> None:
    crowd(days)
    days.set_by -= back
    days.pass_time(5 * HOUR)
    assert min(tries(days)) >= 1 and max(tries(days)) <= 3


def test_a_clock_that_goes_back_and_forth_wears_nobody_out(days: Days) -> None:
    crowd(days)
    for _ in range(10):
        days.set_by -= 12 * HOUR
        days.pass_time(10 * MINUTE)
        days.set_by += 12 * HOUR
        days.pass_time(10 * MINUTE)
    assert max(tries(days)) <= 25, "at most one for each jump, and their own"


def test_letters_that_came_while_the_clock_was_ahead_live_no_longer(days: Days) -> None:
    """For a while it was a year ahead. What came then is neither held for a year, nor tried for a year."""
    days.set_by = 365 * DAY
    days.pass_time(2)
    days.remote.outcomes = {"x@one.test": [LATER]}
    days.accept("L1", "x@one.test")
    days.accept("L2", "x@two.test", wake=False)
    days.accept("L3", "x@three.test", not_before=days.now() + HOUR)
    days.set_by = 0.0
    days.restart()
    days.pass_time(MINUTE)
    assert days.remote.of("L2") and not days.remote.of("L3")
    days.pass_time(HOUR)
    assert len(days.remote.of("L3")) == 1
    days.pass_time(6 * DAY)
    assert not days.spool.stored
    assert any("the clock was ahead" in str(fields["what"]) for _, fields in days.log.warnings)


def test_a_time_that_no_pause_could_have_made_is_not_believed(days: Days) -> None:
    days.accept("L1", "x@one.test", wake=False)
    far = Result(0, "deferred", LATER.reply, next_attempt=days.now() + 30 * DAY)
    at_once(days.spool.settle({"L1": [far]}))
    days.restart()
    days.pass_time(1)
    assert len(days.remote.of("L1")) == 1


# ---- A destination that dies


def test_a_dead_destination_is_probed_and_what_comes_for_it_is_put_off(days: Days) -> None:
    """A letter a minute for a host that does not answer for a day: it is asked now and then, not by each of them."""
    for number in range(300):
        days.remote.outcomes[f"x{number}@one.test"] = [DOWN]
        days.accept(f"L{number:03}", f"x{number}@one.test")
        days.pass_time(MINUTE)
    times = [at for at, _ in days.remote.times]
    late = [at for at in times if at > 2 * HOUR]
    gaps = [after - before for before, after in pairwise(late)]
    assert min(gaps) >= 10 * MINUTE - FINE
    assert max(gaps) <= 12 * MINUTE
    put_off = [fields for _, fields in days.log.events if SUSPENDED in str(fields.get("status"))]
    assert len(put_off) > 1000
    assert str(put_off[0]["status"]) == f"deferred ({SUSPENDED}connect to mx.far.test: timed out)"
    assert not days.log.failures


def test_what_was_put_off_is_warned_of_and_returned_in_its_time(days: Days) -> None:
    kept = keep_reports(days)
    for number in range(20):
        days.remote.outcomes[f"x{number}@one.test"] = [DOWN]
        days.accept(f"L{number:03}", f"x{number}@one.test")
    days.pass_time(6 * DAY)
    actions = [action(report) for id, report in kept.items() if not id.startswith("L")]
    assert (actions.count("delayed"), actions.count("failed")) == (60, 20)
    assert not days.spool.stored


def test_when_it_comes_back_all_goes_with_a_growing_window(days: Days) -> None:
    """Long before each letter's own time: what was put off waits for no step of four hours."""
    for number in range(100):
        days.remote.outcomes[f"x{number}@one.test"] = [DOWN]
        days.accept(f"L{number:03}", f"x{number}@one.test")
    days.pass_time(20 * HOUR)
    days.remote.outcomes.clear()
    days.remote.times.clear()
    back = days.now()
    while not days.remote.times:
        days.pass_time(1)
    assert days.now() - back < HOUR
    days.pass_time(MINUTE)
    assert len(days.remote.delivered) == 100 and not days.spool.stored


def test_what_was_refused_for_itself_is_not_hastened(days: Days) -> None:
    """The probe gets a 4xx: the host is alive, and the letter follows its own schedule."""
    days.remote.outcomes = {"x@one.test": [*[DOWN] * 8, LATER]}
    days.accept("L1", "x@one.test")
    days.pass_time(3 * DAY)
    gaps = [after - before for before, after in pairwise(days.remote.of("L1"))]
    assert min(gaps[5:]) > 2 * HOUR * (1 - JITTER) - FINE


def ask(days: Days, id: str) -> None:
    """``queue retry``."""
    days.spool.stored[id].rows[0].next_attempt = ASKED
    days.spool.touched = True


def test_an_administrator_who_asks_is_not_put_off(days: Days) -> None:
    """One probe for one call, and it is this letter; all others wait for what comes of it."""
    for number in range(30):
        days.remote.outcomes[f"x{number}@one.test"] = [DOWN]
        days.accept(f"L{number:03}", f"x{number}@one.test")
    days.pass_time(HOUR)
    days.remote.times.clear()
    ask(days, "L017")
    days.pass_time(2 * LOOKS.poll)
    assert [id for _, id in days.remote.times] == ["L017"]
    for number in range(30):
        ask(days, f"L{number:03}")
    days.pass_time(2 * LOOKS.poll)
    assert len(days.remote.times) == 2
    days.remote.outcomes.clear()
    ask(days, "L003")
    days.pass_time(2 * LOOKS.poll)
    assert len(days.remote.delivered) == 30


def test_a_letter_alone_that_is_taken_at_last(days: Days) -> None:
    days.remote.outcomes = {"x@one.test": [*[DOWN] * 12, TAKEN]}
    days.accept("L1", "x@one.test")
    days.pass_time(3 * DAY)
    assert len(days.remote.times) == 13 and not days.spool.stored


def action(report: Any) -> str:
    (line,) = [line for line in report.as_string().splitlines() if line.startswith("Action: ")]
    return str(line.removeprefix("Action: "))


def email_time(report: Any) -> float:
    return parsedate_to_datetime(report["Date"]).timestamp() - START
