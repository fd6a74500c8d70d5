"""How much one account may send in an hour."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.intake.rate import MAX_CLIENTS, Charge, SendingRate, SendingRates
from mailstack.model.address import Address

ALICE, BOB = Address("alice", "office.test"), Address("bob", "office.test")
NOW, HOUR = 1_000_000_020.0, 3600.0  # a full minute


def taken(charge: Charge, number: int, now: float, client: str = "192.0.2.7") -> int:
    """How many of so many recipients there was room for."""
    return sum(charge.take(client, now) for _ in range(number))


def test_limit() -> None:
    rates = SendingRates(10)
    assert taken(rates.charge(ALICE), 15, NOW) == 10
    assert taken(rates.charge(BOB), 1, NOW) == 1


def test_what_is_sent_in_parallel_counts_together() -> None:
    """Also before any of it is accepted."""
    rates = SendingRates(10)
    first, second = rates.charge(ALICE), rates.charge(ALICE)
    assert taken(first, 6, NOW) == 6
    assert taken(second, 6, NOW) == 4


def test_message_that_is_not_accepted_does_not_count() -> None:
    rates = SendingRates(10)
    refused, accepted = rates.charge(ALICE), rates.charge(ALICE)
    taken(refused, 6, NOW)
    taken(accepted, 4, NOW)
    accepted.keep()
    for charge in (refused, refused, accepted):
        charge.give_back()
    assert taken(rates.charge(ALICE), 10, NOW) == 6


def test_room_comes_back_as_the_hour_moves_on() -> None:
    rates = SendingRates(10)
    assert taken(rates.charge(ALICE), 7, NOW) == 7
    assert taken(rates.charge(ALICE), 7, NOW + 1800) == 3
    assert taken(rates.charge(ALICE), 1, NOW + HOUR) == 0
    assert taken(rates.charge(ALICE), 10, NOW + HOUR + 60) == 7
    assert taken(rates.charge(ALICE), 10, NOW + HOUR + 1800 + 60) == 3


def test_pause_is_when_there_is_room() -> None:
    charge = SendingRates(1).charge(ALICE)
    taken(charge, 1, NOW + 17.5)
    pause = charge.rate.pause(NOW + 100)
    assert taken(charge, 1, NOW + 100 + pause - 0.1) == 0
    assert taken(charge, 1, NOW + 100 + pause) == 1


def test_what_was_given_back_tells_no_time() -> None:
    """The hour begins with what counts, and so do the pause and the notice's "since"."""
    rates = SendingRates(10)
    refused, accepted = rates.charge(ALICE), rates.charge(ALICE)
    taken(refused, 3, NOW)
    refused.give_back()
    taken(accepted, 10, NOW + 1800)
    assert accepted.rate.since(NOW + 1860) == NOW + 1800
    assert accepted.rate.pause(NOW + 1860) == HOUR + 60 - 60


def test_late_give_back() -> None:
    """A message that took longer than an hour takes nothing from others."""
    rates = SendingRates(10)
    slow = rates.charge(ALICE)
    taken(slow, 10, NOW)
    assert taken(rates.charge(ALICE), 10, NOW + 2 * HOUR) == 10
    slow.give_back()
    assert taken(rates.charge(ALICE), 1, NOW + 2 * HOUR) == 0


def test_clock_that_is_set_back() -> None:
    """Nobody is locked out until the clock is there again."""
    rates = SendingRates(10)
    taken(rates.charge(ALICE), 10, NOW)
    assert taken(rates.charge(ALICE), 10, NOW - 86400) == 10


def test_bounded_memory() -> None:
    charge = SendingRates(10**9).charge(ALICE)
    for minute in range(1000):
        charge.take(f"client {minute}", NOW + minute * 60)
    charge.keep()
    assert len(charge.rate.minutes) <= 61
    assert list(charge.rate.clients) == [f"client {number}" for number in range(1000 - MAX_CLIENTS, 1000)]


def test_recent_clients() -> None:
    charge = SendingRates(10).charge(ALICE)
    charge.take("old", NOW)
    charge.take("new", NOW + 2 * HOUR)
    assert charge.rate.recent_clients(NOW + 2 * HOUR) == ["new"]


def test_line_and_notice_are_rare() -> None:
    rate = SendingRate(ALICE, 10)
    times = [NOW + hours * HOUR for hours in (0, 0.5, 1, 1.5, 23.9, 24, 25)]
    assert [rate.earns_line(now) for now in times] == [True, False, True, False, True, False, True]
    assert [rate.earns_notice(now) for now in times] == [True, False, False, False, False, True, False]


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 8), st.booleans()), max_size=40))
def test_never_more_than_the_limit_in_any_hour(messages: list[tuple[int, int, bool]]) -> None:
    rates = SendingRates(10)
    now, sent = NOW, []
    for pause, recipients, accepted in messages:
        now += pause
        charge = rates.charge(ALICE)
        room = taken(charge, recipients, now)
        if accepted:
            charge.keep()
            sent += [now] * room
        charge.give_back()
    assert all(sum(start <= each <= start + HOUR for each in sent) <= 10 for start in sent)
