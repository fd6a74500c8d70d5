"""Our certificate, and the conversation as it is over real TLS, in memory."""

from __future__ import annotations

import stat
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory

from mailstack.server.certificates import Certificates
from mailstack.server.connections import Connections
from mailstack.server.smtp import Listening, SmtpFactory
from mailstack.server.tls import make_self_signed
from tests.fakes import ListCounts, ListLog
from tests.intake.office import Office
from tests.server.recordings import ListSessions

NOW = datetime(2026, 1, 2, tzinfo=UTC)
NAMES = ["mail.office.test", "office.test"]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = tmp_path / "tls" / "cert.pem", tmp_path / "tls" / "key.pem"
    make_self_signed(certificate, key, NAMES, NOW)
    return certificate, key


def load(certificate: Path, key: Path) -> Certificates:
    loaded = Certificates([(certificate, key)], ListLog(), lambda: 0.0, lambda: 0.0)
    loaded.load()
    return loaded


class Client:
    """The other end of a TLS connection to a server's factory."""

    def __init__(self, certificate: Certificates, factory: Any, version: int = SSL.TLS1_3_VERSION) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(version)
        self.ssl = SSL.Connection(context, None)
        self.ssl.set_connect_state()
        self.transport = StringTransport()
        wrapped = TLSMemoryBIOFactory(certificate, False, factory, Clock())
        self.server = wrapped.buildProtocol(None)
        self.server.makeConnection(self.transport)
        self.said = b""
        self.closed = False

    def talk(self, data: bytes = b"") -> bytes:
        """Everything that goes back and forth until both are silent; what the server said meanwhile."""
        before = len(self.said)
        if data:
            self.ssl.send(data)
        for _ in range(10):
            self._read()
            self._carry()
        return self.said[before:]

    def _read(self) -> None:
        try:
            self.said += self.ssl.recv(65536)
        except SSL.ZeroReturnError:
            self.closed = True
            self.ssl.shutdown()
        except SSL.WantReadError:
            pass

    def _carry(self) -> None:
        with suppress(SSL.WantReadError):
            self.server.dataReceived(self.ssl.bio_read(65536))
        self.server.wrappedProtocol.clock.advance(0)
        self.server.factory._clock.advance(0)
        said = self.transport.value()
        self.transport.clear()
        if said:
            self.ssl.bio_write(said)


def smtp(office: Office, clock: Clock) -> SmtpFactory:
    def receive(peer: Any) -> Any:
        return office.reception(peer.address, submission=True, tls=False)

    listening = Listening(receive, 300.0, 60.0, None, 500.0, lambda peer: 0.0, ListSessions(clock))
    return SmtpFactory(clock, Connections(10, 10, ListCounts()), listening)


def test_session_over_tls(pair: tuple[Path, Path]) -> None:
    """The reception knows of TLS; after QUIT the server closes, as TLS and TCP want it."""
    client = Client(load(*pair), smtp(Office(), Clock()))
    assert client.talk() == b"220 mail.office.test ESMTP mailstack\r\n"
    assert b"AUTH PLAIN LOGIN" in client.talk(b"EHLO a\r\n")
    assert client.talk(b"AUTH PLAIN AGFsaWNlAHNlc2FtZQ==\r\n").startswith(b"235 ")
    assert client.talk(b"QUIT\r\n").startswith(b"221 ")
    assert client.closed
    assert client.transport.disconnecting


def test_plain_text_on_a_tls_port(pair: tuple[Path, Path]) -> None:
    """The connection ends, and nothing is left of it."""
    client = Client(load(*pair), smtp(Office(), Clock()))
    client.server.dataReceived(b"EHLO a\r\n")
    assert client.transport.disconnecting or client.transport.disconnected
    assert b"220" not in client.transport.value()


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_versions_in_use(pair: tuple[Path, Path], version: int) -> None:
    assert Client(load(*pair), smtp(Office(), Clock()), version).talk().startswith(b"220 ")


def test_old_versions_are_refused(pair: tuple[Path, Path]) -> None:
    """RFC 8996."""
    client = Client(load(*pair), smtp(Office(), Clock()), SSL.TLS1_1_VERSION)
    with pytest.raises(SSL.Error):
        client.talk()


def test_self_signed(pair: tuple[Path, Path]) -> None:
    """All names, ten years, no authority; keys for nobody else's eyes."""
    found = x509.load_pem_x509_certificate(pair[0].read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES
    assert found.not_valid_before_utc <= NOW - timedelta(hours=12)
    assert found.not_valid_after_utc > NOW + timedelta(days=3000)
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert stat.S_IMODE(pair[1].stat().st_mode) == 0o600
    assert stat.S_IMODE(pair[1].parent.stat().st_mode) == 0o700


def encrypted(key: Path) -> bytes:
    secret = serialization.load_pem_private_key(key.read_bytes(), None)
    return secret.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    )


def test_what_is_no_certificate_and_its_key(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """One clear error, no question on the terminal, and the former pair stays in use."""
    certificate, key = pair
    loaded = load(certificate, key)
    before = loaded.serverConnectionForTLS(None).get_context()  # type: ignore[arg-type]
    make_self_signed(tmp_path / "other.pem", tmp_path / "other_key.pem", NAMES, NOW)
    good = key.read_bytes()
    wrong = r"key\.pem (is not a PEM key|is not the key of .*cert\.pem|has a passphrase)"
    for bad in (b"", b"nonsense", certificate.read_bytes(), (tmp_path / "other_key.pem").read_bytes(), encrypted(key)):
        key.write_bytes(bad)
        with pytest.raises(ValueError, match=wrong):
            loaded.load()
    key.write_bytes(good)
    certificate.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="not a PEM certificate"):
        loaded.load()
    assert loaded.serverConnectionForTLS(None).get_context() is before  # type: ignore[arg-type]


def test_files_as_other_programs_write_them(pair: tuple[Path, Path]) -> None:
    """Both in one file, the traditional form of a key, and the parameters that "openssl ecparam" puts before it."""
    certificate, key = pair
    both = certificate.read_bytes() + key.read_bytes()
    secret = serialization.load_pem_private_key(key.read_bytes(), None)
    traditional = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    for content in (both, traditional, parameters + traditional, b"# a comment\n" + traditional):
        key.write_bytes(content)
        load(certificate, key)


@pytest.mark.parametrize("missing", [0, 1])
def test_error_names_the_file_that_is_missing(pair: tuple[Path, Path], missing: int) -> None:
    pair[missing].unlink()
    with pytest.raises(ValueError, match=f"No such file.*{pair[missing].name}"):
        load(*pair)


def test_new_connections_get_the_new_certificate(pair: tuple[Path, Path]) -> None:
    loaded = load(*pair)
    old = Client(loaded, smtp(Office(), Clock()))
    old.talk()
    make_self_signed(*pair, NAMES, NOW)
    loaded.load()
    new = Client(loaded, smtp(Office(), Clock()))
    new.talk()
    serials = [each.ssl.get_peer_certificate().get_serial_number() for each in (old, new)]  # type: ignore[union-attr]
    assert serials[0] != serials[1]
    assert serials[1] == x509.load_pem_x509_certificate(pair[0].read_bytes()).serial_number
    assert old.talk(b"NOOP\r\n").startswith(b"250 "), "who is connected stays so"
