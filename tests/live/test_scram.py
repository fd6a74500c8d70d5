"""Mail programs that prove their password without sending it: SCRAM-SHA-256, and -PLUS on the channel that is there.
Those that fetch do it in test_fetchers.py."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

import pytest

from tests.live.office import Office
from tests.live.programs import missing, run, run_anyhow
from tests.live.sink import Sink
from tests.live.waiting import eventually
from tests.live.wire import DOMAIN, PASSWORD, TIMEOUT, Wire

#: GnuTLS's words, for what gsasl may use.
PRIORITIES = {"TLS 1.2": "NORMAL:-VERS-TLS1.3", "TLS 1.3": "NORMAL"}


def knows_scram(name: str, *question: str) -> None:
    """Or the test is skipped: not every build has GNU SASL."""
    if "scram-sha-256" not in run(name, *question).stdout.lower():
        missing(f"{name} does not know SCRAM-SHA-256")


def msmtp(office: Office, mechanism: str, password: str, folder: Path, tls: str = "starttls") -> Path:
    """Its settings."""
    port = office.port.submissions if tls == "implicit" else office.port.submission
    settings = folder / "msmtprc"
    settings.write_text(
        f"account here\nhost 127.0.0.1\nport {port}\ntls {'off' if tls == 'plain' else 'on'}\n"
        f"tls_starttls {'on' if tls == 'starttls' else 'off'}\ntls_certcheck off\n"
        f"auth {mechanism}\nuser bob@{DOMAIN}\npassword {password}\nfrom bob@{DOMAIN}\n"
    )
    settings.chmod(0o600)
    return settings


@pytest.mark.parametrize(("mechanism", "tls"), [("scram-sha-256", "plain"), ("on", "starttls"), ("on", "implicit")])
def test_msmtp(office: Office, sink: Sink, mechanism: str, tls: str, tmp_path: Path) -> None:
    """Told to, and by its own choice."""
    knows_scram("msmtp", "--version")
    settings = msmtp(office, mechanism, PASSWORD, tmp_path, tls)
    run("msmtp", "-C", settings, "-a", "here", "x@away.test", input="Subject: by msmtp\n\nhello\n")
    assert eventually(lambda: sink.letters)
    assert b"Subject: by msmtp" in sink.letters[0].content


def test_a_wrong_password_is_told_and_logged(office: Office, sink: Sink, tmp_path: Path) -> None:
    knows_scram("msmtp", "--version")
    settings = msmtp(office, "scram-sha-256", "not-the-password", tmp_path)
    done = run_anyhow("msmtp", "-C", settings, "-a", "here", "x@away.test", input="Subject: x\n\nhello\n")
    assert done.returncode != 0
    assert "535 5.7.8 The name or the password is wrong" in done.stderr
    office.wait_for_log("SASL SCRAM-SHA-256 authentication failed: 535 5.7.8", f"sasl_username=bob@{DOMAIN}")
    assert "not-the-password" not in office.log()
    assert sink.heard == []


class Polite:
    """Stands before a server for one client that says STARTTLS without EHLO, and says EHLO in its place. All octets
    from there on go to and fro as they are, so TLS is between the two ends."""

    def __init__(self, port: int) -> None:
        self._server = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with self._listening, self._server:
            client = self._listening.accept()[0]
            with client:
                client.sendall(self._server.recv(4096))
                starttls = client.recv(4096)
                self._server.sendall(b"EHLO client.test\r\n")
                while b"\r\n250 " not in self._server.recv(4096):
                    pass
                self._server.sendall(starttls)
                back = threading.Thread(target=_pump, args=(self._server, client), daemon=True)
                back.start()
                _pump(client, self._server)
                back.join(TIMEOUT)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while octets := source.recv(4096):
            sink.sendall(octets)
        sink.shutdown(socket.SHUT_WR)


def gsasl(office: Office, mechanism: str, tls: str, password: str = PASSWORD) -> str:
    """What it says: it logs in, and out again."""
    name = ("--authentication-id", f"dave@{DOMAIN}", "--password", password, "--authorization-id", f"dave@{DOMAIN}")
    place = ("--smtp", "--connect", f"127.0.0.1:{Polite(office.port.submission).port}")
    trust = ("--starttls", "--x509-ca-file=", "--priority", PRIORITIES[tls])
    trust = trust if mechanism.endswith("-PLUS") else (*trust, "--no-cb")
    done = run_anyhow("gsasl", *place, *trust, "--mechanism", mechanism, *name)
    return done.stdout + done.stderr


@pytest.mark.parametrize("tls", PRIORITIES)
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
def test_gsasl(office: Office, mechanism: str, tls: str) -> None:
    """-PLUS with the binding of the TLS version: tls-unique or tls-exporter."""
    said = gsasl(office, mechanism, tls)
    assert "235 2.7.0" in said, said


def test_offered_on_each_kind_of_channel(office: Office) -> None:
    with Wire(office.port.submission) as wire:
        assert "AUTH PLAIN LOGIN SCRAM-SHA-256\r\n" in wire.ask(b"EHLO client.test")
    with office.submission("alice") as client:
        assert client.esmtp_features["auth"].split()[-1] == "SCRAM-SHA-256-PLUS"
