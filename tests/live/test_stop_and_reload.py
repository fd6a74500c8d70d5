"""The ordinary end, and reading again while it runs."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.live.conftest import MakeOffice
from tests.live.fake_server import certificate
from tests.live.office import Office
from tests.live.waiting import eventually
from tests.live.wire import UNVERIFIED, Wire


def test_sessions_are_open(make_office: MakeOffice) -> None:
    """Those that are idle hear 421; one in the middle of a letter keeps the letter; all within a few seconds."""
    office = make_office().start()
    idle, writing, fetching = Wire(office.port.smtp), Wire(office.port.smtp), Wire(office.port.pop3)
    idle.ask(b"EHLO client.test")
    writing.envelope("friend@far.test", "alice@office.test")
    writing.send(b"Subject: unfinished\r\n\r\n")
    begin = time.monotonic()
    office.signal(signal.SIGTERM)
    assert idle.reply().startswith("421 4.3.2 ")
    office.stop()
    assert time.monotonic() - begin < 6
    assert office.files("alice") == []
    assert office.spooled() == []
    for wire in (idle, writing, fetching):
        wire.close()


def test_interrupt(make_office: MakeOffice) -> None:
    """Ctrl-C ends it as well; as the shell wants it, by that signal."""
    office = make_office().start()
    office.signal(signal.SIGINT)
    assert office.process.wait(10) == -signal.SIGINT
    assert "mailstack: stopped" in office.log()
    assert "Traceback" not in office.log()


def test_a_letter_that_is_complete_is_taken(make_office: MakeOffice) -> None:
    """SIGTERM right behind the end of data: there is a 250, and it is true."""
    office = make_office().start()
    with Wire(office.port.smtp) as wire:
        wire.envelope("friend@far.test", "alice@office.test")
        wire.send(b"Subject: complete\r\n\r\n.\r\n")
        office.signal(signal.SIGTERM)
        reply = wire.reply()
    office.stop()
    if not office.files("alice"):
        office.start()  # what is in the queue is delivered then
    assert reply.startswith("250 ")
    office.wait_for_files("alice")


def served_certificate(office: Office) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", office.port.pop3s), 20) as plain,
        UNVERIFIED.wrap_socket(plain) as client,
    ):
        found = client.getpeercert(binary_form=True)
    assert found is not None
    return found


def der(pem: Path) -> bytes:
    return x509.load_pem_x509_certificate(pem.read_bytes()).public_bytes(Encoding.DER)


def test_certificate_is_read_again(make_office: MakeOffice) -> None:
    """On SIGHUP; a bad one leaves the former in use."""
    office = make_office({"tls": {"certificate": "server.pem", "key": "server.pem"}})
    pem = office.root / "server.pem"
    certificate(office.root, "mail.office.test")
    office.start()
    first = served_certificate(office)
    assert first == der(pem)
    certificate(office.root, "mail.office.test")
    assert served_certificate(office) == first
    office.signal(signal.SIGHUP)
    assert eventually(lambda: served_certificate(office) == der(pem))
    second = served_certificate(office)
    pem.write_text("nonsense")
    office.signal(signal.SIGHUP)
    assert "server.pem" in office.wait_for_log("reload: ", "stays in use")
    assert served_certificate(office) == second


def test_users_and_aliases_are_read_again(make_office: MakeOffice) -> None:
    """By themselves a moment after they change; on SIGHUP at once."""
    office = make_office().start()
    office.add_users("bob")
    office.aliases.write_text("sales: bob\n")
    office.signal(signal.SIGHUP)
    office.wait_for_log("reload: ")
    with office.smtp() as client:
        client.ehlo()
        client.mail("friend@far.test")
        assert client.rcpt("bob@office.test")[0] == 250
        assert client.rcpt("sales@office.test")[0] == 250
    office.cli("user", "remove", "bob@office.test")
    assert eventually(lambda: not _exists(office, "bob"))


def _exists(office: Office, name: str) -> bool:
    with office.smtp() as client:
        client.ehlo()
        client.mail("friend@far.test")
        return client.rcpt(f"{name}@office.test")[0] == 250
