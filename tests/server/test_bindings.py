"""What both ends of a TLS connection can tell it from others by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet.task import Clock

from mailstack.server import bindings
from mailstack.server.bindings import channel_bindings
from mailstack.server.certificates import Certificates
from mailstack.server.connections import Connections
from mailstack.server.smtp import Listening, SmtpFactory
from mailstack.server.tls import make_self_signed
from tests.fakes import ListCounts
from tests.intake.office import Office
from tests.server.recordings import ListSessions
from tests.server.test_tls import Client, load


@pytest.fixture
def certificate(tmp_path: Path) -> Certificates:
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_self_signed(*files, ["mail.office.test"], datetime(2026, 1, 2, tzinfo=UTC))
    return load(*files)


def connected(certificate: Certificates, version: int, before: Client | None = None) -> Client:
    """``before``: go on with its session."""
    office, clock = Office(), Clock()
    sessions = ListSessions(clock)
    listening = Listening(
        lambda peer: office.reception(submission=True, tls=False), 300, 180, None, 500, lambda peer: 0.0, sessions
    )
    client = Client(certificate, SmtpFactory(clock, Connections(10, 10, ListCounts()), listening), version)
    session = before.ssl.get_session() if before else None
    if before is not None and session is not None:
        client.ssl = SSL.Connection(before.ssl.get_context(), None)
        client.ssl.set_connect_state()
        client.ssl.set_session(session)
    client.talk()
    return client


def ours(client: Client) -> Mapping[str, bytes]:
    return channel_bindings(client.server.wrappedProtocol.transport)


def test_tls_1_3_has_an_exporter(certificate: Certificates) -> None:
    """RFC 9266: as the client sees it; tls-unique is not defined there."""
    client = connected(certificate, SSL.TLS1_3_VERSION)
    assert set(ours(client)) == {"tls-exporter", "tls-server-end-point"}
    assert ours(client)["tls-exporter"] == client.ssl.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")


def test_tls_1_2_has_its_first_finished_message(certificate: Certificates) -> None:
    """RFC 5929 §3."""
    client = connected(certificate, SSL.TLS1_2_VERSION)
    assert set(ours(client)) == {"tls-unique", "tls-server-end-point"}
    assert ours(client)["tls-unique"] == client.ssl.get_finished()


def test_a_resumed_session_has_none(certificate: Certificates) -> None:
    """Its first message may be the same on two channels, RFC 7627."""
    first = connected(certificate, SSL.TLS1_2_VERSION)
    assert set(ours(connected(certificate, SSL.TLS1_2_VERSION, first))) == {"tls-server-end-point"}


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_the_certificate(certificate: Certificates, version: int) -> None:
    """RFC 5929 §4."""
    client = connected(certificate, version)
    seen = client.ssl.get_peer_certificate(as_cryptography=True)
    assert isinstance(seen, x509.Certificate)
    assert ours(client)["tls-server-end-point"] == seen.fingerprint(hashes.SHA256())


class Channel:
    """TLS 1.2 with a certificate of ours."""

    def __init__(self, certificate: x509.Certificate) -> None:
        self._certificate = certificate

    def get_certificate(self, as_cryptography: bool) -> x509.Certificate:
        return self._certificate


def test_a_signature_that_we_do_not_know(tmp_path: Path) -> None:
    """There is no hash to take then, and EHLO must go on."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_self_signed(*files, ["mail.office.test"], datetime(2026, 1, 2, tzinfo=UTC))
    known = x509.load_pem_x509_certificate(files[0].read_bytes())
    oid = bytes.fromhex("2a8648ce3d040302")  # ecdsa-with-SHA256
    octets = known.public_bytes(Encoding.DER)
    assert oid in octets
    unknown = x509.load_der_x509_certificate(octets.replace(oid, oid[:-1] + b"\x7f"))
    assert bindings._server_end_point(Channel(known)) == known.fingerprint(hashes.SHA256())  # type: ignore[arg-type]
    assert bindings._server_end_point(Channel(unknown)) == b""  # type: ignore[arg-type]  # it has what is asked for


def test_two_channels_differ(certificate: Certificates) -> None:
    first, second = (ours(connected(certificate, SSL.TLS1_3_VERSION))["tls-exporter"] for _ in range(2))
    assert first != second
