"""Letters of the queue, as JSON and in lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from mailstack.admin.moments import short_span
from mailstack.admin.output import clean, count, size, utc
from mailstack.model.address import path
from mailstack.model.entry import Entry, EntryRecipient

COLOURS = {"active": "green", "deferred": "yellow", "hold": "cyan", "sent": "green", "bounced": "red", "dropped": "red"}
#: The widths do not depend on what comes later, so that the first line need not wait for the last.
_ROW = "{:<12}  {:>9}  {:>6}  {:<9}  {}  {}"
_STATE_WIDTH = 8
_SETTLED = ("sent", "bounced", "dropped")


def as_object(entry: Entry) -> dict[str, object]:
    """One object of ``queue list --json``; the null sender is ""."""
    return {
        "id": entry.id,
        "sender": str(entry.sender or ""),
        "size": entry.size,
        "arrived": utc(entry.arrived),
        "next_attempt": utc(entry.next_attempt),
        "state": entry.state,
        "recipients": [_recipient_object(recipient) for recipient in entry.recipients],
    }


def _recipient_object(recipient: EntryRecipient) -> dict[str, object]:
    return {
        "address": str(recipient.address),
        "original": str(recipient.original),
        "state": recipient.state,
        "attempts": recipient.attempts,
        "next_attempt": utc(recipient.next_attempt),
        "last_reply": recipient.last_reply,
        "destination": recipient.destination,
    }


def listing(entries: Iterable[Entry], now: float) -> Iterator[str]:
    """A line a letter, and below it two for each recipient who waits: who, and why."""
    for number, entry in enumerate(entries):
        if not number:
            head = _ROW.format("ID", "SIZE", "AGE", "NEXT TRY", "STATE".ljust(_STATE_WIDTH), "SENDER")
            yield click.style(head, bold=True)
        yield _line(entry, now)
        for recipient in entry.recipients:
            if recipient.state not in _SETTLED:
                yield f"    {summary(recipient)}"
                if recipient.last_reply:
                    yield f"        {clean(recipient.last_reply)}"


def _line(entry: Entry, now: float) -> str:
    following = "-" if entry.next_attempt is None else _soon(entry.next_attempt, now)
    age = short_span(max(0.0, now - entry.arrived))
    state = coloured(entry.state, _STATE_WIDTH)
    return _ROW.format(entry.id, size(entry.size), age, following, state, clean(path(entry.sender)))


def _soon(at: float, now: float) -> str:
    return "now" if at <= now else f"in {short_span(at - now)}"


def summary(recipient: EntryRecipient) -> str:
    """One line: who, in which state, after how many attempts."""
    original = "" if recipient.original == recipient.address else f" (for {recipient.original})"
    tries = count(recipient.attempts, "attempt")
    return f"{clean(f'{recipient.address}{original}')} {coloured(recipient.state)}, {tries}"


def coloured(state: str, width: int = 0) -> str:
    return click.style(state, fg=COLOURS.get(state)) + " " * (width - len(state))
