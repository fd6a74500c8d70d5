"""Dovecot's password schemes: what stands behind ``{SCHEME}`` and how a password is compared with it.

Opening a hash looks at its form and is quick; the check that it returns may be slow.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from functools import partial

from attrs import frozen

from mailstack.accounts import saslprep, verifiers
from mailstack.protocol.scram import derive

Check = Callable[[bytes], bool]


class UnusablePassword(ValueError):
    """Nobody can log in with this, and why."""


@frozen
class Stored:
    """``{SCHEME.ENCODING}hash`` in its parts; ``encoding`` is ``HEX``, ``B64``, ``BASE64`` or "" for the usual one."""

    scheme: str
    encoding: str
    hash: str

    def octets(self, usual: str) -> bytes:
        """The hash decoded. ValueError."""
        encoding = self.encoding or usual
        if encoding == "HEX":
            return bytes.fromhex(self.hash)
        if encoding in ("B64", "BASE64"):
            return base64.b64decode(self.hash, validate=True)
        return self.hash.encode("utf-8", "surrogateescape")

    def text(self) -> str:
        """The hash of a scheme that is text by itself. ValueError."""
        return self.octets("").decode("ascii")


def _plain(stored: Stored) -> Check:
    return partial(hmac.compare_digest, stored.octets(""))


def _digest(algorithm: str, usual: str = "B64") -> Callable[[Stored], Check]:
    """The digest of password and salt, followed by the salt, which may be empty."""
    size = hashlib.new(algorithm).digest_size

    def opened(stored: Stored) -> Check:
        octets = stored.octets(usual)
        if len(octets) < size:
            raise ValueError("too short")
        digest, salt = octets[:size], octets[size:]
        return lambda password: hmac.compare_digest(hashlib.new(algorithm, password + salt).digest(), digest)

    return opened


def _pbkdf2(stored: Stored) -> Check:
    """``$1$salt$rounds$hash in hex``, SHA-1."""
    empty, version, salt, rounds, digest = stored.text().split("$")
    if empty or version != "1" or int(rounds) < 1:
        raise ValueError("not version 1")
    expected = bytes.fromhex(digest)

    def check(password: bytes) -> bool:
        derived = hashlib.pbkdf2_hmac("sha1", password, salt.encode(), int(rounds), len(expected))
        return hmac.compare_digest(derived, expected)

    return check


def _scram(stored: Stored) -> Check:
    """``iterations,salt,StoredKey,ServerKey``; SCRAM itself uses these, too."""
    keys = verifiers.parse(stored.text())

    def check(password: bytes) -> bool:
        octets = saslprep.octets(password.decode("utf-8", "surrogateescape"))
        return hmac.compare_digest(derive(octets, keys.salt, keys.iterations).stored_key, keys.stored_key)

    return check


def _argon2(stored: Stored) -> Check:
    """The variant stands in the hash itself. MemoryError from the check when there is not enough of it."""
    from argon2 import PasswordHasher, exceptions, extract_parameters  # here, because the command line starts quicker

    text = stored.text()
    extract_parameters(text)

    def check(password: bytes) -> bool:
        try:
            return PasswordHasher().verify(text, password)
        except exceptions.VerifyMismatchError:
            return False
        except exceptions.VerificationError as error:
            raise MemoryError(str(error)) from error

    return check


def _crypt(stored: Stored) -> Check:
    """crypt(3) by its prefix: ``$6$``, ``$5$``, ``$1$``, ``$2y$``, or the old DES."""
    from passlib.context import CryptContext  # type: ignore[import-untyped]  # libpass has no type marks

    context = CryptContext(["sha512_crypt", "sha256_crypt", "md5_crypt", "bcrypt", "des_crypt"])
    text = stored.text()
    name = context.identify(text, required=True)
    if name == "bcrypt" and not context.handler("bcrypt").has_backend():
        raise UnusablePassword("this hash needs the Python package bcrypt")
    if context.handler(name).from_string(text).checksum is None:
        raise ValueError("a salt without a hash")

    def check(password: bytes) -> bool:
        try:
            return bool(context.verify(password, text))
        except ValueError:
            return False  # a password with NUL or of more than 4096 octets, which crypt cannot take

    return check


CLEAR = ("PLAIN", "CLEAR", "CLEARTEXT")
SCRAM = "SCRAM-SHA-256"

SCHEMES: dict[str, Callable[[Stored], Check]] = {
    **dict.fromkeys(CLEAR, _plain),
    **dict.fromkeys(("ARGON2", "ARGON2I", "ARGON2ID"), _argon2),
    **dict.fromkeys(("CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "MD5-CRYPT", "BLF-CRYPT", "DES-CRYPT"), _crypt),
    "PBKDF2": _pbkdf2,
    SCRAM: _scram,
    "PLAIN-MD5": _digest("md5", "HEX"),
    **dict.fromkeys(("LDAP-MD5", "SMD5"), _digest("md5")),
    **dict.fromkeys(("SHA", "SHA1", "SSHA"), _digest("sha1")),
    **dict.fromkeys(("SHA256", "SSHA256"), _digest("sha256")),
    **dict.fromkeys(("SHA512", "SSHA512"), _digest("sha512")),
}
