"""A sender's wish that a message be held back: RFC 4865."""

from __future__ import annotations

import re

from attrs import frozen

from mailstack.model import moment

#: future-release-interval (RFC 4865 §3): at most nine digits, and the first one is not 0.
MAX_INTERVAL = 999_999_999  # seconds
_INTERVAL = re.compile(r"[1-9][0-9]{0,8}")


@frozen
class Hold:
    """For so many ``seconds``, or until a Unix time."""

    seconds: int = 0
    until: float = 0.0

    @classmethod
    def for_(cls, value: str) -> Hold:
        """The value of HOLDFOR. ValueError."""
        if not _INTERVAL.fullmatch(value):
            raise ValueError(f"{value!r} is not a number of seconds")
        return cls(seconds=int(value))

    @classmethod
    def until_(cls, value: str) -> Hold:
        """The value of HOLDUNTIL. ValueError."""
        return cls(until=moment.read(value))

    def released(self, now: float) -> float:
        """Unix time of the release, if it is asked for ``now``."""
        return now + self.seconds if self.seconds else self.until

    def __str__(self) -> str:
        """As a report repeats it (Future-Release-Request)."""
        return f"for;{self.seconds}" if self.seconds else f"until;{moment.written(self.until)}"
