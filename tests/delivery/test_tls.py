"""Handshakes with servers of all kinds, in memory: what is agreed, and what is thought of the certificate."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.ssl import Certificate

from mailstack.delivery.tls import RENEWED, Contexts, Handshake
from mailstack.interfaces.delivery import Policy

NAME = "mx.x.test"
DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC)


class Authority:
    """Signs what it is told to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = rsa.generate_private_key(65537, 2048)
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Some Authority")])
        self.certificate = self._signed(self._name, self._key, [], NOW + DAY, authority=True)

    def trust(self) -> Certificate:
        return Certificate.loadPEM(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _signed(
        self, subject: x509.Name, key: rsa.RSAPrivateKey, names: Sequence[str], end: datetime.datetime, authority: bool
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(NOW - 2 * DAY).not_valid_after(end)
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
        return builder.sign(self._key, hashes.SHA256())

    def server(self, *names: str, end: datetime.datetime = NOW + DAY) -> ssl.SSLContext:
        """With a certificate for these names."""
        key = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
        made = self._signed(subject, key, names, end, authority=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self._folder / "server.pem"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Meeting:
    """One handshake."""

    def __init__(
        self,
        server: ssl.SSLContext,
        trust: Certificate | None = None,
        level: str = "opportunistic",
        names: Sequence[str] = (NAME,),
        host: str = NAME,
    ) -> None:
        self.seen: list[str | None] = []
        server.sni_callback = lambda sock, name, context: self.seen.append(name)
        self.handshake = Handshake(Contexts(trust, lambda: 0.0), Policy(level, tuple(names)), host)
        self.client = self.handshake.clientConnectionForTLS(None)  # type: ignore[arg-type]  # is not used
        self.client.set_connect_state()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(self._in, self._out, server_side=True)
        self.error = ""
        self._shake()

    def _shake(self) -> None:
        for _ in range(10):
            try:
                self.client.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                self.error = str(error)
                return
            try:
                self._in.write(self.client.bio_read(65536))
            except SSL.WantReadError:
                return
            try:
                self.server.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.error = str(error)
            if self._out.pending:
                self.client.bio_write(self._out.read())


def test_verified(authority: Authority) -> None:
    for level in ("opportunistic", "required", "implicit"):
        meeting = Meeting(authority.server(NAME), authority.trust(), level)
        assert not meeting.error
        assert (meeting.handshake.trust, meeting.handshake.complaint) == ("Verified", "")
        assert meeting.client.get_protocol_version_name() == "TLSv1.3"
        assert meeting.seen == [NAME]


@pytest.mark.parametrize("names", [("*.x.test",), ("x.test",), ("other.test", NAME)])
def test_one_of_the_names_will_do(authority: Authority, names: Sequence[str]) -> None:
    """Of those that the policy has, and of those in the certificate."""
    meeting = Meeting(authority.server(*names), authority.trust(), "required", (NAME, "x.test"))
    assert not meeting.error
    assert meeting.handshake.trust == "Verified"


def test_address_in_the_certificate(authority: Authority) -> None:
    """It is no name to ask for, though: RFC 6066 §3."""
    meeting = Meeting(authority.server("192.0.2.1"), authority.trust(), "required", ("192.0.2.1",), "192.0.2.1")
    assert not meeting.error
    assert meeting.seen == [None]


@pytest.mark.parametrize("names", [("other.test",), (), ("192.0.2.1",), ("mx.x.test.evil.test",)])
def test_wrong_name(authority: Authority, names: Sequence[str]) -> None:
    """Good enough against eavesdroppers; not where a certificate is asked for. The subject's name does not count."""
    meeting = Meeting(authority.server(*names), authority.trust())
    assert (meeting.error, meeting.handshake.trust) == ("", "Trusted")
    strict = Meeting(authority.server(*names), authority.trust(), "required")
    assert "certificate verify failed" in strict.error
    assert strict.handshake.refusal == "the certificate is not for mx.x.test"


def test_unknown_authority(authority: Authority) -> None:
    meeting = Meeting(authority.server(NAME))
    assert (meeting.error, meeting.handshake.trust, meeting.handshake.refusal) == ("", "Untrusted", "")
    assert meeting.handshake.complaint == "unable to get local issuer certificate"
    strict = Meeting(authority.server(NAME), level="required")
    assert "certificate verify failed" in strict.error
    assert strict.handshake.refusal == "unable to get local issuer certificate"


def test_expired(authority: Authority) -> None:
    meeting = Meeting(authority.server(NAME, end=NOW - DAY), authority.trust())
    assert (meeting.error, meeting.handshake.trust) == ("", "Untrusted")
    strict = Meeting(authority.server(NAME, end=NOW - DAY), authority.trust(), "required")
    assert strict.handshake.refusal == "certificate has expired"


@pytest.mark.parametrize("level", ["opportunistic", "required"])
def test_old_version(authority: Authority, level: str) -> None:
    """Better than clear text, and not good enough where a certificate is asked for."""
    server = authority.server(NAME)
    with pytest.warns(DeprecationWarning):
        server.minimum_version = server.maximum_version = ssl.TLSVersion.TLSv1
    server.set_ciphers("ALL:@SECLEVEL=0")
    meeting = Meeting(server, authority.trust(), level)
    if level == "opportunistic":
        assert not meeting.error
        assert meeting.client.get_protocol_version_name() == "TLSv1"
    else:
        assert "protocol" in meeting.error or "version" in meeting.error


def test_server_without_a_certificate() -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers("aNULL:@SECLEVEL=0")
    meeting = Meeting(server)
    assert (meeting.error, meeting.handshake.trust) == ("", "Anonymous")
    assert Meeting(server, level="required").error


@pytest.mark.parametrize(
    "host", ["x" * 300 + ".test", "a b.test", "mx.\0.test", "ünï.test", "", "::1", "-", "mx.x.test."]
)
def test_names_that_nobody_can_ask_for(authority: Authority, host: str) -> None:
    """The handshake goes on without a name."""
    meeting = Meeting(authority.server(NAME), authority.trust(), host=host, names=(host,))
    assert not meeting.error
    assert meeting.seen in ([None], [host])
    assert meeting.handshake.trust == "Trusted"
    assert Meeting(authority.server(NAME), authority.trust(), "required", (host,), host).error


def test_certificates_that_cannot_be_read(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the libraries say of them."""

    def broken(certificate: object) -> object:
        raise RuntimeError("odd")

    monkeypatch.setattr("mailstack.delivery.tls.extract_patterns", broken)
    assert Meeting(authority.server(NAME), authority.trust()).handshake.trust == "Trusted"
    strict = Meeting(authority.server(NAME), authority.trust(), "required")
    assert strict.handshake.refusal == "the certificate cannot be read: RuntimeError"


def test_wildcard_that_is_too_wide(authority: Authority) -> None:
    assert Meeting(authority.server("*.test"), authority.trust()).handshake.trust == "Trusted"
    assert Meeting(authority.server("*.test"), authority.trust(), "required").handshake.refusal


def test_authorities_are_read_again() -> None:
    """As the system's may change."""
    now = [0.0]
    contexts = Contexts(None, lambda: now[0])
    first = contexts.of(True)
    assert contexts.of(True) is first and contexts.of(False) is not first
    now[0] = RENEWED
    assert contexts.of(True) is not first
