"""Delivery status notifications: a letter that tells a sender what became of another one. RFC 3461 - 3464, and
RFC 6533 where addresses or the header have UTF-8."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from email import quoprimime
from email.utils import formatdate

from mailstack.message.report_fields import folded, machine_part
from mailstack.message.report_occasion import Fate, Occasion
from mailstack.message.report_text import human_part
from mailstack.model.outcome import Failed
from mailstack.model.xtext import readable

#: Octets of the original that are returned where RET=FULL was asked for: of a bigger one only its header. Postfix's
#: bounce_size_limit is 50,000.
MAX_FULL = 256 * 1_024
MAX_LINE = 990  #: octets without its end; RFC 5322 §2.1.1 has 998
MAX_HEADER = 50_000  #: octets of the original's header that are returned

_MESSAGE_ID = re.compile(rb"^Message-ID:\s*(<[!-;=?-~]{1,500}>)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
#: By the gravest of what is told.
_SUBJECT = {
    "failed": "Undelivered mail: your message could not be delivered",
    "delayed": "Delayed mail: your message is still waiting",
    "delivered": "Delivered mail: your message has arrived",
    "relayed": "Relayed mail: your message was passed on",
    "expanded": "Relayed mail: your message was passed on",
}


def octets_wanted(occasion: Occasion, fates: Sequence[Fate]) -> int:
    """How much of the original :func:`status_report` needs at most, from ``relay_offset`` on."""
    return MAX_FULL + 1 if _full(occasion, fates) else MAX_HEADER


def status_report(occasion: Occasion, fates: Sequence[Fate], original: bytes) -> bytes:
    """The letter that tells what became of a message, with LF line ends. ``original`` is the beginning of its file,
    from ``relay_offset`` on: all of it, or :func:`octets_wanted`.

    7-bit; but its header has UTF-8 if the sender's address has, and a message that comes back whole is as it was.
    """
    header = _header_of(original)
    returned = _returned(occasion, fates, header, original)
    boundary = _boundary(occasion.id, returned)
    kind = "message/global-delivery-status" if is_global(occasion, fates) else "message/delivery-status"
    human = part("text/plain", human_part(occasion, fates).encode("utf-8"), "Notification", "; charset=utf-8")
    machine = part(kind, machine_part(occasion, fates).encode("utf-8"), "Delivery report")
    parts = b"".join(b"--%s\n%s\n" % (boundary, part) for part in (human, machine, returned))
    top = folded(_top(occasion, fates, header, boundary.decode("ascii"), returned.isascii())).encode("utf-8")
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
    occasion: Occasion, fates: Sequence[Fate], header: bytes, boundary: str, seven_bit: bool
) -> Iterable[tuple[str, str]]:
    sender = occasion.letter.sender
    assert sender is not None, "nobody is told of what came from the null sender"
    yield "Date", formatdate(occasion.now)
    yield "From", f"Mail Delivery System <MAILER-DAEMON@{occasion.hostname}>"
    yield "To", str(sender) if sender.isascii else sender.unicode
    yield "Subject", next(subject for action, subject in _SUBJECT.items() if any(action == f.action for f in fates))
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


def _boundary(id: str, returned: bytes) -> bytes:
    """One that no part contains; only what is returned can hold something made up for this."""
    boundary = f"report/{id}".encode("ascii")
    while boundary in returned:
        boundary += b"/"
    return boundary


def part(kind: str, body: bytes, description: str, parameters: str = "") -> bytes:
    """Fields, blank line and body, LF line ends; quoted-printable where 7-bit lines of up to 998 octets do not do."""
    if _plain(body):
        return _fields_of_part(kind, description, "7bit", parameters) + body.rstrip(b"\n") + b"\n"
    text = quoprimime.body_encode(body.decode("latin-1"), maxlinelen=76, eol="\n").rstrip("\n") + "\n"
    return _fields_of_part(kind, description, "quoted-printable", parameters) + text.encode("ascii")


def _fields_of_part(kind: str, description: str, encoding: str, parameters: str = "") -> bytes:
    fields = [("Content-Description", description), ("Content-Type", kind + parameters)]
    return (folded([*fields, ("Content-Transfer-Encoding", encoding)]) + "\n\n").encode("ascii")


def _plain(body: bytes) -> bool:
    """Whether it is 7bit, RFC 2045 §2.7."""
    return body.isascii() and _eight_bit(body)


def _eight_bit(body: bytes) -> bool:
    """RFC 2045 §2.8."""
    return b"\0" not in body and max(map(len, body.split(b"\n"))) <= MAX_LINE


# ---- What comes back of the message


def _full(occasion: Occasion, fates: Sequence[Fate]) -> bool:
    """RFC 3461 §4.3: RET is for failures; RFC 8689 §5: what had to be protected does not come back whole."""
    letter = occasion.letter
    failed = any(isinstance(fate.outcome, Failed) for fate in fates)
    return letter.ret == "FULL" and failed and not letter.require_tls


def _returned(occasion: Occasion, fates: Sequence[Fate], header: bytes, original: bytes) -> bytes:
    smtputf8 = occasion.letter.smtputf8
    full = _full(occasion, fates) and 0 < len(original) <= MAX_FULL
    if full and smtputf8:
        return part("message/global", original, "The message")
    # RFC 2046 §5.2.1: message/rfc822 is never encoded, so it comes back whole only as what 8bit can be.
    if not full or not _eight_bit(original):
        return part("message/global-headers" if smtputf8 else "text/rfc822-headers", header, "Header of the message")
    encoding = "7bit" if original.isascii() else "8bit"
    end = b"" if original.endswith(b"\n") else b"\n"
    return _fields_of_part("message/rfc822", "The message", encoding) + original + end


def _header_of(original: bytes) -> bytes:
    """The header, at most 50 kB, whole lines."""
    header = original.partition(b"\n\n")[0][:MAX_HEADER].replace(b"\r", b"")
    return header if len(header) < MAX_HEADER else header.rpartition(b"\n")[0] or header
