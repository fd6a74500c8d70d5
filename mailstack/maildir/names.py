"""What the name of a file in a Maildir says: ``TIME.UNIQUE.HOST,S=<octets>,W=<octets with CRLF>:2,<flags>``.

Only the flags change in the life of a letter, so what is before the colon (the *base*) is its identity. Names are
foreign: nothing here fails on an odd one.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

_TIME = re.compile(r"[0-9]+(?=\.)")
_WIRE_SIZE = re.compile(r",W=([0-9]+)(?=,|\Z)")
_UNIQUE_ID = re.compile(r"[!-~]{1,70}\Z")  # RFC 1939 §7


def base(file_name: str) -> str:
    """The name without its flags."""
    return file_name.partition(":")[0]


def wire_size(base: str) -> int | None:
    """Octets with CRLF line ends, where the name has them."""
    found = _WIRE_SIZE.search(base)
    return int(found[1]) if found else None


def age(base: str) -> tuple[int, str]:
    """Sorts the oldest first; names without a time go before all others."""
    found = _TIME.match(base)
    return (int(found[0]) if found else 0, base)


def unique_ids(bases: Sequence[str]) -> list[str]:
    """The same ids for the same letters for ever: what is before the measures, as they may be added or corrected.

    Where that is no unique-id, or several letters share it, a hash takes its place: for each of them, so that none
    takes over the id of another that is removed.
    """
    stems = [name.partition(",")[0] for name in bases]
    shared = Counter(stems)
    return [
        stem if shared[stem] == 1 and _UNIQUE_ID.match(stem) else _hash(name if shared[stem] > 1 else stem)
        for stem, name in zip(stems, bases, strict=True)
    ]


def _hash(name: str) -> str:
    return sha256(os.fsencode(name)).hexdigest()
