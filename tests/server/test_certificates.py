"""Certificates that are chosen by name, and read again when their files change."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL

from mailstack.server.certificate_names import forms, names
from mailstack.server.certificates import Certificates
from mailstack.server.pair import AGAIN, PATIENCE
from mailstack.server.tls import make_self_signed
from mailstack.versions import PAUSE, WRITING
from tests.fakes import ListLog

NOW = datetime(2026, 1, 2, tzinfo=UTC)
YEAR_2026 = 1_767_312_000.0  # Unix time


class Store:
    """Pairs in a folder, a clock that is turned by hand, and clients in memory."""

    def __init__(self, folder: Path, *hosts: str) -> None:
        self.folder = folder
        self.log = ListLog()
        self.clock = 1_000.0
        for host in hosts:
            self.make(host)
        self.certificates = Certificates(
            [self.pair(host) for host in hosts], self.log, lambda: self.clock, lambda: YEAR_2026 + self.clock
        )
        self.certificates.load()

    def pair(self, host: str) -> tuple[Path, Path]:
        return self.folder / f"{host} cert.pem", self.folder / f"{host} key.pem"

    def make(self, host: str, *parts: int) -> None:
        """A new pair for the host; ``parts``: only the certificate (0), only the key (1)."""
        fresh = self.folder / "fresh"
        make_self_signed(fresh / "0", fresh / "1", [host], NOW)
        for part in parts or (0, 1):
            (fresh / f"{part}").replace(self.pair(host)[part])
            self.touch(self.pair(host)[part])

    def touch(self, path: Path) -> None:
        """Changed this very moment."""
        os.utime(path, (YEAR_2026 + self.clock,) * 2)

    def served(self, host: str | None = None) -> int:
        """The serial number of the certificate that a client gets."""
        server = self.certificates.serverConnectionForTLS(None)  # type: ignore[arg-type]  # it is not looked at
        server.set_accept_state()
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        client.set_connect_state()
        if host is not None:
            client.set_tlsext_host_name(host.encode())
        for _ in range(4):
            for here, there in ((client, server), (server, client)):
                _step(here)
                _carry(here, there)
        found = client.get_peer_certificate(as_cryptography=True)
        assert found is not None
        ours = server.get_certificate(as_cryptography=True)
        assert ours is not None and ours.serial_number == found.serial_number, "channel bindings look at this one"
        return found.serial_number

    def serial(self, host: str) -> int:
        return x509.load_pem_x509_certificate(self.pair(host)[0].read_bytes()).serial_number

    @property
    def warnings(self) -> list[str]:
        return [str(fields["what"]) for _, fields in self.log.warnings]


def _step(connection: SSL.Connection) -> None:
    with suppress(SSL.WantReadError):
        connection.do_handshake()


def _carry(here: SSL.Connection, there: SSL.Connection) -> None:
    with suppress(SSL.WantReadError):
        there.bio_write(here.bio_read(65536))


# ---- Names


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (None, "mail.one.test"),
        ("mail.one.test", "mail.one.test"),
        ("mail.two.test", "mail.two.test"),
        ("MAIL.Two.test", "mail.two.test"),
        ("imap.three.test", "*.three.test"),
        ("exact.three.test", "exact.three.test"),
        ("a.b.three.test", "mail.one.test"),
        ("three.test", "mail.one.test"),
        ("unknown.test", "mail.one.test"),
        ("*", "mail.one.test"),
        (".", "mail.one.test"),
    ],
)
def test_client_gets_the_certificate_for_the_host_that_it_names(tmp_path: Path, asked: str | None, given: str) -> None:
    """The exact name, then a wildcard for one label, else the first certificate."""
    store = Store(tmp_path, "mail.one.test", "mail.two.test", "*.three.test", "exact.three.test")
    assert store.served(asked) == store.serial(given)


def test_of_two_for_one_name_the_first_counts(tmp_path: Path) -> None:
    store = Store(tmp_path, "mail.one.test", "mail.two.test")
    make_self_signed(*store.pair("mail.two.test"), ["mail.one.test", "mail.two.test"], NOW)
    store.certificates.load()
    assert store.served("mail.one.test") == store.serial("mail.one.test")
    assert store.served("mail.two.test") == store.serial("mail.two.test")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("Mail.One.test.", ("mail.one.test", "*.one.test")), ("localhost", ("localhost", "*.")), ("", ("", "*."))],
)
def test_names_that_a_certificate_may_have(host: str, expected: tuple[str, str]) -> None:
    assert forms(host) == expected


def signed(common: str, *extensions: x509.ExtensionType) -> tuple[x509.Certificate, bytes]:
    """A certificate as nobody should make them, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])
    built = x509.CertificateBuilder(subject, subject, key.public_key(), 1).not_valid_before(NOW).not_valid_after(NOW)
    for extension in extensions:
        built = built.add_extension(extension, critical=False)
    pem, form, cover = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return built.sign(key, hashes.SHA256()), key.private_bytes(pem, form, cover)


def test_certificate_without_a_list_of_names() -> None:
    """As some appliances still make them."""
    assert names(signed("Old.test")[0]) == {"old.test"}


def test_certificate_with_names_that_nobody_can_read(tmp_path: Path) -> None:
    """It is for no host, but can be the first one."""
    garbage = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30\x7f\x00")
    store = Store(tmp_path, "mail.one.test", "mail.two.test")
    certificate, key = signed("mail.one.test", garbage)
    assert names(certificate) == frozenset()
    store.pair("mail.one.test")[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    store.pair("mail.one.test")[1].write_bytes(key)
    store.certificates.load()
    assert store.served("mail.one.test") == 1
    assert store.served("mail.two.test") == store.serial("mail.two.test")


# ---- Files that change


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, "mail.one.test", "mail.two.test")


def test_renewed_pair_is_served_by_itself(store: Store) -> None:
    """When it has stood still for two looks."""
    old = store.served("mail.two.test")
    store.clock += PAUSE
    store.make("mail.two.test")
    assert store.served("mail.two.test") == old
    store.clock += PAUSE
    assert store.served("mail.two.test") == store.serial("mail.two.test") != old
    assert store.served("mail.one.test") == store.serial("mail.one.test")
    assert [fields["what"] for _, fields in store.log.events] == [
        f"{store.pair('mail.two.test')[0]} has changed and was read again"
    ]


def test_change_of_a_while_ago_is_served_at_once(store: Store) -> None:
    """Nobody was connected meanwhile."""
    store.make("mail.one.test")
    store.clock += WRITING
    assert store.served() == store.serial("mail.one.test")


def test_files_are_not_looked_at_on_every_connection(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **options: looks.append(path) or stat(path, **options))
    store.clock += PAUSE
    for _ in range(100):
        store.certificates.serverConnectionForTLS(None)  # type: ignore[arg-type]
    assert len(looks) == 4, "each of the four files once"


def test_certbot_replaces_links(store: Store, tmp_path: Path) -> None:
    """The name stays, and what it leads to is another file; the key comes a moment after the certificate."""
    certificate, key = store.pair("mail.one.test")
    for path in (certificate, key):
        path.replace(tmp_path / f"{path.name}1")
        path.symlink_to(f"{path.name}1")
    store.certificates.load()
    old = store.served()
    make_self_signed(tmp_path / f"{certificate.name}2", tmp_path / f"{key.name}2", ["mail.one.test"], NOW)
    for path in (certificate, key):
        store.touch(tmp_path / f"{path.name}2")
        store.clock += WRITING + PAUSE
        (tmp_path / "link").symlink_to(f"{path.name}2")
        (tmp_path / "link").replace(path)
        assert (store.served() == old) == (path == certificate)
    assert not store.warnings, "a mismatch of a moment is nothing to tell"


@pytest.mark.parametrize("part", [0, 1])
def test_half_of_a_pair(store: Store, part: int) -> None:
    """The former one stays, with one warning after a while, and no more until it has worked again."""
    old = store.served()
    for _ in range(2):
        store.make("mail.one.test", part)
        for _ in range(100):
            store.clock += PAUSE
            assert store.served() == old
        assert len(store.warnings) == 1
    assert store.warnings[0].startswith("the former certificate stays in use: ")
    assert "mail.one.test key.pem is not the key of " in store.warnings[0]
    store.make("mail.one.test")
    store.clock += WRITING
    assert store.served() == store.serial("mail.one.test") != old
    store.make("mail.one.test", part)
    store.clock += WRITING
    store.served()
    store.clock += PATIENCE
    store.served()
    assert len(store.warnings) == 2


def test_broken_renewal_is_told_of_every_day(store: Store) -> None:
    """While it lasts: the former certificate comes to its end some day."""
    store.make("mail.one.test", 0)
    for _ in range(60):
        store.clock += AGAIN / 24
        store.served()
    assert len(store.warnings) == 3
    store.make("mail.one.test")
    for _ in range(60):
        store.clock += AGAIN / 24
        store.served()
    assert len(store.warnings) == 3


def test_pair_that_openssl_does_not_take(store: Store) -> None:
    """Both are whole and belong together, but the key is too short."""
    weak = rsa.generate_private_key(65537, 1024)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.one.test")])
    builder = x509.CertificateBuilder(subject, subject, weak.public_key(), 1)
    built = builder.not_valid_before(NOW).not_valid_after(NOW).sign(weak, hashes.SHA256())
    pem, form, cover = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    store.pair("mail.one.test")[0].write_bytes(built.public_bytes(pem))
    store.pair("mail.one.test")[1].write_bytes(weak.private_bytes(pem, form, cover))
    with pytest.raises(ValueError, match=r"key\.pem are no use for TLS: ee key too small"):
        store.certificates.load()


def test_broken_pair_does_not_hold_up_the_others(store: Store) -> None:
    store.pair("mail.one.test")[1].write_bytes(b"nonsense")
    store.make("mail.two.test")
    store.clock += WRITING
    assert store.served("mail.two.test") == store.serial("mail.two.test")
    store.make("mail.two.test")
    with pytest.raises(ValueError, match=r"one\.test key\.pem is not a PEM key"):
        store.certificates.load()
    assert store.served("mail.two.test") == store.serial("mail.two.test")


def test_files_that_are_gone_and_come_back(store: Store, tmp_path: Path) -> None:
    """As they were: nothing has happened."""
    certificate = store.pair("mail.one.test")[0]
    old = store.served()
    certificate.replace(tmp_path / "away")
    for _ in range(20):
        store.clock += PAUSE
        assert store.served() == old
    assert len(store.warnings) == 1
    assert "No such file" in store.warnings[0]
    (tmp_path / "away").replace(certificate)
    store.clock += PAUSE
    assert store.served() == old
    certificate.unlink()
    store.clock += PAUSE
    assert store.served() == old
    assert len(store.warnings) == 1, "it worked meanwhile, so a new moment begins"
    store.clock += PATIENCE
    store.served()
    assert len(store.warnings) == 2


def test_what_sighup_has_told_is_not_told_again(store: Store) -> None:
    store.pair("mail.one.test")[0].write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"cert\.pem is not a PEM certificate"):
        store.certificates.load()
    for _ in range(20):
        store.clock += PAUSE
        store.served()
    assert not store.warnings


def test_key_for_root_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said once, when root's rights are gone: a renewal will not be seen."""
    opened = Path.open

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path == key:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)  # type: ignore[call-overload]

    key = store.pair("mail.two.test")[1]
    monkeypatch.setattr(Path, "open", refuse)
    store.certificates.warn_if_unreadable()
    for _ in range(20):
        store.clock += PAUSE
        store.served()
    (warning,) = store.warnings
    assert warning.startswith(f"{key} was read as root, but the server's user cannot read it")
    store.make("mail.two.test")
    for _ in range(20):
        store.clock += PAUSE
        store.served()
    assert len(store.warnings) == 2, "and once more when the renewal has come"
