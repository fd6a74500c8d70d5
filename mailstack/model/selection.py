"""Which letters of the queue, and which of their recipients, somebody means."""

from __future__ import annotations

from attrs import frozen

ACTIVE, DEFERRED, HOLD = "active", "deferred", "hold"
WAITING = (ACTIVE, DEFERRED)  #: an attempt is to come

#: Letters of one of these names are chosen by :attr:`Selection.states`.
STATES = (*WAITING, HOLD)


@frozen
class Selection:
    """All that is given must hold. Patterns are addresses or destinations in which ``*`` stands for any characters and
    ``?`` for one; the case of letters does not matter.

    ``recipient``, ``destination``, ``states`` and ``reply`` are about a recipient: a change concerns only those that
    match, a list shows the whole letter.
    """

    sender: str | None = None  #: "" is the null sender
    account: str | None = None  #: the address with which its sender was logged in; no pattern
    recipient: str | None = None  #: where it goes, or what the client has given
    destination: str | None = None
    states: tuple[str, ...] = ()
    arrived_before: float | None = None  #: Unix time
    arrived_after: float | None = None  #: Unix time
    reply: str | None = None  #: a part of the last reply
    released_before: float | None = None  #: Unix time; until it, the sender may still hold the letter back


EVERYTHING = Selection()


def is_pattern(text: str) -> bool:
    return "*" in text or "?" in text
