"""Passwords as Dovecot writes them: ``{SCHEME}`` and a hash. New ones are argon2id.

``make`` and ``verify`` take 100 ms and more with 64 MiB of memory, so they belong into a thread.
"""

from __future__ import annotations

import re
import secrets

from mailstack.accounts import verifiers
from mailstack.accounts.schemes import CLEAR, SCHEMES, SCRAM, Check, Stored, UnusablePassword
from mailstack.protocol.scram import Verifier

#: Nobody's password, at argon2-cffi's default cost: checked for users that do not exist, so that it takes as long.
DUMMY = "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=4$TIpvbjZC1IKTDut9FpFk0A$QU/AiLOO1IKLVy1DUqfmc4eB6g/6+Gmznr49gB0h3u8"
#: What a password without ``{SCHEME}`` is, in a passwd-file of Dovecot's.
DEFAULT_SCHEME = "CRYPT"

_STORED = re.compile(r"\{([A-Za-z0-9-]+)(?:\.(b64|base64|hex))?\}(.*)\Z", re.IGNORECASE | re.DOTALL)

_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # without those that look alike


def make(password: str) -> str:
    """What to store for a new password."""
    from argon2 import PasswordHasher  # here, because most commands need no password and start quicker

    return "{ARGON2ID}" + PasswordHasher().hash(_octets(password))


def made_up() -> str:
    """A new password of 100 bits that can be read to somebody: four groups of five."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(4))


def verify(text: str, password: str) -> bool:
    """Whether ``password`` fits. UnusablePassword; MemoryError when argon2 did not get what it needs."""
    return _opened(text)(_octets(password))


def trouble(text: str) -> str | None:
    """Why nobody can log in with this; None when somebody can. Quick."""
    try:
        _opened(text)
    except UnusablePassword as error:
        return str(error)
    return None


def clear(text: str) -> str | None:
    """The password itself, where it is stored as it is."""
    stored = parse(text)
    try:
        return stored.octets("").decode("utf-8", "surrogateescape") if stored.scheme in CLEAR else None
    except ValueError:
        return None


def keys(text: str, further: str) -> Verifier | None:
    """What SCRAM has beside the password, or as its hash; ``further`` are the fields behind it. ValueError: they cannot
    be understood."""
    stored = parse(text)
    return verifiers.parse(stored.text()) if stored.scheme == SCRAM else verifiers.beside(text, further)


def parse(text: str) -> Stored:
    found = _STORED.match(text)
    if found is None:
        return Stored(DEFAULT_SCHEME, "", text)
    return Stored(found[1].upper(), (found[2] or "").upper(), found[3])


def _opened(text: str) -> Check:
    if not text:
        raise UnusablePassword("there is no password")
    stored = parse(text)
    scheme = SCHEMES.get(stored.scheme)
    if scheme is None:
        raise UnusablePassword(f"the password scheme {{{stored.scheme}}} is not known")
    try:
        return scheme(stored)
    except UnusablePassword:
        raise
    except ValueError as error:
        raise UnusablePassword(f"this is no password of the scheme {{{stored.scheme}}}") from error


def _octets(password: str) -> bytes:
    """As they came over the wire: what is not UTF-8 was decoded with ``surrogateescape``."""
    return password.encode("utf-8", "surrogateescape")
