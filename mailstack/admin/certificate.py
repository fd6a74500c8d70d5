"""A certificate and its key: readable, a pair, in time, for our name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mailstack.admin.findings import Finding, Level

SOON = timedelta(days=14)  # certificates for 90 days are renewed a month before their end


def inspect(certificate: Path, key: Path, hostname: str, now: datetime) -> Iterator[Finding]:
    try:
        leaf = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        secret = _key(key)
    except OSError as error:
        yield Finding(Level.PROBLEM, f"{error.filename} cannot be read: {error.strerror}")
        return
    except Unusable as error:
        yield Finding(Level.PROBLEM, str(error))
        return
    except ValueError:
        yield Finding(Level.PROBLEM, f"{certificate} is not a PEM certificate")
        return
    if _public(leaf.public_key()) != _public(secret.public_key()):
        yield Finding(Level.PROBLEM, f"{key} is not the key of {certificate}")
        return
    yield _time(certificate, leaf, now)
    if not _covers(leaf, hostname):
        yield Finding(Level.WARNING, f"{certificate} is not for {hostname}: mail programs will complain")


class Unusable(Exception):
    """A key, and what is wrong with it."""


def _key(path: Path) -> PrivateKeyTypes:
    content = path.read_bytes()
    try:
        return load_pem_private_key(content, None)
    except TypeError:
        raise Unusable(f"{path} has a passphrase, which nobody could type at a start; remove it") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Unusable(f"{path} is not a PEM key") from None


def _public(key: object) -> bytes:
    octets: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return octets


def _time(path: Path, leaf: x509.Certificate, now: datetime) -> Finding:
    until = leaf.not_valid_after_utc
    day = until.strftime("%Y-%m-%d")
    if now > until:
        return Finding(Level.PROBLEM, f"{path} has expired on {day}")
    if now < leaf.not_valid_before_utc:
        return Finding(Level.PROBLEM, f"{path} is valid from {leaf.not_valid_before_utc:%Y-%m-%d} only")
    if until - now < SOON:
        return Finding(Level.WARNING, f"{path} expires on {day}")
    return Finding(Level.OK, f"{path}: valid until {day}, with its key")


def _covers(leaf: x509.Certificate, hostname: str) -> bool:
    """RFC 6125 §6.4: a wildcard stands for one whole label."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
    except x509.ExtensionNotFound:
        return False
    wildcard = "*." + hostname.partition(".")[2]
    return any(name.lower() in (hostname, wildcard) for name in names)
