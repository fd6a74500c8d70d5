"""A report that somebody has got, from whatever server: who did not get the message, and what was said about it.

If there is a part for programs (RFC 3464), it tells. Otherwise the text does, as :mod:`.bounce_text` understands it.
Nothing here is an error; what cannot be found is missing.
"""

from __future__ import annotations

import email
import html
import re
from collections.abc import Iterable, Iterator
from email.message import Message

from attrs import evolve

from mailstack.message.bounce_text import MAX_LINE, MAX_RECIPIENTS, MAX_WORDS, Told, read_text, reply_in
from mailstack.message.one_line import one_line
from mailstack.model.reply import Reply

MAX_OCTETS = 1024 * 1024  #: of a report that is looked at
MAX_HTML = 500_000  #: characters
MAX_QUOTING = 20  #: levels of "> " and indentation

STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
#: Their text is that of the message that came back, not of the report.
RETURNED = ("message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers")

_HEADER = re.compile(rb"^(?:from|to|subject|date|received|return-path|mime-version|content-type):", re.I | re.M)


def read_bounce(octets: bytes) -> list[Told]:
    """All recipients of whom a report tells, each once."""
    octets = _without_quoting(octets[:MAX_OCTETS])
    try:
        return _read(email.message_from_bytes(octets))
    except RecursionError:  # parts in parts in parts
        return read_text(octets.decode("utf-8", "replace"))


def _read(message: Message) -> list[Told]:
    parts = list(_parts(message))
    blocks = [block for part in parts if part.get_content_type() in STATUS_TYPES for block in _blocks(part)]
    text = "\n".join(_text(part) for part in parts if part.get_content_type() in ("text/plain", "text/html"))
    told = _from_fields(blocks) or _from_fields(_pasted_blocks(text))
    if told:
        return [_with_words(each, text) for each in told]
    return read_text(text, _failed_recipients(message))


# ---- MIME


def _without_quoting(octets: bytes) -> bytes:
    """As people paste it: with line ends of any kind, quoted, indented, or from a file with many messages. A text that
    has no header gets an empty one."""
    lines = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").lstrip(b"\n\xef\xbb\xbf").split(b"\n")
    if lines[0].startswith(b"From "):
        del lines[0]
    for _ in range(MAX_QUOTING):
        if not all(line.startswith((b">", b" ", b"\t")) for line in lines if line.strip()):
            break
        lines = [line[1:] for line in lines]
    text = b"\n".join(lines)
    return text if _HEADER.search(text.partition(b"\n\n")[0]) else b"\n" + text


def _parts(message: Message) -> Iterator[Message]:
    """Leaves, and the parts for programs whole; nothing of the message that came back."""
    kind = message.get_content_type()
    if kind in RETURNED:
        return
    if kind in STATUS_TYPES or not message.is_multipart():
        yield message
        return
    for part in message.get_payload():
        if isinstance(part, Message):
            yield from _parts(part)


def _content(part: Message) -> str:
    octets = part.get_payload(decode=True)
    if not isinstance(octets, bytes):
        return ""
    charset = str(part.get_content_charset() or "utf-8")
    try:
        return octets.decode("gb18030" if charset in ("gb2312", "gbk") else charset, "replace")
    except (LookupError, ValueError):
        return octets.decode("utf-8", "replace")


def _text(part: Message) -> str:
    text = _content(part)
    if part.get_content_type() != "text/html":
        return text
    first, *others = re.split(r"(?i)<(?:script|style)\b", text[:MAX_HTML])
    text = first + " ".join(re.split(r"(?i)</(?:script|style)", each, maxsplit=1)[-1] for each in others)
    text = re.sub(r"(?i)<(br|/p|/div|/tr|/li|/h[1-6]|/td)\b[^<>]{0,200}>", "\n", text)
    return html.unescape(re.sub(r"</?[a-zA-Z!][^<>@]{0,2000}>", "", text))


def _failed_recipients(message: Message) -> list[str]:
    """As Exim and Gmail name them."""
    named = str(message.get("X-Failed-Recipients", ""))
    return [each.strip() for each in named.split(",") if "@" in each][:MAX_RECIPIENTS]


# ---- The part for programs


def _blocks(part: Message) -> Iterator[Message]:
    """Python understands the older type only, and only where it is not encoded."""
    payload = part.get_payload()
    if isinstance(payload, list):
        blocks = [each for each in payload if isinstance(each, Message)]
        if any("Final-Recipient" in block or "Original-Recipient" in block for block in blocks):
            yield from blocks
            return
        text = "\n\n".join(block.as_string() for block in blocks)
        encoded = Message()
        encoded["Content-Transfer-Encoding"] = str(part.get("Content-Transfer-Encoding", "7bit"))
        encoded.set_payload(text)
        part = encoded
    yield from _pasted_blocks(_content(part))


def _pasted_blocks(text: str) -> Iterator[Message]:
    """Blocks of fields in a text, whatever stands around them."""
    lines = [line[:MAX_LINE] for line in text.replace("\r\n", "\n").split("\n")]
    for block in re.split(r"\n\s*\n", "\n".join(lines)):
        start = re.search(r"(?im)^\s*(?:Original|Final)-Recipient:", block)
        if start:
            unindented = re.sub(r"(?m)^[ \t]+(?=[A-Za-z-]{1,40}: )", "", block)
            first = re.search(r"(?m)^[A-Za-z-]{1,40}:", unindented)
            yield email.message_from_string(unindented[first.start() if first else 0 :])


def _from_fields(blocks: Iterable[Message]) -> list[Told]:
    found: dict[str, Told] = {}
    for block in blocks:
        if "Final-Recipient" not in block and "Original-Recipient" not in block:
            continue
        told = _from_block(block)
        found.setdefault(told.recipient, told)
    return list(found.values())[:MAX_RECIPIENTS]


def _from_block(block: Message) -> Told:
    status = re.search(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}", str(block.get("Status", "")))
    words = _value(block, "Diagnostic-Code")
    reply = reply_in(words) or Reply(0, "", words)
    if status and (not reply.status or reply.status.endswith(".0.0")):
        reply = evolve(reply, status=status[0])
    address = _value(block, "Final-Recipient") or _value(block, "Original-Recipient")
    action = one_line(str(block.get("Action", "failed")), 40).lower().split(" ")[0]
    remote = _value(block, "Remote-MTA").partition(" ")[0].rstrip(".")
    return Told(address.strip("<> "), action, reply, remote)


def _value(block: Message, name: str) -> str:
    """Without its type, ``rfc822;``."""
    value = one_line(str(block.get(name, "")), MAX_WORDS)
    return re.sub(r"^[A-Za-z0-9-]{1,30}\s?;\s?", "", value)


def _with_words(told: Told, text: str) -> Told:
    """Where the fields say nothing but a status, the text may quote the server."""
    if told.reply.text:
        return told
    for other in read_text(text, []):
        if other.recipient.lower() == told.recipient.lower() or not other.recipient:
            status = told.reply.status if not other.reply.status else other.reply.status
            return evolve(told, reply=evolve(other.reply, status=status))
    return told
