"""What a message of our own users gets and loses before it goes out. RFC 6409 §8.

Nothing else is changed, not even the folding of a field: signatures that the user's program made stay good.
"""

from __future__ import annotations

import re

from attrs import frozen

from mailstack.message.trace import date
from mailstack.model.address import Address

#: Lines that are fields or go on with one. The header ends where they end, as Postfix has it.
_FIELDS = re.compile(rb"(?:(?:[!-9;-~]+[ \t]*:|[ \t])[^\n]*(?:\n|\Z))*")
#: Fields that we look at, each behind a line end, which is found fast; group 2 is the value with continuation lines.
_KNOWN = re.compile(rb"\n(date|from|sender|message-id)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE)
_BLIND = re.compile(
    rb"^(?:resent-)?bcc[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*\n?",
    re.IGNORECASE | re.MULTILINE,
)


@frozen
class SubmittedHeader:
    """The header that a user's program made. ``behind`` are lines that are not part of it although no blank line parts
    them."""

    octets: bytes
    behind: bytes
    values: dict[str, list[bytes]]  #: by name in lower case, as they came; of Date, From, Sender and Message-ID

    @classmethod
    def of(cls, octets: bytes) -> SubmittedHeader:
        """All that stands before the first blank line; it begins with a field or is empty."""
        found = _FIELDS.match(octets)
        end = found.end() if found else 0
        values: dict[str, list[bytes]] = {}
        for name, value in _KNOWN.findall(b"\n" + octets[:end]):
            values.setdefault(name.decode("ascii").lower(), []).append(value)
        return cls(octets[:end], octets[end:], values)

    def all(self, name: str) -> list[bytes]:
        return self.values.get(name, [])

    def completed(self, author: Address, message_id: str, now: float) -> bytes:
        """With the fields that every message must have (RFC 5322 §3.6), without the names of those who got it in
        secret (§3.6.3). What is added stands at the top."""
        shown = str(author) if author.isascii else author.unicode
        usual = (("Date", date(now)), ("From", shown), ("Message-ID", message_id))
        added = "".join(f"{name}: {value}\n" for name, value in usual if name.lower() not in self.values)
        kept = _BLIND.sub(b"", self.octets) if b"bcc" in self.octets.lower() else self.octets
        # A blank line, so that all who read it see the same header.
        return added.encode("utf-8") + kept + (b"\n" + self.behind if self.behind else b"")
