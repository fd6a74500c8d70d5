"""Delivery status notifications: a letter that tells a sender what became of another one. RFC 3461 - 3464, and
RFC 6533 where addresses or the header have UTF-8."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from email.utils import formatdate

from mailstack.message.excerpt import excerpt, header_of
from mailstack.message.mime import content_fields, controls, eight_bit, encoded_subject, part
from mailstack.message.report_fields import folded, machine_part
from mailstack.message.report_occasion import Fate, Occasion
from mailstack.message.report_text import HumanPart, human_part
from mailstack.message.voice import Voice
from mailstack.model.outcome import Failed
from mailstack.model.xtext import readable

#: Octets of the original that are returned: of its header, or where RET=FULL was asked for, from its beginning. As
#: Postfix's bounce_size_limit, which returns the header alone of a bigger message.
MAX_RETURNED = 50_000

_MESSAGE_ID = re.compile(rb"^Message-ID:\s*(<[!-;=?-~]{1,500}>)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


def status_report(voice: Voice, occasion: Occasion, fates: Sequence[Fate], original: bytes) -> bytes:
    """The letter that tells what became of a message, with LF line ends. ``original`` is the beginning of its file,
    from ``relay_offset`` on: all of it, or more than ``MAX_RETURNED`` octets.

    7-bit; but its header has UTF-8 if the sender's address has, and a message that comes back is as it was.
    """
    header = header_of(original, MAX_RETURNED)
    returned = _returned(occasion, fates, header, original)
    kind = "message/global-delivery-status" if is_global(occasion, fates) else "message/delivery-status"
    told = human_part(voice, occasion, fates, header)
    human = part("text/plain", told.text.encode("utf-8"), "Notification", "; charset=utf-8", told.languages)
    machine = part(kind, machine_part(occasion, fates).encode("utf-8"), "Delivery report")
    boundary = _boundary(occasion.id, human + machine + returned)
    parts = b"".join(b"--%s\n%s\n" % (boundary, part) for part in (human, machine, returned))
    top = folded(_top(told, occasion, header, boundary.decode("ascii"), returned.isascii())).encode("utf-8")
    return b"%s\n\nThis is a report in MIME format.\n\n%s--%s--\n" % (top, parts, boundary)


def is_global(occasion: Occasion, fates: Sequence[Fate]) -> bool:
    """Whether something in it needs the types of RFC 6533."""
    sender = occasion.letter.sender
    if occasion.letter.smtputf8 or (sender is not None and not sender.isascii):
        return True
    return any(not fate.recipient.address.isascii or _has_utf8(fate.recipient.orcpt) for fate in fates)


def _has_utf8(orcpt: str) -> bool:
    return bool(orcpt) and not readable(orcpt).isascii()


# ---- The letter around it


def _top(
    told: HumanPart, occasion: Occasion, header: bytes, boundary: str, seven_bit: bool
) -> Iterable[tuple[str, str]]:
    sender = occasion.letter.sender
    assert sender is not None, "nobody is told of what came from the null sender"
    yield "Date", formatdate(occasion.now)
    yield "From", f"Mail Delivery System <MAILER-DAEMON@{occasion.hostname}>"
    yield "To", str(sender) if sender.isascii else sender.unicode
    yield "Subject", encoded_subject(told.subject)
    yield "Message-ID", f"<{occasion.id}@{occasion.hostname}>"
    found = _MESSAGE_ID.search(re.sub(rb"\n[ \t]+", b" ", header))
    if found:
        yield "In-Reply-To", found[1].decode("ascii")
        yield "References", found[1].decode("ascii")
    # RFC 3834 §5: no vacation notice may answer this.
    yield "Auto-Submitted", "auto-replied"
    yield "MIME-Version", "1.0"
    yield "Content-Type", f'multipart/report; report-type=delivery-status; boundary="{boundary}"'
    if not seven_bit:
        yield "Content-Transfer-Encoding", "8bit"


def _boundary(id: str, parts: bytes) -> bytes:
    """One that no part contains. Each has words of others, and an encoding may break its lines before any of them."""
    boundary = f"report/{id}".encode("ascii")
    while boundary in parts:
        boundary += b"/"
    return boundary


# ---- What comes back of the message


def _full(occasion: Occasion, fates: Sequence[Fate]) -> bool:
    """RFC 3461 §4.3: RET is for failures; RFC 8689 §5: what had to be protected does not come back whole."""
    letter = occasion.letter
    failed = any(isinstance(fate.outcome, Failed) for fate in fates)
    return letter.ret == "FULL" and failed and not letter.require_tls


def _returned(occasion: Occasion, fates: Sequence[Fate], header: bytes, original: bytes) -> bytes:
    smtputf8 = occasion.letter.smtputf8
    message = excerpt(original, MAX_RETURNED) if _full(occasion, fates) and original else b""
    what = "The message" if len(message) == len(original) else "The beginning of the message"
    if message and smtputf8:
        return part("message/global", message, what)
    # RFC 2046 §5.2.1: message/rfc822 is never encoded, so it comes back only as what 8bit can be.
    if not message or not eight_bit(message) or controls(header):
        return part("message/global-headers" if smtputf8 else "text/rfc822-headers", header, "Header of the message")
    end = b"" if message.endswith(b"\n") else b"\n"
    return content_fields("message/rfc822", what, "7bit" if message.isascii() else "8bit") + message + end
