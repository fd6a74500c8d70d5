"""Letters of the queue, as JSON and for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from mailstack.admin.output import clean, count, size, table, utc
from mailstack.model.address import path
from mailstack.model.entry import Entry, EntryRecipient

COLOURS = {"active": "green", "deferred": "yellow", "hold": "cyan", "sent": "green", "bounced": "red"}


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
    }


def listing(entries: Sequence[Entry]) -> Iterator[str]:
    """A line a letter, and below it one for each recipient who waits."""
    head, *lines = table(("ID", "SIZE", "ARRIVED", "NEXT ATTEMPT", "STATE", "SENDER"), [_row(each) for each in entries])
    yield head
    for line, entry in zip(lines, entries, strict=True):
        yield line
        for recipient in entry.recipients:
            if recipient.state not in ("sent", "bounced"):
                yield f"    {_recipient(recipient)}"


def _row(entry: Entry) -> tuple[str, ...]:
    times = (utc(entry.arrived) or "", utc(entry.next_attempt) or "-")
    return (entry.id, size(entry.size), *times, entry.state, path(entry.sender))


def sheet(entry: Entry) -> Iterator[str]:
    """Everything about one letter but its content."""
    facts = {
        "Letter": entry.id,
        "Sender": path(entry.sender),
        "Arrived": utc(entry.arrived) or "",
        "Size": size(entry.size),
        "Next attempt": utc(entry.next_attempt) or "-",
    }
    for name, value in facts.items():
        yield f"{name + ':':<14}{clean(value)}"
    yield f"{'State:':<14}{_coloured(entry.state)}"
    yield "Recipients:"
    for recipient in entry.recipients:
        yield f"  {_recipient(recipient)}"
        if recipient.next_attempt is not None:
            yield f"      next attempt {utc(recipient.next_attempt)}"


def _recipient(recipient: EntryRecipient) -> str:
    original = "" if recipient.original == recipient.address else f" (for {recipient.original})"
    reply = f": {recipient.last_reply}" if recipient.last_reply else ""
    tries = count(recipient.attempts, "attempt")
    return f"{clean(f'{recipient.address}{original}')} {_coloured(recipient.state)}, {tries}{clean(reply)}"


def _coloured(state: str) -> str:
    return click.style(state, fg=COLOURS.get(state))
