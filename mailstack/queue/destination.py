"""How many attempts at a time a destination bears, learnt from how they end. Pure; times are of a clock that nobody
sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define, field

from mailstack.model.outcome import Delayed, Outcome
from mailstack.model.reply import Reply

START = 5  #: attempts at a time at a destination of which nothing is known; Postfix: initial_destination_concurrency
#: What the log and the sender are told of a letter that was not even tried; Postfix's words.
SUSPENDED = "delivery temporarily suspended: "


@define(eq=False)
class Destination:
    """One next hop. A failure is an attempt that did not reach it; any answer, also a refusal, is a success.

    While it is alive, ``window`` attempts may be on their way: success makes it wider, failure narrower. When one
    fails with the window at 1, it is dead: it rests, then one attempt at a time is the probe, and rests get longer.
    """

    limit: int
    window: float = field(init=False)
    in_flight: int = field(default=0, init=False)
    failures: int = field(default=0, init=False)  #: of its probes, in a row, with the one that it died of
    proven: bool = field(default=False, init=False)  #: it has answered when it was last tried
    call: int = field(default=0, init=False)  #: the last call by an administrator for which it was woken
    _words: Delayed | None = field(default=None, init=False)
    _rests_until: float = field(default=0.0, init=False)
    _probing: bool = field(default=False, init=False)
    _era: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.window = self._first_window

    @property
    def _first_window(self) -> float:
        return float(min(START, self.limit))

    @property
    def dead(self) -> bool:
        return self.failures > 0

    def resting(self, now: float) -> bool:
        """Dead, and nothing is to be tried; not while a probe is on its way, for that may change everything."""
        return self.dead and not self._probing and now < self._rests_until

    def room(self, now: float) -> int:
        """How many more attempts may begin."""
        if self.dead:
            return 0 if self._probing or now < self._rests_until else 1
        return max(0, int(self.window) - self.in_flight)

    def wake(self) -> None:
        """The next attempt may be made at once."""
        self._rests_until = 0.0

    def suspended(self) -> Delayed:
        """What comes of a letter that is not tried, because others have failed."""
        last = self._words or Delayed(Reply(451, "4.4.1", "no answer"))
        text = last.reply.text.removeprefix(SUSPENDED)
        return Delayed(Reply(last.reply.code, last.reply.status, SUSPENDED + text), last.relay)

    def begin(self) -> int:
        """An attempt begins. What is returned goes to :meth:`end`."""
        self.in_flight += 1
        self._probing = self.dead
        return self._era

    def end(self, era: int, outcomes: Iterable[Outcome], now: float, rest: Callable[[int], float]) -> bool:
        """An attempt has ended; ``rest`` tells seconds by failures in a row. True: it has come back to life."""
        self.in_flight -= 1
        if era == self._era:
            self._probing = False
        answered, failure = False, None
        for outcome in outcomes:
            if isinstance(outcome, Delayed) and outcome.unreachable:
                failure = outcome
            elif outcome.relay != "none":
                answered = True
        if answered:
            return self._answered()
        # A failure that began before the last death or resurrection says nothing new.
        if failure is not None and era == self._era:
            self._failed(failure, now, rest)
        return False

    def _answered(self) -> bool:
        self.proven = True
        if self.dead:
            self.failures, self._words, self.window = 0, None, self._first_window
            self._era += 1
            self._probing = False
            return True
        if self.in_flight + 1 >= int(self.window):
            # By one for each windowful of successes, and only as far as it is made use of.
            self.window = min(float(self.limit), self.window + 1 / self.window)
        return False

    def _failed(self, words: Delayed, now: float, rest: Callable[[int], float]) -> None:
        self.proven, self._words = False, words
        if not self.dead and self.window > 1:
            self.window = max(1.0, self.window - 1)
            return
        if not self.dead:
            self._era += 1
        self.failures += 1
        self._rests_until = now + rest(self.failures)
