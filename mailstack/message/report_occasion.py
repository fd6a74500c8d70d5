"""What a report is made of."""

from __future__ import annotations

from attrs import frozen

from mailstack.model.address import Address
from mailstack.model.letter import Letter, Recipient
from mailstack.model.outcome import Outcome


@frozen
class Fate:
    """What became of one recipient."""

    recipient: Recipient
    outcome: Outcome
    until: float | None = None  #: of a delay: Unix time at which we give up

    @property
    def action(self) -> str:
        """RFC 3464 §2.3.3: failed, delayed, delivered, relayed, expanded."""
        return self.outcome.action

    @property
    def remote(self) -> bool:
        """Whether it is known which other server has spoken."""
        return self.outcome.relay not in ("none", "local", "")


@frozen
class Occasion:
    """Who reports, about which letter, when. Times are Unix times."""

    id: str  #: the report's own queue id
    hostname: str
    postmaster: Address
    letter: Letter  #: the original; its sender is not None
    now: float
