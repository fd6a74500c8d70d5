"""Letters that come without an envelope: whom the header names, and names that only mean something in this house."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mailstack.message.mailboxes import BadField, completed, mailboxes
from mailstack.model.address import Address

_FIELD = re.compile(rb"^([!-9;-~]+)([ \t]*:)([^\n]*(?:\n[ \t][^\n]*)*)", re.MULTILINE)
_RECIPIENTS = ("to", "cc", "bcc")
#: Fields with addresses: RFC 5322 §3.6.2, §3.6.3, §3.6.6.
_ADDRESSES = re.compile(rb"(?:resent-)?(?:from|sender|reply-to|to|cc|bcc)", re.IGNORECASE)


def recipients(header: bytes, home: str) -> Iterator[Address]:
    """All that the fields To, Cc and Bcc name; their Resent-… if there are any, for it is sent again to these alone.
    Bare names belong to ``home``. BadField, with the field's name, may come after some of them."""
    fields: dict[str, list[bytes]] = {}
    for name, _, value in _FIELD.findall(header):
        fields.setdefault(name.decode("ascii").lower(), []).append(value)
    again = [f"resent-{name}" for name in _RECIPIENTS]
    for name in again if any(name in fields for name in again) else _RECIPIENTS:
        for value in fields.get(name, ()):
            try:
                # As long as the header may be: there is no other who could name a thousand recipients.
                yield from mailboxes(value, home, len(header))
            except BadField as error:
                raise BadField(f"{name.title()} {error}") from None


def at_home(header: bytes, home: str) -> bytes:
    """The header with ``@home`` behind bare names: outside of this house they would mean somebody else. A field that
    cannot be understood stays as it is."""
    return _FIELD.sub(lambda found: found[1] + found[2] + _at_home(found[1], found[3], home), header)


def _at_home(name: bytes, value: bytes, home: str) -> bytes:
    if not _ADDRESSES.fullmatch(name):
        return value
    try:
        return completed(value, home)
    except BadField:
        return value
