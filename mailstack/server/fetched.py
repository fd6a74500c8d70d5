"""Which letters a POP3 session was about, by their queue ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from mailstack.interfaces.mailboxes import IMailbox
from mailstack.protocol import pop3_events as events

AT_ONCE = 1000  # letters: some milliseconds
IDS_A_LINE = 50  # so that no line of the log gets longer than a screen

#: What a client may say, as far as it tells one program from another.
_VERBS = {
    events.Stat: "STAT",
    events.List: "LIST",
    events.Uidl: "UIDL",
    events.Retrieve: "RETR",
    events.Top: "TOP",
    events.Delete: "DELE",
    events.Reset: "RSET",
    events.Utf8: "UTF8",
    events.Quit: "QUIT",
}


def said(kinds: Iterable[type]) -> str:
    """The commands, in the order in which they were first used: all that a program of POP3 tells of itself."""
    return " ".join(verb for kind in kinds if (verb := _VERBS.get(kind)))


def batched(indexes: Sequence[int]) -> Iterator[Sequence[int]]:
    """What may be looked at in one go."""
    return (indexes[at : at + AT_ONCE] for at in range(0, len(indexes), AT_ONCE))


def letter_lines(mailbox: IMailbox, indexes: Iterable[int]) -> Sequence[dict[str, object]]:
    """Fields of as many lines as it takes. ``others`` counts letters that have come another way and have no queue
    id."""
    found = [mailbox.letter_id(index) for index in indexes]
    ids = iter([id for id in found if id is not None])
    lines: list[dict[str, object]] = []
    while piece := list(islice(ids, IDS_A_LINE)):
        lines.append({"ids": " ".join(piece)})
    others = found.count(None)
    return [*lines, {"others": others}] if others else lines
