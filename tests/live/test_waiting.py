"""Mail that waits for a server that was away: fetchmail asks for it, as a dial-up office did."""

from __future__ import annotations

from pathlib import Path

from tests.live.conftest import MakeOffice
from tests.live.office import Office
from tests.live.ports import free_ports
from tests.live.programs import run_anyhow
from tests.live.sink import Sink
from tests.live.test_queue import deferred
from tests.live.waiting import eventually
from tests.live.wire import Wire

LETTER = "From: friend@far.test\r\nTo: bob@backup.test\r\nSubject: for later\r\n\r\nhello\r\n"


def send(office: Office, *recipients: str) -> None:
    """As another server does, which finds ours by our MX."""
    with office.smtp() as client:
        client.sendmail("friend@far.test", recipients, LETTER)


def fetchmail(folder: Path, protocol: str, port: int, options: str) -> str:
    settings = folder / "fetchmailrc"
    settings.write_text(f"set no bouncemail\npoll 127.0.0.1 service {port} protocol {protocol} {options}\n")
    settings.chmod(0o600)
    done = run_anyhow("fetchmail", "-vv", "-f", settings, "--pidfile", folder / "pid", "--nosyslog")
    return done.stdout + done.stderr


def test_fetchmail_starts_the_queue(make_office: MakeOffice, tmp_path: Path) -> None:
    """The server of backup.test was away; when it is back, fetchmail says so, and the mail comes at once."""
    (port,) = free_ports(1)
    relay = {"domains": "backup.test"}
    routes = {"backup.test": f"smtp:[127.0.0.1]:{port}"}
    office = make_office({"relay": relay, "routes": routes, "queue": {"retry": "1h"}}).start()
    send(office, "bob@backup.test")
    deferred(office)
    with Sink(port=port) as sink:
        said = fetchmail(tmp_path, "ETRN", office.port.smtp, "fetchdomains backup.test far.test")
        assert "253 2.0.0 OK, 1 pending messages for node backup.test started" in said
        assert "459 4.7.1 Node far.test not allowed" in said
        assert eventually(lambda: sink.letters)
        assert sink.letters[0].recipients == ["bob@backup.test"]
    office.wait_for_empty_queue()
    office.wait_for_log("queue: started for backup.test: 1 letters")


def test_help_on_a_terminal(office: Office) -> None:
    """What somebody learns who comes by telnet."""
    with Wire(office.port.smtp) as client:
        assert "Legal now: HELO EHLO" in client.ask(b"HELP")
        assert "MAIL is out of order now" in client.ask(b"HELP MAIL")
        client.ask(b"EHLO terminal.test")
        assert "Example: MAIL FROM:<" in client.ask(b"HELP MAIL")
        assert "log in on a submission port" in client.ask(b"HELP AUTH")
        assert client.ask(b"HELP ETRN").startswith("214")
        assert client.ask(b"TURN").startswith("502 5.5.1 TURN is obsolete")
