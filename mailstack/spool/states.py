"""What the states of a recipient have in common. docs/architecture.md has the table of them."""

from __future__ import annotations

from collections.abc import Iterable

from mailstack.model.letter import Letter, Recipient

#: An attempt is to be made: at once, or later.
WAITING = ("active", "deferred")
#: The sender is to be told, and was not yet.
UNREPORTED = ("bounced", "delivered", "relayed", "expanded")
#: Nothing is left to do.
DONE = ("sent", "reported")


def listed(states: Iterable[str]) -> str:
    """For SQL, behind IN. An index that says WHERE is used only by queries that say the same."""
    return "(" + ", ".join(f"'{state}'" for state in states) + ")"


def at_first(letter: Letter, recipient: Recipient) -> str:
    """The state of a recipient of a new letter. One that is held back waits as one that was tried."""
    if recipient.expanded:
        return "expanded"
    return "deferred" if letter.not_before > letter.arrived else "active"
