"""What a TLS channel can be told from others by: for SCRAM-SHA-256-PLUS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL

EXPORTER_LABEL = b"EXPORTER-Channel-Binding"  # RFC 9266 §4.1, with an empty context
EXPORTER_SIZE = 32  # octets, the same

#: RFC 5929 §4.1: these are too weak to tell certificates apart.
WEAK = ("md5", "sha1")


def channel_bindings(transport: Any) -> Mapping[str, bytes]:
    """Of a connection on which TLS is up."""
    handle: SSL.Connection = transport.getHandle()
    found = {"tls-server-end-point": _server_end_point(handle)}
    if handle.get_protocol_version() >= SSL.TLS1_3_VERSION:
        found["tls-exporter"] = handle.export_keying_material(EXPORTER_LABEL, EXPORTER_SIZE, b"")
    else:
        found["tls-unique"] = _unique(handle)
    return {name: octets for name, octets in found.items() if octets}


def _server_end_point(handle: SSL.Connection) -> bytes:
    """RFC 5929 §4: a hash of our certificate, the one that its own signature is made with. b"": it has none, as with
    Ed25519, or none that we know."""
    certificate = handle.get_certificate(as_cryptography=True)
    algorithm = _signature_hash(certificate) if isinstance(certificate, x509.Certificate) else None
    if certificate is None or algorithm is None:
        return b""
    return certificate.fingerprint(hashes.SHA256() if algorithm.name in WEAK else algorithm)


def _signature_hash(certificate: x509.Certificate) -> hashes.HashAlgorithm | None:
    try:
        return certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None


def _unique(handle: SSL.Connection) -> bytes:
    """RFC 5929 §3: the first Finished message, which is the client's in a full handshake. b"" for a session that was
    resumed: without RFC 7627, somebody in between could make it the same on both sides."""
    lib = SSL._lib  # type: ignore[attr-defined]  # pyOpenSSL has no public way to ask
    if lib.SSL_session_reused(handle._ssl):
        return b""
    return handle.get_peer_finished() or b""
