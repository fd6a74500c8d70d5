"""A letter as scripts write it becomes one that can be sent, and an envelope."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from email.utils import formataddr
from typing import BinaryIO

from attrs import frozen

from mailstack.admin.sendmail_errors import EX_DATAERR, EX_IOERR, EX_USAGE, Unsent
from mailstack.admin.sendmail_options import Options
from mailstack.message import addressed
from mailstack.message.header import begins_with_field
from mailstack.message.mailboxes import BadField, mailboxes
from mailstack.message.submission import SubmittedHeader
from mailstack.model.address import Address


@frozen
class Author:
    """The user who is at work."""

    address: Address
    name: str  #: "" without


@frozen
class Draft:
    """``octets`` has LF line ends, and all fields that it must have."""

    sender: Address | None
    recipients: tuple[Address, ...]
    octets: bytes


def read(stream: BinaryIO, dot: bool, most: int) -> bytes:
    """What is written there, with LF line ends; with ``dot`` up to a line that is nothing else. Unsent: it cannot be
    read, or has more than ``most`` octets."""
    try:
        octets = b"".join(_until_dot(stream, most)) if dot else stream.read(most + 1)
    except OSError as error:
        raise Unsent(EX_IOERR, f"the letter cannot be read: {error.strerror}") from None
    if len(octets) > most:
        raise Unsent(EX_DATAERR, f"the letter is larger than {most} octets, [limits] message_size; nothing was sent")
    octets = octets.replace(b"\r\n", b"\n")
    return octets if octets.endswith(b"\n") or not octets else octets + b"\n"


def _until_dot(stream: BinaryIO, most: int) -> Iterator[bytes]:
    size, begins = 0, True
    while size <= most and (line := stream.readline(64 * 1024)):
        if begins and line in (b".\n", b".\r\n", b"."):
            return
        begins = line.endswith(b"\n")
        size += len(line)
        yield line


@frozen
class House:
    """What letters here have in common. Bare names belong to the domain ``home``."""

    home: str
    header_size: int  #: octets that a header may have


def draft(text: bytes, options: Options, author: Author, house: House, message_id: str, now: float) -> Draft:
    """Unsent: it names nobody, or what is no address; or its header is too large to be looked at."""
    home = house.home
    header, body = _parted(text)
    if len(header) > house.header_size:
        size = f"{house.header_size} octets, [limits] header_size"
        raise Unsent(EX_DATAERR, f"the header of the letter is larger than {size}; nothing was sent")
    recipients = list(_named(options.recipients, home, EX_USAGE))
    if options.from_header:
        try:
            recipients += addressed.recipients(header, home)
        except BadField as error:
            raise Unsent(EX_DATAERR, f"{error}; nothing was sent") from None
    if not recipients:
        if options.from_header:
            raise Unsent(EX_DATAERR, "To, Cc and Bcc name nobody; nothing was sent")
        raise Unsent(EX_USAGE, "no recipients: name them, or give -t if the letter does; see sendmail --help")
    sender = author.address if options.sender is None else _sender(options.sender, home)
    fields = SubmittedHeader.of(addressed.at_home(header, home))
    if not fields.all("from"):
        named = _from(sender or author.address, author.name if options.name is None else options.name)
        fields = SubmittedHeader.of(named + fields.octets)
    octets = fields.completed(sender or author.address, message_id, now) + body
    return Draft(sender, tuple(dict.fromkeys(recipients)), octets)


def _parted(text: bytes) -> tuple[bytes, bytes]:
    """The header, and all behind it: nothing, or the blank line and the body."""
    if text.startswith(b"From "):  # the line that parts letters in an mbox
        text = text.partition(b"\n")[2]
    if begins_with_field(text) is not True:
        return b"", b"\n" + text if text else b""
    end = text.find(b"\n\n") + 1 if not text.startswith(b"\n") else 0
    whole = end > 0 or text.startswith(b"\n")
    header, body = (text[:end], text[end:]) if whole else (text, b"")
    fields = SubmittedHeader.of(header)
    return fields.octets, b"\n" + fields.behind + body if fields.behind else body


def _named(words: Sequence[str], home: str, code: int) -> Iterator[Address]:
    for word in words:
        try:
            found = list(mailboxes(word.encode("utf-8", "surrogateescape"), home))
        except BadField as error:
            raise Unsent(code, f"{word!r} {error}; nothing was sent") from None
        if not found:
            raise Unsent(code, f"{word!r} names nobody; nothing was sent")
        yield from found


def _sender(word: str, home: str) -> Address | None:
    if word.strip() in ("", "<>"):
        return None
    first, *others = _named([word], home, EX_USAGE)
    if others:
        raise Unsent(EX_USAGE, f"{word!r} names several; there is one sender; nothing was sent")
    return first


def _from(address: Address, name: str) -> bytes:
    """The field with a name, which may come from anywhere."""
    shown = str(address) if address.isascii else address.unicode
    visible = "".join(char if char.isprintable() else " " for char in name).strip()
    # A name in the form that a header takes; the address that is needed for it is cut off again.
    phrase = formataddr((visible, "x"))[: -len("<x>")] if visible else ""
    return f"From: {phrase}<{shown}>\n".encode() if phrase else f"From: {shown}\n".encode()
