"""Keys for SCRAM-SHA-256 as text: ``iterations,salt,StoredKey,ServerKey``, as Dovecot writes them.

Those that stand beside a hash, as the extra field ``scram_sha_256=…``, have a salt that is made from that hash. So when
somebody changes the hash and leaves the keys (to lock an account, say), the old password is out for SCRAM, too.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode

from mailstack.accounts import extra_fields
from mailstack.accounts.saslprep import octets
from mailstack.protocol.scram import KEY_SIZE, Verifier, derive

#: For new keys. RFC 7677 §4 asks for 4,096 at least; Dovecot and PostgreSQL have that, Prosody 10,000. Whoever got hold
#: of the file needs ten times as long for a guess as with theirs; a client 10 ms for each log-in, an old telephone some
#: tenths of a second. Cyrus SASL takes no more than 65,536.
ITERATIONS = 50_000
SALT_SIZE = 16  # octets, as Dovecot's

FIELD = "scram_sha_256"


def make(stored: str, password: str) -> str:
    """For a new password and its hash. Takes a moment."""
    return text(derive(octets(password), salt(stored), ITERATIONS))


def text(keys: Verifier) -> str:
    parts = (b64encode(part).decode("ascii") for part in (keys.salt, keys.stored_key, keys.server_key))
    return ",".join((str(keys.iterations), *parts))


def parse(written: str) -> Verifier:
    """ValueError."""
    iterations, *parts = written.split(",")
    salted, stored_key, server_key = (b64decode(part, validate=True) for part in parts)
    if int(iterations) < 1 or not salted or {len(stored_key), len(server_key)} != {KEY_SIZE}:
        raise ValueError("no keys of SCRAM-SHA-256")
    return Verifier(int(iterations), salted, stored_key, server_key)


def beside(stored: str, further: str) -> Verifier | None:
    """The keys of an account: ``stored`` is its hash, ``further`` are the fields behind it. None if there are none that
    go with the hash. ValueError: they cannot be understood."""
    written = extra_fields.value(further, FIELD)
    if not written:
        return None
    keys = parse(written)
    return keys if keys.salt == salt(stored) else None


def replaced(further: str, keys: str) -> str:
    """The fields behind a password with other keys ("": none); everything else stays as it is."""
    return extra_fields.replaced(further, FIELD, keys)


def salt(stored: str) -> bytes:
    """Everybody may ask for a salt; of the hash it tells nothing, for that has a salt of its own."""
    return hashlib.sha256(stored.encode("utf-8", "surrogateescape")).digest()[:SALT_SIZE]
