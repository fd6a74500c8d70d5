"""What the states of a recipient have in common. docs/architecture.md has the table of them."""

from __future__ import annotations

from collections.abc import Iterable

#: An attempt is to be made: at once, or later.
WAITING = ("active", "deferred")
#: The sender is to be told, and was not yet.
UNREPORTED = ("bounced", "delivered", "relayed", "expanded")
#: Nothing is left to do.
DONE = ("sent", "reported")


def listed(states: Iterable[str]) -> str:
    """For SQL, behind IN. An index that says WHERE is used only by queries that say the same."""
    return "(" + ", ".join(f"'{state}'" for state in states) + ")"
