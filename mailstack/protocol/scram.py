"""The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, without I/O. RFC 5802, RFC 7677."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode

from attrs import field, frozen

from mailstack.protocol.sasl_steps import Agreed, Challenge, Lookup, Malformed, Opening, Proof, Step

KEY_SIZE = 32  # octets of a key, a proof and a signature: those of SHA-256

#: RFC 5802 §7. A name has "," and "=" as "=2C" and "=3D"; a nonce is printable without ",".
_SASLNAME = rb"(?:[^\0,=]|=2C|=3D)+"
_GS2_HEADER = rb"(?:(?P<flag>[ny])|p=(?P<binding>[A-Za-z0-9.-]+)),(?:a=(?P<authzid>" + _SASLNAME + rb"))?,"
# An extension that we must understand (m=) comes before the name, and so is malformed, as it must be.
_BARE = rb"n=(?P<name>" + _SASLNAME + rb"),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^\0,]+)*"
_FIRST = re.compile(rb"(?P<header>" + _GS2_HEADER + rb")(?P<bare>" + _BARE + rb")\Z")
_FINAL = re.compile(
    rb"(?P<message>c=(?P<channel>[^\0,]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^\0,]+)*),p=(?P<proof>[^\0,]+)\Z"
)


@frozen
class Verifier:
    """What the server keeps instead of a password. RFC 5802 §3: whoever has it can check a client, but not be one."""

    iterations: int
    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


def derive(password: bytes, salt: bytes, iterations: int) -> Verifier:
    """Slow, as it is meant to be: some 20 ms for 100,000 iterations."""
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return Verifier(iterations, salt, hashlib.sha256(client_key).digest(), server_key)


def signature(verifier: Verifier, proof: Proof) -> bytes | None:
    """The server's signature for a client whose proof is right; None: it is wrong. RFC 5802 §3."""
    client_signature = hmac.digest(verifier.stored_key, proof.message, "sha256")
    client_key = bytes(a ^ b for a, b in zip(proof.proof, client_signature, strict=True))
    if not hmac.compare_digest(hashlib.sha256(client_key).digest(), verifier.stored_key):
        return None
    return hmac.digest(verifier.server_key, proof.message, "sha256")


class Scram:
    """One exchange: first message, lookup, challenge, final message, proof, challenge, the empty end."""

    def __init__(self, plus: bool = False) -> None:
        """``plus``: the client must bind the exchange to the channel; without, it must not."""
        self._plus = plus
        self._next = self._first
        self._name = self._authzid = ""
        self._header = self._bare = self._client_nonce = b""
        self._opening = Opening("", b"", 0)
        self._said = self._signature = b""

    def step(self, response: bytes | None) -> Step:
        return self._next(response)

    def _first(self, response: bytes | None) -> Step:
        if response is None:
            return Challenge(b"")
        found = _FIRST.match(response)
        # RFC 5802 §6: the mechanism's name and the flag say the same.
        if found is None or self._plus != (found["binding"] is not None):
            return Malformed()
        try:
            self._name, self._authzid = _saslname(found["name"]), _saslname(found["authzid"] or b"")
        except ValueError:
            return Malformed()
        self._header, self._bare, self._client_nonce = found["header"], found["bare"], found["nonce"]
        self._next = self._supplied
        return Lookup(self._name, (found["flag"] or found["binding"]).decode("ascii"), self._open)

    def _open(self, opening: Opening) -> None:
        self._opening = opening

    def _supplied(self, response: bytes | None) -> Step:
        opening = self._opening
        salt = b64encode(opening.salt)
        self._said = b"r=%b%b,s=%b,i=%d" % (self._client_nonce, opening.nonce.encode(), salt, opening.iterations)
        self._next = self._final
        return Challenge(self._said)

    def _final(self, response: bytes | None) -> Step:
        found = _FINAL.match(response or b"")
        if found is None or found["nonce"] != self._client_nonce + self._opening.nonce.encode():
            return Malformed()
        try:
            channel, proof = b64decode(found["channel"], validate=True), b64decode(found["proof"], validate=True)
        except binascii.Error:
            return Malformed()
        if len(proof) != KEY_SIZE:
            return Malformed()
        bound = hmac.compare_digest(channel, self._header + self._opening.binding)
        message = b",".join((self._bare, self._said, found["message"]))
        self._next = self._proved
        return Proof(self._name, self._authzid, message, proof, bound, self._sign)

    def _sign(self, signature: bytes) -> None:
        self._signature = signature

    def _proved(self, response: bytes | None) -> Step:
        self._next = self._end
        return Challenge(b"v=" + b64encode(self._signature))

    def _end(self, response: bytes | None) -> Step:
        """The client has nothing to add: RFC 4954 §4 and RFC 5034 §4 have no room for data beside the last answer."""
        return Malformed() if response else Agreed()


def _saslname(octets: bytes) -> str:
    """ValueError: not UTF-8."""
    return octets.decode("utf-8").replace("=2C", ",").replace("=3D", "=")
