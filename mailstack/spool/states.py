"""What the states of a recipient have in common. docs/architecture.md has the table of them."""

from __future__ import annotations

from collections.abc import Iterable

#: An attempt is to be made: at once, or later.
WAITING = ("active", "deferred")
#: The sender is to be told, and was not yet.
UNREPORTED = ("bounced", "delivered", "relayed", "expanded")
#: What an attempt comes to when the next hop, or the mailbox, has the letter.
ARRIVED = ("sent", "delivered", "relayed")
#: Nothing is left to do.
DONE = ("sent", "reported", "dropped")
#: On hold, until the administrator releases it.
HELD = ("hold",)
#: All there are.
STATES = tuple(dict.fromkeys((*WAITING, *UNREPORTED, *ARRIVED, *DONE, *HELD)))

#: States that only say whether the sender was told; what they mean is shown.
_AS_SHOWN = {"reported": "bounced", "delivered": "sent", "relayed": "sent", "expanded": "sent"}


def shown(state: str, later: bool = False) -> str:
    """For people. What its sender holds back waits, for a ``later`` time, as what was tried does."""
    return "deferred" if state == "active" and later else _AS_SHOWN.get(state, state)


def listed(states: Iterable[str]) -> str:
    """For SQL, behind IN. An index that says WHERE is used only by queries that say the same."""
    return "(" + ", ".join(f"'{state}'" for state in states) + ")"


#: For SQL: the sender is to be told. The first half says nothing new, but is all that SQLite looks at in the rows of a
#: letter that comes or goes: for the second one it fills a table, and searches that.
IS_UNREPORTED = f"state NOT IN {listed(WAITING)} AND state IN {listed(UNREPORTED)}"
