"""How long a client may take."""

from __future__ import annotations

from twisted.internet.task import Clock

from mailstack.server.countdown import LOOK, Countdown


class Watch:
    """A countdown with a patience that can change."""

    def __init__(self, patience: float) -> None:
        self.clock = Clock()
        self.patience = patience
        self.rung: list[float] = []
        self.countdown = Countdown(self.clock, lambda: self.patience, lambda: self.rung.append(self.clock.seconds()))
        self.countdown.restart()

    def run(self, seconds: int) -> list[float]:
        """Second by second."""
        self.clock.pump([1.0] * seconds)
        return self.rung


def test_rings_once() -> None:
    watch = Watch(300)
    assert watch.run(299) == []
    assert watch.run(400) == [300]
    assert not watch.clock.getDelayedCalls()


def test_a_restart_gives_all_the_time() -> None:
    watch = Watch(300)
    watch.run(299)
    watch.countdown.restart()
    assert watch.run(299) == []
    assert watch.run(1) == [599]


def test_what_is_earned_is_never_more_than_all_of_it() -> None:
    watch = Watch(300)
    watch.run(100)
    watch.countdown.earn(50)
    assert watch.run(249) == []
    watch.countdown.earn(1000)
    assert watch.run(299) == []
    assert watch.run(1) == [649]


def test_patience_that_gets_shorter_is_seen_soon() -> None:
    watch = Watch(300)
    watch.run(100)
    watch.patience = 10
    assert len(watch.run(int(LOOK))) == 1


def test_a_restart_with_less_patience_is_exact_down_to_a_look() -> None:
    watch = Watch(300)
    watch.run(7)
    watch.patience = LOOK
    watch.countdown.restart()
    assert watch.run(30) == [7 + LOOK]


def test_short_patience_is_exact() -> None:
    watch = Watch(2)
    watch.run(1)
    watch.countdown.restart()
    assert watch.run(9) == [3]


def test_cancelled_is_over() -> None:
    watch = Watch(5)
    watch.countdown.cancel()
    watch.countdown.cancel()
    assert watch.run(20) == []
    assert not watch.clock.getDelayedCalls()
