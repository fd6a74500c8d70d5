"""Delivery status notifications: a letter that tells a sender what became of another one. RFC 3461 - 3464."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from email import quoprimime
from email.utils import formatdate

from attrs import frozen

from mailstack.message.advice import advice
from mailstack.model.address import Address
from mailstack.model.letter import Letter, Recipient
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome

MAX_HEADER = 50_000  #: octets of the original that are returned
MAX_VALUE = 900  #: characters of one field; a line may have 998 octets, RFC 5322 §2.1.1
MAX_LISTED = 100  #: recipients that are explained in the human part; all stand in the other one

ACTIONS = {Failed: "failed", Delayed: "delayed", Delivered: "delivered"}
#: Without a status of its own a reply gets the class of its code.

_MESSAGE_ID = re.compile(rb"^Message-ID:\s*(<[!-;=?-~]{1,500}>)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_SUBJECT = {
    "failed": "Undelivered mail: your message could not be delivered",
    "delayed": "Delayed mail: your message is still waiting",
}


@frozen
class Fate:
    """What became of one recipient."""

    recipient: Recipient
    outcome: Outcome


@frozen
class Occasion:
    """Who reports, about which letter, when. Times are Unix times."""

    id: str  #: the report's own queue id
    hostname: str
    postmaster: Address
    letter: Letter  #: the original; its sender is not None
    now: float
    until: float  #: when we give up


def failure_report(occasion: Occasion, fates: Sequence[Fate], original: bytes) -> bytes:
    """The letter that returns a message, with LF line ends, 7-bit. ``original`` is the beginning of its file, from
    ``relay_offset`` on: its whole header, or 50 kB."""
    return _report(occasion, fates, original, "failed")


def delay_report(occasion: Occasion, fates: Sequence[Fate], original: bytes) -> bytes:
    """The warning that a message is still waiting."""
    return _report(occasion, fates, original, "delayed")


def _report(occasion: Occasion, fates: Sequence[Fate], original: bytes, action: str) -> bytes:
    header = _header_of(original)
    boundary = _boundary(occasion.id, header)
    human = _part("text/plain", _human(occasion, fates, action).encode("utf-8"), "Notification", "; charset=utf-8")
    machine = _part("message/delivery-status", _machine(occasion, fates).encode("ascii"), "Delivery report")
    returned = _part("text/rfc822-headers", header, "Header of the message")
    lines = [_fields(_top(occasion, header, action, boundary)), "", "This is a report in MIME format.", ""]
    parts = "".join(f"--{boundary}\n{part}\n" for part in (human, machine, returned))
    return ("\n".join(lines) + f"\n{parts}--{boundary}--\n").encode("ascii")


# ---- The letter around it


def _top(occasion: Occasion, header: bytes, action: str, boundary: str) -> Iterable[tuple[str, str]]:
    yield "Date", formatdate(occasion.now)
    yield "From", f"Mail Delivery System <MAILER-DAEMON@{occasion.hostname}>"
    yield "To", _ascii(str(occasion.letter.sender))
    yield "Subject", _SUBJECT[action]
    yield "Message-ID", f"<{occasion.id}@{occasion.hostname}>"
    found = _MESSAGE_ID.search(re.sub(rb"\n[ \t]+", b" ", header))
    if found:
        yield "In-Reply-To", found[1].decode("ascii")
        yield "References", found[1].decode("ascii")
    # RFC 3834 §5: no vacation notice may answer this.
    yield "Auto-Submitted", "auto-replied"
    yield "MIME-Version", "1.0"
    yield "Content-Type", f'multipart/report; report-type=delivery-status; boundary="{boundary}"'


def _boundary(id: str, header: bytes) -> str:
    """One that no part contains; only the header can hold something made up for this."""
    boundary = f"report/{id}"
    while boundary.encode("ascii") in header:
        boundary += "/"
    return boundary


def _part(kind: str, body: bytes, description: str, parameters: str = "") -> str:
    """Quoted-printable where 7-bit lines of up to 998 octets do not do."""
    plain = body.isascii() and b"\0" not in body and max(map(len, body.split(b"\n"))) <= 990
    encoding = "7bit" if plain else "quoted-printable"
    text = body.decode("latin-1")
    if not plain:
        text = quoprimime.body_encode(text, maxlinelen=76, eol="\n")
    fields = [("Content-Description", description), ("Content-Type", kind + parameters)]
    return _fields([*fields, ("Content-Transfer-Encoding", encoding)]) + f"\n\n{text.rstrip(chr(10))}\n"


def _header_of(original: bytes) -> bytes:
    """The header, at most 50 kB, whole lines."""
    header = original.partition(b"\n\n")[0][:MAX_HEADER].replace(b"\r", b"")
    return header if len(header) < MAX_HEADER else header.rpartition(b"\n")[0] or header


# ---- The part for people


def _human(occasion: Occasion, fates: Sequence[Fate], action: str) -> str:
    people = "\n\n".join(_explained(fate, action) for fate in fates[:MAX_LISTED])
    more = len(fates) - MAX_LISTED
    if more > 0:
        people += f"\n\nand {more} more recipients, who are listed in the delivery report below."
    closing = (
        f"This report was made by the mail server {occasion.hostname}. If you need help, write to\n"
        f"{occasion.postmaster} and forward this report."
    )
    return f"{_opening(occasion, action)}\n\n{people}\n\n{closing}\n"


def _opening(occasion: Occasion, action: str) -> str:
    sent = formatdate(occasion.letter.arrived)
    if action == "failed":
        text = (
            f"Your message of {sent} could not be delivered to the recipients below. We have stopped trying: "
            "nothing more will happen unless you act."
        )
    else:
        text = (
            f"Your message of {sent} could not be delivered yet to the recipients below. This is only a warning: "
            f"you need not do anything, and should not send it again. We keep trying until "
            f"{formatdate(occasion.until)}, and tell you if it fails for good."
        )
    return textwrap.fill(text, 76)


def _explained(fate: Fate, action: str) -> str:
    reply, hint = fate.outcome.reply, advice(fate.outcome.reply)
    original = "" if fate.recipient.original == fate.recipient.address else f" (sent to {fate.recipient.original})"
    if action == "delayed":
        act = "Wait: we try again by ourselves."
    elif not reply.permanent:
        act = f"We have tried for the whole time allowed. {hint.act}"
    else:
        act = hint.act
    who = f" of {fate.outcome.relay}" if _remote(fate.outcome) else ""
    words = [f"What happened: {hint.happened}", f"What to do: {act}", f"The answer{who}: {_short(str(reply))}"]
    indented = [textwrap.fill(text, 76, initial_indent="  ", subsequent_indent="    ") for text in words]
    return "\n".join([f"<{_short(str(fate.recipient.address))}>{_short(original)}", *indented])


# ---- The part for programs


def _machine(occasion: Occasion, fates: Sequence[Fate]) -> str:
    """RFC 3464 §2: one block for the message, one for each recipient."""
    message = [("Reporting-MTA", f"dns; {occasion.hostname}"), ("Arrival-Date", formatdate(occasion.letter.arrived))]
    return "\n\n".join(_fields(block) for block in (message, *(_status(occasion, fate) for fate in fates))) + "\n"


def _status(occasion: Occasion, fate: Fate) -> Iterable[tuple[str, str]]:
    reply = fate.outcome.reply
    yield "Original-Recipient", f"rfc822;{_ascii(str(fate.recipient.original))}"
    yield "Final-Recipient", f"rfc822;{_ascii(str(fate.recipient.address))}"
    yield "Action", ACTIONS[type(fate.outcome)]
    yield "Status", reply.full_status
    if _remote(fate.outcome):
        yield "Remote-MTA", f"dns; {fate.outcome.relay.partition('[')[0]}"
    yield "Diagnostic-Code", f"smtp; {_ascii(str(reply))}"
    yield "Last-Attempt-Date", formatdate(occasion.now)
    if isinstance(fate.outcome, Delayed):
        yield "Will-Retry-Until", formatdate(occasion.until)


def _remote(outcome: Outcome) -> bool:
    """Whether it is known which other server has spoken."""
    return outcome.relay not in ("none", "local", "")


# ---- Text from outside


def _fields(fields: Iterable[tuple[str, str]]) -> str:
    """Header fields, folded; a long word stays whole, so nothing is changed but white space."""
    return "\n".join(
        textwrap.fill(
            f"{name}: {value[:MAX_VALUE]}",
            76,
            subsequent_indent=" ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name, value in fields
    )


def _ascii(text: str) -> str:
    """Printable ASCII, the rest as ``\\x`` escapes."""
    escaped = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(char if char.isprintable() else "?" for char in escaped)


def _short(text: str) -> str:
    """For people: any script, no control characters, not too long."""
    clean = "".join(char if char.isprintable() else "?" for char in text)
    return clean if len(clean) <= MAX_VALUE else f"{clean[:MAX_VALUE]}..."
