"""The part of a report that people read: what happened, and what they can do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from email.utils import formatdate

from mailstack.message.advice import advice
from mailstack.message.report_fields import MAX_VALUE
from mailstack.message.report_occasion import Fate, Occasion

MAX_LISTED = 100  #: recipients of one kind that are explained; all stand in the part for programs

#: How each kind begins, in the order in which they are told. ``{sent}`` and ``{until}`` are dates.
_OPENINGS = {
    "failed": "Your message of {sent} could not be delivered to the recipients below. We have stopped trying: "
    "nothing more will happen unless you act.",
    "delayed": "Your message of {sent} could not be delivered yet to the recipients below. This is only a warning: "
    "you need not do anything, and should not send it again. We keep trying until {until}, and tell you if it fails "
    "for good.",
    "delivered": "Your message of {sent} has arrived in the mailboxes of the recipients below. You have asked to be "
    "told.",
    "relayed": "Your message of {sent} was passed on to the mail servers of the recipients below, which do not report "
    "when it arrives: you will hear of it again only if it fails.",
    "expanded": "Your message of {sent} was sent to lists, and passed on to all their members. You will not be told "
    "when it reaches each of them, only if it fails.",
}


def human_part(occasion: Occasion, fates: Sequence[Fate]) -> str:
    sections = [_section(occasion, action, told) for action in _OPENINGS if (told := _of(fates, action))]
    closing = (
        f"This report was made by the mail server {occasion.hostname}. If you need help, write to\n"
        f"{occasion.postmaster} and forward this report."
    )
    return "\n\n".join([*sections, closing]) + "\n"


def _of(fates: Sequence[Fate], action: str) -> list[Fate]:
    return [fate for fate in fates if fate.action == action]


def _section(occasion: Occasion, action: str, fates: Sequence[Fate]) -> str:
    dates = {"sent": formatdate(occasion.letter.arrived), "until": formatdate(occasion.until)}
    opening = textwrap.fill(_OPENINGS[action].format(**dates), 76)
    people = "\n\n".join(_explained(fate) for fate in fates[:MAX_LISTED])
    more = len(fates) - MAX_LISTED
    if more > 0:
        people += f"\n\nand {more} more recipients, who are listed in the delivery report below."
    return f"{opening}\n\n{people}"


def _explained(fate: Fate) -> str:
    recipient = fate.recipient
    original = "" if recipient.original == recipient.address else f" (sent to {recipient.original.unicode})"
    indented = [textwrap.fill(text, 76, initial_indent="  ", subsequent_indent="    ") for text in _words(fate)]
    return "\n".join([f"<{_short(recipient.address.unicode)}>{_short(original)}", *indented])


def _words(fate: Fate) -> Iterator[str]:
    reply = fate.outcome.reply
    if fate.action in ("failed", "delayed"):
        hint = advice(reply)
        yield f"What happened: {hint.happened}"
        yield f"What to do: {_act(fate, hint.act)}"
    if reply.code:
        who = f" of {fate.outcome.relay}" if fate.remote else ""
        yield f"The answer{who}: {_short(str(reply))}"


def _act(fate: Fate, hint: str) -> str:
    if fate.action == "delayed":
        return "Wait: we try again by ourselves."
    return hint if fate.outcome.reply.permanent else f"We have tried for the whole time allowed. {hint}"


def _short(text: str) -> str:
    """For people: any script, no control characters, not too long."""
    clean = "".join(char if char.isprintable() else "?" for char in text)
    return clean if len(clean) <= MAX_VALUE else f"{clean[:MAX_VALUE]}..."
