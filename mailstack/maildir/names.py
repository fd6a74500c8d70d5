"""What the name of a file in a Maildir says: ``TIME.UNIQUE.HOST,S=<octets>,W=<octets with CRLF>:2,<flags>``.
Letters with UTF-8 in the header have ``,U=<octets>`` as well, :func:`surrogate_size`.

Only the flags change in the life of a letter, so what is before the colon (the *base*) is its identity. Names are
foreign: nothing here fails on an odd one.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from urllib.parse import unquote

_TIME = re.compile(r"[0-9]+(?=\.)")
_WIRE_SIZE = re.compile(r",W=([0-9]+)(?=,|\Z)")
_SURROGATE_SIZE = re.compile(r",U=([0-9]+)(?=,|\Z)")
_LETTER_ID = re.compile(r"[0-9]+\.Q([0-9A-Za-z]+)\.")
_KEPT_ID = re.compile(r"[0-9]+\.U([^.]+)\.")
_KEPT_ID_ESCAPES = "%.,:/"  # what a unique-id may have, and the unique part of a file name may not
_UNIQUE_ID = re.compile(r"[!-~]{1,70}\Z")  # RFC 1939 §7


def base(file_name: str) -> str:
    """The name without its flags."""
    return file_name.partition(":")[0]


def wire_size(base: str) -> int | None:
    """Octets with CRLF line ends, where the name has them."""
    found = _WIRE_SIZE.search(base)
    return int(found[1]) if found else None


def surrogate_size(base: str) -> int | None:
    """Octets with CRLF line ends of what programs get that cannot have UTF-8 in the header; None: the letter needs none
    there."""
    found = _SURROGATE_SIZE.search(base)
    return int(found[1]) if found else None


def letter_id(base: str) -> str | None:
    """The queue id of a letter that this server has delivered."""
    found = _LETTER_ID.match(base)
    return found[1] if found else None


def keeping(uid: str, time: int, host: str) -> str:
    """The stem of a file whose letter shall keep a unique-id that it had elsewhere: ``TIME.U<unique-id>.HOST``.

    The name alone says it, so it stays wherever the file goes. A file name has at most 255 octets: a unique-id of 70
    characters takes up to 210.
    """
    escaped = "".join(f"%{ord(char):02X}" if char in _KEPT_ID_ESCAPES else char for char in uid)
    return f"{time}.U{escaped}.{host}"


def age(base: str) -> tuple[int, str]:
    """Sorts the oldest first; names without a time go before all others."""
    found = _TIME.match(base)
    return (int(found[0]) if found else 0, base)


def unique_ids(bases: Sequence[str]) -> list[str]:
    """The same ids for the same letters for ever: the one that the name keeps (:func:`keeping`), else what is before
    the measures, as they may be added or corrected.

    Where that is no unique-id, or several letters share it, a hash takes its place: for each of them, so that none
    takes over the id of another that is removed.
    """
    stems = [_identity(name.partition(",")[0]) for name in bases]
    shared = Counter(stems)
    return [
        stem if shared[stem] == 1 and _UNIQUE_ID.match(stem) else _hash(name if shared[stem] > 1 else stem)
        for stem, name in zip(stems, bases, strict=True)
    ]


def _identity(stem: str) -> str:
    kept = _KEPT_ID.match(stem)
    return unquote(kept[1], errors="surrogateescape") if kept else stem


def _hash(name: str) -> str:
    return sha256(os.fsencode(name)).hexdigest()
