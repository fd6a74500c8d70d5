"""Certificates by name, renewed while the server runs, and TLS by policy: seen by OpenSSL's own client."""

from __future__ import annotations

import poplib
import re
import smtplib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from tests.live.conftest import MakeOffice
from tests.live.fake_server import certificate
from tests.live.office import Office
from tests.live.programs import NOBODY, need_root, run, run_anyhow
from tests.live.waiting import eventually
from tests.live.wire import UNVERIFIED, Wire

FIRST, SECOND = "mail.office.test", "mail.second.test"


def make(folder: Path, host: str) -> Path:
    """Certificate and key in one file, in a folder with a space in its name."""
    place = folder / f"for {host}"
    place.mkdir(exist_ok=True)
    certificate(place, host)
    return place / "server.pem"


def pairs(*pems: Path) -> dict[str, str]:
    lines = "".join(f"\n  {pem}" for pem in pems)
    return {"certificate": lines, "key": lines}


def with_pairs(root: Path) -> Office:
    return Office(root, {"tls": pairs(make(root, FIRST), make(root, SECOND))})


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = with_pairs(tmp_path_factory.mktemp("office"))
    try:
        made.add_users("alice")
        yield made.start()
    finally:
        made.close()


def s_client(port: int, *options: str) -> str:
    """What ``openssl s_client`` prints; it says nothing to the server."""
    return run_anyhow("openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options).stdout


def serial(pem: str) -> int:
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def served(port: int, *options: str) -> int:
    """The serial number of the certificate."""
    found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", s_client(port, *options), re.DOTALL)
    return serial(found[0]) if found else 0


def stored(office: Office, host: str) -> int:
    return serial((office.root / f"for {host}/server.pem").read_text())


@pytest.mark.parametrize(
    ("named", "given"),
    [(("-servername", SECOND), SECOND), (("-servername", "x.test"), FIRST), (("-noservername",), FIRST)],
)
def test_client_names_a_host(office: Office, named: tuple[str, ...], given: str) -> None:
    """On every port, with STARTTLS, STLS and TLS from the first octet."""
    port = office.port
    for number, options in (
        (port.smtp, ("-starttls", "smtp")),
        (port.submission, ("-starttls", "smtp")),
        (port.submissions, ()),
        (port.pop3, ("-starttls", "pop3")),
        (port.pop3s, ()),
    ):
        assert served(number, *options, *named) == stored(office, given)


def test_verified_by_name(office: Office) -> None:
    """As a mail program does it that knows the authority."""
    for host in (FIRST, SECOND):
        trust = (
            "-CAfile",
            str(office.root / f"for {host}/server.pem"),
            "-verify_return_error",
            "-verify_hostname",
            host,
        )
        said = s_client(office.port.smtp, "-starttls", "smtp", "-servername", host, *trust)
        assert "Verification: OK" in said
        assert f"Verified peername: {host}" in said


@pytest.mark.parametrize(
    ("version", "spoken"), [("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)]
)
def test_versions(office: Office, version: str, spoken: bool) -> None:
    """RFC 8996; the client would take the old ones."""
    for port, options in ((office.port.smtp, ("-starttls", "smtp")), (office.port.pop3s, ())):
        said = s_client(port, *options, version, "-cipher", "ALL:@SECLEVEL=0")
        assert ("BEGIN CERTIFICATE" in said) == spoken, said


def test_renewed_while_it_runs(make_office: MakeOffice) -> None:
    """Nobody says so: the other name, and who is connected, notice nothing of it."""
    office = make_office()
    office.configure({"tls": pairs(make(office.root, FIRST), make(office.root, SECOND))})
    office.start()
    first = stored(office, FIRST)
    with Wire(office.port.smtp) as wire:
        make(office.root, SECOND)
        second = stored(office, SECOND)
        options = ("-starttls", "smtp", "-servername")
        assert eventually(lambda: served(office.port.smtp, *options, SECOND) == second)
        assert served(office.port.smtp, *options, FIRST) == first
        assert wire.ask(b"NOOP").startswith("250 ")
    office.wait_for_log("tls: ", f"for {SECOND}/server.pem has changed and was read again")


def test_renewed_as_certbot_does_it(make_office: MakeOffice) -> None:
    """Links to new files, the certificate a while before its key: no word in the log but that it is done."""
    office = make_office()
    live = office.root / "live"
    live.mkdir()

    def link(name: str, pem: Path) -> None:
        (live / "new").symlink_to(pem)
        (live / "new").replace(live / name)

    old, new = make(office.root, FIRST), make(office.root, SECOND)
    for name in ("fullchain.pem", "privkey.pem"):
        link(name, old)
    office.configure({"tls": {"certificate": str(live / "fullchain.pem"), "key": str(live / "privkey.pem")}})
    office.start()
    link("fullchain.pem", new)
    until = time.monotonic() + 4
    while time.monotonic() < until:
        assert served(office.port.pop3s) == stored(office, FIRST)
        time.sleep(0.5)
    link("privkey.pem", new)
    assert eventually(lambda: served(office.port.pop3s) == stored(office, SECOND))
    office.wait_for_log("has changed and was read again")
    assert not office.logged("warn: tls")


def test_renewal_that_went_wrong(make_office: MakeOffice) -> None:
    """The former certificate stays, with one warning."""
    office = make_office()
    pem = make(office.root, FIRST)
    office.configure({"tls": pairs(pem)})
    office.start()
    first = stored(office, FIRST)
    pem.write_text("nonsense")

    def warned() -> bool:
        assert served(office.port.pop3s) == first
        return bool(office.logged("warn: tls: ", "the former certificate stays in use", "is not a PEM certificate"))

    assert eventually(warned)
    time.sleep(3)
    assert served(office.port.pop3s) == first
    assert len(office.logged("warn: tls: ")) == 1


def test_key_for_root_alone(open_folder: Path) -> None:
    """It is read before root's rights are given up; that it cannot be read again is said at once."""
    need_root()
    sections = {
        "server": {"data": "below/data"},
        "accounts": {"users": "below/data/users", "aliases": "below/data/aliases"},
    }
    office = Office(open_folder, sections)
    pem = make(office.root, FIRST)
    pem.chmod(0o600)
    office.configure({**sections, "tls": pairs(pem)})
    try:
        office.start(f"--uid={NOBODY}", f"--gid={NOBODY}")
        office.wait_for_log("warn: tls: ", f"{pem} was read as root, but the server's user cannot read it")
        assert served(office.port.pop3s) == stored(office, FIRST)
        assert len(office.logged("warn: tls: ")) == 1
    finally:
        office.close()


def test_plain_text_where_the_handshake_is_expected(office: Office) -> None:
    """What somebody in between sends right behind the 220 is taken for TLS, which it is not: nobody answers."""
    for port, commands in (
        (office.port.smtp, (b"EHLO a\r\n", b"STARTTLS\r\n", b"EHLO evil\r\n")),
        (office.port.pop3, (b"CAPA\r\n", b"STLS\r\n", b"CAPA\r\n")),
    ):
        with socket.create_connection(("127.0.0.1", port), 20) as client:
            for command in commands:
                client.recv(65536)
                client.sendall(command)
            said = b""
            while more := client.recv(65536):
                said += more
        assert b"250" not in said
        assert b"+OK" not in said.partition(b"\r\n")[2]


# ---- [tls] policy


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = Office(tmp_path_factory.mktemp("strict"), {"tls": {"policy": "required"}})
    try:
        made.add_users("alice")
        yield made.start()
    finally:
        made.close()


def test_nothing_goes_without_tls(strict: Office) -> None:
    """RFC 3207 §4; not even a password on loopback."""
    with Wire(strict.port.submission) as wire:
        assert "AUTH" not in wire.ask(b"EHLO laptop.test")
        assert wire.ask(b"AUTH PLAIN").startswith("530 5.7.0 Must issue a STARTTLS command first")
        assert wire.ask(b"MAIL FROM:<alice@office.test>").startswith("530 5.7.0 ")
    client = poplib.POP3("127.0.0.1", strict.port.pop3, timeout=30)
    with pytest.raises(poplib.error_proto, match=r"\[SYS/PERM\] Must issue a STLS command first"):
        client.user("alice")
    assert "USER" not in client.capa()
    client.stls(UNVERIFIED)
    assert "USER" in client.capa()
    client.quit()


def test_clients_that_start_tls_do_not_notice(strict: Office) -> None:
    envelope = ("--from", "friend@far.test", "--to", "alice@office.test", "--hide-all")
    run("swaks", "--server", "127.0.0.1", "--port", strict.port.smtp, *envelope, "-tls")
    run("swaks", "--server", "127.0.0.1", "--port", strict.port.smtp, *envelope, code=23)
    assert strict.wait_for_log("reject: MAIL", "530 5.7.0 Must issue a STARTTLS command first")
    strict.wait_for_files("alice")
    with strict.submission("alice") as client:
        assert client.noop()[0] == 250
    with strict.pop3("alice") as mailbox:
        assert mailbox.stat()[0] == 1


def test_tls_that_is_not_offered(make_office: MakeOffice) -> None:
    """Then the other port, where TLS is there from the first octet, is the way in."""
    office = make_office({"tls": {"policy": "none smtp:opportunistic"}}).start()
    with Wire(office.port.submission) as wire:
        assert "STARTTLS" not in wire.ask(b"EHLO laptop.test")
        assert wire.ask(b"STARTTLS").startswith("502 5.5.1 ")
    with Wire(office.port.smtp) as wire:
        assert "STARTTLS" in wire.ask(b"EHLO client.test")
    client = poplib.POP3("127.0.0.1", office.port.pop3, timeout=30)
    assert "STLS" not in client.capa()
    client.quit()
    with smtplib.SMTP_SSL("127.0.0.1", office.port.submissions, context=UNVERIFIED, timeout=30) as mailer:
        assert mailer.ehlo()[0] == 250
        assert "auth" in mailer.esmtp_features
