"""The beginning of a message, so cut that it still is one."""

from __future__ import annotations

import re

#: RFC 2046 §5.1.1, bchars.
_BOUNDARY = re.compile(
    rb"^Content-Type[ \t]*:[ \t]*multipart/[^\n]*(?:\n(?=[ \t])[^\n]*){0,20}?[; \t]boundary="
    rb"(?:\"([0-9A-Za-z'()+_,./:=? -]{1,70})\"|([0-9A-Za-z'()+_,./:=?-]{1,70}))",
    re.IGNORECASE | re.MULTILINE,
)


def header_of(original: bytes, limit: int) -> bytes:
    """At most so many octets, whole lines, LF line ends."""
    header = b"" if original.startswith(b"\n") else original.partition(b"\n\n")[0]
    return _whole_lines(header[:limit].replace(b"\r", b""), limit)


def excerpt(original: bytes, limit: int) -> bytes:
    """All of it, if it has no more octets than that; else whole lines of its beginning, with the end of its outermost
    multipart, so that no reader misses it. Nothing where not even the header fits in."""
    if len(original) <= limit:
        return original
    header = header_of(original, limit)
    start = _whole_lines(original[:limit], limit)
    if len(header) + 2 >= len(start):
        return b""
    found = _BOUNDARY.search(header)
    end = b"" if found is None else b"\n--%s--\n" % (found[1] or found[2])
    return start + b"\n" + end


def _whole_lines(octets: bytes, limit: int) -> bytes:
    return octets if len(octets) < limit else octets.rpartition(b"\n")[0] or octets
