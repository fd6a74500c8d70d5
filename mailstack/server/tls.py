"""What TLS on a connection is, and the certificate that we make for ourselves."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailstack.durable import make_folders, replace

SELF_SIGNED_FOR = datetime.timedelta(days=3650)


def tls_name(transport: Any) -> str:
    """Version and cipher of a connection on which TLS is up."""
    handle = transport.getHandle()
    return f"{handle.get_protocol_version_name()} with cipher {handle.get_cipher_name()}"


def make_self_signed(certificate: Path, key: Path, names: Sequence[str], now: datetime.datetime) -> None:
    """A certificate that nobody vouches for: encrypts, but clients will ask whether to trust it. Blocking; OSError."""
    secret = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    builder = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=secret.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - datetime.timedelta(days=1),
        not_valid_after=now + SELF_SIGNED_FOR,
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    signed = builder.sign(secret, hashes.SHA256())
    make_folders(certificate.parent)
    pem = serialization.Encoding.PEM
    private = secret.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    # The key first: a certificate without its key would look finished after a crash.
    replace(key, private)
    replace(certificate, signed.public_bytes(pem))
