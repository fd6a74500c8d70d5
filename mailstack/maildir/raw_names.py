"""What the names of files in a Maildir say, as octets: ``TIME.UNIQUE.HOST,S=<octets>,W=<octets with CRLF>:2,<flags>``.

Only the flags change in the life of a letter, so what is before the colon (the *base*) is its identity; and some
programs add or mend the measures, so for its unique-id only what is before the first comma (the *stem*) counts. Names
are foreign octets: nothing here fails on an odd one.
"""

from __future__ import annotations

import re
from hashlib import sha256
from urllib.parse import unquote_to_bytes

_WIRE_SIZE = re.compile(rb",W=([0-9]{1,18})(?=,|\Z)")
SURROGATE = b",U="
_SURROGATE_SIZE = re.compile(SURROGATE + rb"([0-9]{1,18})(?=,|\Z)")
_TIME = re.compile(rb"0*([0-9]{0,250})\.")
_LETTER_ID = re.compile(rb"[0-9]+\.Q([0-9A-Za-z]+)\.")
_KEPT_ID = re.compile(rb"[0-9]+\.U([^.]+)\.")
_OURS = re.compile(rb"[0-9]+\.(?:Q[0-9A-Za-z]+|U[^.]+)\.")
_PLAIN = re.compile(rb"(?![0-9]+\.U)[!-~]{1,70}\Z")  # a stem that is its own unique-id
_UNIQUE_ID = re.compile(rb"[!-~]{1,70}\Z")  # RFC 1939 §7


def base(file_name: bytes) -> bytes:
    """The name without its flags."""
    return file_name.partition(b":")[0]


def stem(base: bytes) -> bytes:
    """The name without its measures."""
    return base.partition(b",")[0]


def wire_size(base: bytes) -> int | None:
    """Octets with CRLF line ends, where the name has them."""
    found = _WIRE_SIZE.search(base)
    return int(found[1]) if found else None


def surrogate_size(base: bytes) -> int | None:
    """Octets with CRLF line ends of what programs get that cannot have UTF-8 in the header; None: the letter needs none
    there."""
    found = _SURROGATE_SIZE.search(base)
    return int(found[1]) if found else None


def time(base: bytes) -> int | None:
    """Unix time of the delivery; None: the name does not tell."""
    found = _TIME.match(base)
    return int(found[1]) if found and found[1] else None


def letter_id(base: bytes) -> str | None:
    """The queue id of a letter that this server has delivered."""
    found = _LETTER_ID.match(base)
    return found[1].decode("ascii") if found else None


def is_ours(stem: bytes) -> bool:
    """A letter that this server has delivered or taken over: its measures are right."""
    return _OURS.match(stem) is not None


def order(base: bytes) -> bytes:
    """An octet, never 0, that makes bases sort by age when it is put in front of them, the oldest first: it tells how
    many digits the time has. Names without a time go before all others."""
    if base[10:11] == b"." and base[:1] != b"0" and base[:10].isdigit():
        return b"\x0b"  # ten, from 2001 until 2286
    found = _TIME.match(base)
    return bytes([len(found[1]) + 1]) if found else b"\x01"


def unique_id(stem: bytes) -> bytes:
    """The same for the same letter for ever: the one that the name keeps (:func:`.names.keeping`), else the stem; where
    that is none by RFC 1939, a hash."""
    if _PLAIN.match(stem):
        return stem
    kept = _KEPT_ID.match(stem)
    uid = unquote_to_bytes(kept[1]) if kept else stem
    return uid if _UNIQUE_ID.match(uid) else _hash(stem)


def shared_id(base: bytes) -> bytes:
    """What each of several letters has that would have the same unique-id: none takes over that of another which is
    removed."""
    return _hash(base)


def _hash(name: bytes) -> bytes:
    return sha256(name).hexdigest().encode("ascii")
