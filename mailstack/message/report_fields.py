"""The part of a report that programs read: RFC 3464 §2, RFC 6533 §4.1. Text from outside becomes fields here."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from email.utils import formatdate

from mailstack.message.report_occasion import Fate, Occasion
from mailstack.model import xtext
from mailstack.model.address import Address

MAX_VALUE = 900  #: characters of one field; a line may have 998 octets, RFC 5322 §2.1.1


def machine_part(occasion: Occasion, fates: Sequence[Fate]) -> str:
    """One block for the message, one for each recipient."""
    blocks = (_message(occasion), *(_status(occasion, fate) for fate in fates))
    return "\n\n".join(folded(block) for block in blocks) + "\n"


def _message(occasion: Occasion) -> Iterable[tuple[str, str]]:
    if occasion.letter.envid:
        yield "Original-Envelope-Id", xtext.decode(occasion.letter.envid)
    yield "Reporting-MTA", f"dns; {occasion.hostname}"
    yield "Arrival-Date", formatdate(occasion.letter.arrived)
    if occasion.letter.hold:
        yield "Future-Release-Request", occasion.letter.hold  # RFC 4865


def _status(occasion: Occasion, fate: Fate) -> Iterable[tuple[str, str]]:
    reply = fate.outcome.reply
    if fate.recipient.orcpt:  # RFC 3464 §2.3.1: where the sender has named it, and only there
        yield "Original-Recipient", xtext.readable(fate.recipient.orcpt)
    yield "Final-Recipient", _typed(fate.recipient.address)
    yield "Action", fate.action
    yield "Status", reply.full_status if reply.code else "2.0.0"
    if fate.remote:
        yield "Remote-MTA", f"dns; {printable_ascii(fate.outcome.relay.partition('[')[0])}"
    if reply.code:
        yield "Diagnostic-Code", f"smtp; {printable_ascii(str(reply))}"
    yield "Last-Attempt-Date", formatdate(occasion.now)
    if fate.until is not None:
        yield "Will-Retry-Until", formatdate(fate.until)


def _typed(address: Address) -> str:
    """With its type: RFC 3464 §2.1.2, RFC 6533 §3. Characters that no command could carry are escaped."""
    if address.isascii:
        return f"rfc822;{printable_ascii(str(address))}"
    return f"utf-8;{''.join(char if char.isprintable() else '?' for char in address.unicode)}"


def folded(fields: Iterable[tuple[str, str]]) -> str:
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


def printable_ascii(text: str) -> str:
    """Printable ASCII, the rest as ``\\x`` escapes."""
    escaped = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(char if char.isprintable() else "?" for char in escaped)
