"""How often the queue looks by itself, though nobody has told it of a change."""

from __future__ import annotations

from attrs import frozen


@frozen
class Looks:
    """Seconds between two of them."""

    poll: float = 1.0  #: whether the command line has changed the queue, or somebody has set the clock
    sent: float = 60.0  #: at copies for Sent folders that could not be saved, or are held back
    sweep: float = 60.0  #: at all of it, at the latest: so a clock that was set does no harm for longer
