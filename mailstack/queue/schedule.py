"""Who is tried when. Pure: time and chance are arguments; all times are Unix times, as stored."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve, frozen

from mailstack.config.settings import MINUTE, Queue, Route

#: Pauses are drawn out or cut by up to this share, so that letters of one moment do not come back in one moment.
JITTER = 0.1
REST = 10 * MINUTE  # seconds; the longest pause of a destination that does not answer

TRY, WARNING, RETURN = "try", "warning", "return"  #: what can still happen to a letter that nobody takes


@frozen
class Schedule:
    """[queue] of mail.ini as rules. RFC 5321 §4.5.4.1."""

    settings: Queue

    def for_route(self, route: Route) -> Schedule:
        """What the options of a route make of it. A bounce is not kept for longer than other mail."""
        settings = self.settings
        if route.retry:
            settings = evolve(settings, retry=route.retry)
        if route.lifetime is not None:
            bounces = min(settings.bounce_lifetime, route.lifetime)
            settings = evolve(settings, lifetime=route.lifetime, bounce_lifetime=bounces)
        return Schedule(settings)

    def pause(self, attempt: int, chance: float) -> float:
        """Seconds to wait after attempt ``attempt`` (the first is 1); ``chance`` is from 0 to 1."""
        return self._step(attempt) * (1 + JITTER * (2 * chance - 1))

    def _step(self, attempt: int) -> float:
        steps = self.settings.retry
        return steps[min(attempt, len(steps)) - 1]

    @property
    def slowest(self) -> int:
        """The attempt after which the longest pause is made."""
        return self.settings.retry.index(max(self.settings.retry)) + 1

    @property
    def longest(self) -> float:
        """Seconds; no pause is longer."""
        return max(self.settings.retry) * (1 + JITTER)

    def rest(self, failures: int) -> float:
        """Seconds for which a destination is left alone that has not answered so many times in a row.

        Half a step: so a letter that is alone there finds it at its disposal whenever its own pause is over.
        """
        steps = self.settings.retry
        return min(min(steps[min(failures, len(steps)) - 1 :]) / 2, REST)

    def lifetime(self, bounce: bool) -> float:
        """Seconds; ``bounce`` is whether the letter comes from the null sender."""
        return self.settings.bounce_lifetime if bounce else self.settings.lifetime

    def next_attempt(
        self, released: float, bounce: bool, attempt: int, now: float, chance: float, planned: float | None = None
    ) -> float | None:
        """When to try again after attempt ``attempt`` has just failed; None: it is time to give up.

        The last attempt is made when the lifetime ends, not before. ``planned`` is when this attempt was to be made:
        one that was slept through (the server was down, the laptop closed, the clock wrong) is not the last, for the
        network may be as sleepy as we are.
        """
        end = released + self.lifetime(bounce)
        if now < end:
            return min(now + self.pause(attempt, chance), end)
        overslept = planned is not None and now - planned > max(self.longest, MINUTE)
        return now + self.pause(attempt, chance) if overslept else None

    def warnings(self, released: float, now: float) -> int:
        """How many delay warnings a letter of that age has earned."""
        return sum(now - released >= age for age in self.settings.delay_warning)

    def forecast(
        self,
        released: float,
        bounce: bool,
        attempts: int = 0,
        following: float | None = None,
        warned: int = 0,
        waits: bool = False,
        chance: float = 0.5,
    ) -> Iterator[tuple[float, str]]:
        """What will still happen to a recipient if nobody takes the letter: times and TRY, WARNING or RETURN, in order,
        with RETURN at the end.

        Of a recipient with so many ``attempts`` behind it and the next one at ``following`` (None: at ``released``), of
        whose letter ``warned`` warnings have been sent. ``waits``: it is to be fetched. A pause is as long as
        ``chance`` makes it; an attempt takes no time.
        """
        at, attempt = released if following is None else following, attempts
        while True:
            yield at, TRY
            attempt += 1
            later = self.next_attempt(released, bounce, self.slowest if waits else attempt, at, chance)
            if later is None:
                break
            earned = 0 if bounce or waits else self.warnings(released, at)
            if earned > warned:
                warned = earned
                yield at, WARNING
            at = later
        yield at, RETURN
