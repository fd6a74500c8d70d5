"""How soon somebody may log in again."""

from __future__ import annotations

from mailstack.server.login_delay import MAX_KEPT, LoginDelay
from tests.fakes_accounts import HandClock

ALICE, HERE, THERE = "alice@office.test", "192.0.2.1", "192.0.2.2"


def test_delay_begins_with_the_login_and_ends() -> None:
    clock = HandClock()
    delay = LoginDelay(60, clock)
    assert delay.left(ALICE, HERE) == 0
    delay.begin(ALICE, HERE)
    assert delay.left(ALICE, HERE) == 60
    clock.advance(59.5)
    assert delay.left(ALICE, HERE) == 1
    clock.advance(0.5)
    assert delay.left(ALICE, HERE) == 0


def test_other_device_and_other_user_are_not_held_up() -> None:
    delay = LoginDelay(60, HandClock())
    delay.begin(ALICE, HERE)
    assert delay.left(ALICE, THERE) == 0
    assert delay.left("bob@office.test", HERE) == 0


def test_no_delay_keeps_nothing() -> None:
    delay = LoginDelay(0, HandClock())
    delay.begin(ALICE, HERE)
    assert delay.left(ALICE, HERE) == 0
    assert not delay._free


def test_memory_is_bounded() -> None:
    """By time, and by number whatever the time."""
    clock = HandClock()
    delay = LoginDelay(60, clock)
    for number in range(MAX_KEPT + 5):
        delay.begin(f"{number}@office.test", HERE)
    assert len(delay._free) == MAX_KEPT
    clock.advance(60)
    delay.begin(ALICE, HERE)
    assert list(delay._free) == [(ALICE, HERE)]
