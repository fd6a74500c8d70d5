"""A certificate and its key as they are on the disk: when they are no good, which of the two, and why."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


class Unusable(ValueError):
    """A certificate or a key, and what is wrong with it."""


def read(certificate: Path, key: Path) -> tuple[x509.Certificate, PrivateKeyTypes]:
    """The first certificate of the file, and its key. OSError, Unusable."""
    leaf, secret = _leaf(certificate), _key(key)
    if _public(leaf) != _public(secret):
        raise Unusable(f"{key} is not the key of {certificate}")
    return leaf, secret


def _leaf(path: Path) -> x509.Certificate:
    content = path.read_bytes()
    try:
        return x509.load_pem_x509_certificates(content)[0]
    except (ValueError, x509.InvalidVersion):
        raise Unusable(f"{path} is not a PEM certificate") from None


def _key(path: Path) -> PrivateKeyTypes:
    content = path.read_bytes()
    try:
        return load_pem_private_key(content, None)
    except TypeError:
        raise Unusable(f"{path} has a passphrase, which nobody could type at a start; remove it") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Unusable(f"{path} is not a PEM key") from None


def _public(owner: x509.Certificate | PrivateKeyTypes) -> bytes | None:
    """None: of a kind that nobody here knows."""
    try:
        return owner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return None
