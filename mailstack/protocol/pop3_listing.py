"""What a server says of its letters, in LIST and UIDL: read with distrust. RFC 1939 §5, §7."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from attrs import frozen

_NUMBERED = re.compile(rb"([0-9]{1,10})[ \t]+(.*\S)\s*\Z", re.DOTALL)


@frozen
class Listed:
    """A letter. ``uid`` is None where none tells it from the others: missing, or the same as another one's. It may be
    longer than RFC 1939 allows, or have other characters."""

    number: int
    size: int  #: octets, as the server says; it may be wrong
    uid: str | None


def sizes(rows: Iterable[bytes]) -> dict[int, int]:
    """Number to octets. Rows that say nothing are left out."""
    found = {}
    for row in rows:
        number, text = _numbered(row)
        size = text.split()[0] if text else b""
        if number and size.isdigit() and len(size) < 16:
            found[number] = int(size)
    return found


def unique_ids(rows: Iterable[bytes]) -> dict[int, bytes]:
    return {number: text for row in rows for number, text in [_numbered(row)] if number}


def listed(sizes: dict[int, int], uids: dict[int, bytes]) -> list[Listed]:
    """All letters that LIST or UIDL knows, in their order."""
    shared = Counter(uids.values())
    numbers = sorted(sizes.keys() | uids.keys())
    return [_listed(number, sizes.get(number, 0), uids.get(number), shared) for number in numbers]


def _listed(number: int, size: int, uid: bytes | None, shared: Counter[bytes]) -> Listed:
    if uid is None or shared[uid] > 1:
        return Listed(number, size, None)
    return Listed(number, size, uid.decode("latin-1"))


def _numbered(row: bytes) -> tuple[int, bytes]:
    """Zero: it is no such row."""
    found = _NUMBERED.match(row)
    return (int(found[1]), found[2]) if found else (0, b"")
