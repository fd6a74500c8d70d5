"""The client's side of SCRAM-SHA-256, without I/O: the password is proven and not sent. RFC 5802, RFC 7677.

Without channel binding: Python's ``ssl`` has none that TLS 1.3 knows.
"""

from __future__ import annotations

import binascii
import hmac
import re
from base64 import b64decode, b64encode
from hashlib import pbkdf2_hmac, sha256

#: PBKDF2 with so many takes some seconds; a server that asks for more wants to keep us busy. RFC 7677 §4 asks for 4,096
#: at least.
MAX_ITERATIONS = 10_000_000
LEAST_ITERATIONS = 4_096

_FIRST = re.compile(rb"r=(?P<nonce>[!-+\--~]+),s=(?P<salt>[A-Za-z0-9/+=]+),i=(?P<iterations>[1-9][0-9]{0,9})(?:,.*)?\Z")


class Distrust(Exception):
    """The server does not do what one that knows the password would; says how."""


class ScramClient:
    """``first``, then ``final`` of what the server says, then ``verify``; all of them before base64."""

    def __init__(self, name: str, password: bytes, nonce: str) -> None:
        """``password`` as SASLprep makes it; ``nonce`` is printable, without a comma, and new each time."""
        escaped = name.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={escaped},r={nonce}".encode()
        self._nonce = nonce.encode("ascii")
        self._password = password
        self._signature: bytes | None = None

    def first(self) -> bytes:
        return b"n,," + self._bare

    def final(self, challenge: bytes) -> bytes:
        """Distrust."""
        found = _FIRST.match(challenge)
        if found is None or not found["nonce"].startswith(self._nonce) or found["nonce"] == self._nonce:
            raise Distrust("its first message of SCRAM is wrong")
        iterations = int(found["iterations"])
        if not LEAST_ITERATIONS <= iterations <= MAX_ITERATIONS:
            raise Distrust(f"it asks for {iterations:,} iterations of SCRAM")
        try:
            salt = b64decode(found["salt"], validate=True)
        except binascii.Error:
            raise Distrust("its salt is not base64") from None
        salted = pbkdf2_hmac("sha256", self._password, salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = b"c=biws,r=" + found["nonce"]
        message = b",".join((self._bare, challenge, without_proof))
        self._signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        stored = hmac.digest(sha256(client_key).digest(), message, "sha256")
        return without_proof + b",p=" + b64encode(bytes(a ^ b for a, b in zip(client_key, stored, strict=True)))

    def verify(self, challenge: bytes) -> None:
        """Distrust: who is there does not know the password."""
        if self._signature is None or not hmac.compare_digest(challenge, b"v=" + b64encode(self._signature)):
            raise Distrust("it could not prove that it knows the password")
