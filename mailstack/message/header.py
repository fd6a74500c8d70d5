"""The header of a letter, looked at while it arrives. RFC 5322 §2.2. Lines end in LF."""

from __future__ import annotations

import re

MAX_LINE = 998  # octets without its end, RFC 5322 §2.1.1

_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_FIELD_BEGUN = re.compile(rb"[!-9;-~]*[ \t]*")
_RECEIVED = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)
_MESSAGE_ID = re.compile(rb"^message-id[ \t]*:[ \t]*(?:\n[ \t]+)?([^\s]{1,300})", re.IGNORECASE | re.MULTILINE)


class HeaderScan:
    """Keeps the header of a message that comes in pieces."""

    def __init__(self, limit: int) -> None:
        """``limit`` in octets with CRLF; when it is passed, :attr:`too_big` is set and nothing more is kept."""
        self._limit = limit
        self._head = bytearray()
        self._lines = 0
        self.whole = False  #: the blank line behind it has come
        self.too_big = False

    def feed(self, chunk: bytes) -> int:
        """Returns how many octets of it belong to the header; the first one behind those begins the blank line."""
        if self.whole or self.too_big:
            return 0
        end = self._end(chunk)
        more = chunk[:end]
        self._head += more
        self._lines += more.count(b"\n")
        self.too_big = len(self._head) + self._lines > self._limit
        return end

    def _end(self, chunk: bytes) -> int:
        # A message may begin with the blank line: then it has no header.
        if chunk.startswith(b"\n") and (not self._head or self._head.endswith(b"\n")):
            self.whole = True
            return 0
        end = chunk.find(b"\n\n") + 1
        self.whole = end > 0
        return end or len(chunk)

    @property
    def octets(self) -> bytes:
        """The header with its last line end, or what there is of it."""
        return bytes(self._head)

    def become(self, octets: bytes) -> None:
        """The header was changed to this."""
        self._head[:] = octets

    @property
    def received(self) -> int:
        """Number of Received fields: the hops so far."""
        return len(_RECEIVED.findall(self._head))

    @property
    def isascii(self) -> bool:
        """Whether every server can take it, as far as it was looked at."""
        return self._head.isascii()

    @property
    def message_id(self) -> str:
        found = _MESSAGE_ID.search(self._head)
        return found[1].decode("ascii", "backslashreplace") if found else ""


def begins_with_field(start: bytes) -> bool | None:
    """Whether a message begins with a header field, or with the blank line after an empty header; None: ``start`` is
    too short to tell. If it does not, a blank line must part it from the fields that we put before, or its first lines
    would be taken for parts of them."""
    # What stands behind does not count, or the answer would depend on how the message was cut.
    head = start[:MAX_LINE]
    if head.startswith(b"\n") or _FIELD.match(head):
        return True
    return None if _FIELD_BEGUN.fullmatch(head) and len(head) < MAX_LINE else False
