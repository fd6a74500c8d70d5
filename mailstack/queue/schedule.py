"""Who is tried when. Pure: time and chance are arguments; all times are Unix times, as stored."""

from __future__ import annotations

from attrs import frozen

from mailstack.config.settings import Queue

#: Pauses are drawn out or cut by up to this share, so that letters of one moment do not come back in one moment.
JITTER = 0.1


@frozen
class Schedule:
    """[queue] of mail.ini as rules. RFC 5321 §4.5.4.1."""

    settings: Queue

    def pause(self, attempt: int, chance: float) -> float:
        """Seconds to wait after attempt ``attempt`` (the first is 1); ``chance`` is from 0 to 1."""
        steps = self.settings.retry
        step = steps[min(attempt, len(steps)) - 1]
        return step * (1 + JITTER * (2 * chance - 1))

    @property
    def slowest(self) -> int:
        """The attempt after which the longest pause is made."""
        return self.settings.retry.index(max(self.settings.retry)) + 1

    def lifetime(self, bounce: bool) -> float:
        """Seconds; ``bounce`` is whether the letter comes from the null sender."""
        return self.settings.bounce_lifetime if bounce else self.settings.lifetime

    def next_attempt(self, arrived: float, bounce: bool, attempt: int, now: float, chance: float) -> float | None:
        """When to try again after attempt ``attempt`` has just failed; None: it is time to give up.

        The last attempt is made when the lifetime ends, not before.
        """
        end = arrived + self.lifetime(bounce)
        if now >= end:
            return None
        return min(now + self.pause(attempt, chance), end)

    def warnings(self, arrived: float, now: float) -> int:
        """How many delay warnings a letter of that age has earned."""
        return sum(now - arrived >= age for age in self.settings.delay_warning)
