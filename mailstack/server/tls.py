"""Our certificate, for every listener. It can be read again while the server runs."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from mailstack.durable import make_folders, replace

SELF_SIGNED_FOR = datetime.timedelta(days=3650)


@implementer(IOpenSSLServerConnectionCreator)
class ServerCertificate:
    """TLS 1.2 and newer (RFC 8996), with the certificate that was read last."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._context: SSL.Context | None = None

    def load(self) -> None:
        """Read both files; new connections use them. OSError: unreadable. ValueError: not a certificate and its key.
        After an error the former ones stay in use."""
        self._context = _context(self._certificate, self._key)

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        assert self._context is not None, "load() comes before the first connection"
        return SSL.Connection(self._context, None)


def _context(certificate: Path, key: Path) -> SSL.Context:
    with certificate.open("rb"):
        pass  # OpenSSL's own error would not say which file, nor why
    # Not read by OpenSSL: it would ask for a passphrase on the terminal, and the whole server would wait for it.
    secret = key.read_bytes()
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    try:
        context.use_certificate_chain_file(str(certificate))
        # A key of a kind that is no use here is a TypeError.
        context.use_privatekey(serialization.load_pem_private_key(secret, None))  # type: ignore[arg-type]
        context.check_privatekey()
    except (SSL.Error, ValueError, TypeError, UnsupportedAlgorithm):
        wrong = "are not a PEM certificate and its key without a passphrase"
        raise ValueError(f"{certificate} and {key} {wrong}") from None
    return context


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
