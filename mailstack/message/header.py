"""The header of a letter, looked at while it arrives. RFC 5322 §2.2. Lines end in LF."""

from __future__ import annotations

import re

#: Octets of header that are looked at; what stands behind is taken on trust.
MAX_SCANNED = 256 * 1024
MAX_LINE = 998  # octets without its end, RFC 5322 §2.1.1

_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_FIELD_BEGUN = re.compile(rb"[!-9;-~]*[ \t]*")
_RECEIVED = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)
_MESSAGE_ID = re.compile(rb"^message-id[ \t]*:[ \t]*(?:\n[ \t]+)?([^\s]{1,300})", re.IGNORECASE | re.MULTILINE)


class HeaderScan:
    """Keeps the header of a message that comes in pieces."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._whole = False

    def feed(self, chunk: bytes) -> None:
        if self._whole:
            return
        searched = max(0, len(self._head) - 1)
        self._head += chunk[: MAX_SCANNED - len(self._head)]
        # A message may begin with the blank line: then it has no header.
        end = 0 if self._head.startswith(b"\n") else self._head.find(b"\n\n", searched)
        self._whole = end >= 0 or len(self._head) >= MAX_SCANNED
        if end >= 0:
            del self._head[end:]

    @property
    def received(self) -> int:
        """Number of Received fields: the hops so far."""
        return len(_RECEIVED.findall(self._head))

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
