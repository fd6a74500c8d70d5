"""Mail that waits for a server that was away: fetchmail asks for it, as a dial-up office did."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.live.conftest import MakeOffice
from tests.live.cram import CramProxy
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
    office.wait_for_log("queue: started for backup.test, letters=1")


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


# ---- ATRN


KEPT = {
    "relay": {"domains": "dialup.test", "fetch": "dialup.test:bob@office.test"},
    "routes": {"dialup.test": "fetch"},
    "queue": {"retry": "1h"},
}


class Dialup:
    """A server behind a dial-up line: it calls, logs in, says ATRN, and is a server then. Whatever it is told, it
    answers by ``answers`` (how the command begins, in capitals), else with 250."""

    def __init__(self, office: Office, command: bytes = b"ATRN", user: str = "bob") -> None:
        self.wire = Wire(office.port.submission)
        self.wire.secure()
        self.wire.login(user)
        self.greeting = self.wire.ask(command)
        self.answers: dict[str, bytes] = {}
        self.heard: list[str] = []
        self.letters: list[str] = []
        self.most = 1_000  # letters, before the line breaks

    def serve(self, extensions: bytes = b"250-PIPELINING\r\n") -> None:
        """To the QUIT, or until the line is cut."""
        self.wire.send(b"220 dialup.test\r\n")
        while line := self.wire.reply():
            self.heard.append(line.rstrip("\r\n"))
            verb, said = line[:4].upper(), line.upper()
            answer = next((self.answers[start] for start in self.answers if said.startswith(start)), None)
            if verb == "MAIL" and len(self.letters) == self.most:
                self.wire.vanish()
                return
            if answer is not None:
                self.wire.send(answer)
            elif verb == "EHLO":
                self.wire.send(b"250-dialup.test\r\n" + extensions + b"250 SIZE 100000\r\n")
            elif verb == "DATA":
                self.take()
            else:
                self.wire.send(b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n")

    def take(self) -> None:
        self.wire.send(b"354 go on\r\n")
        lines = []
        while (line := self.wire.reply()) not in (".\r\n", ""):
            lines.append(line)
        self.letters.append("".join(lines))
        self.wire.send(b"250 2.0.0 taken\r\n")


def waiting_letters(office: Office, number: int) -> None:
    for _ in range(number):
        send(office, "x@dialup.test")
    deferred(office, number)


def test_an_office_fetches_its_mail(make_office: MakeOffice) -> None:
    """Over the TLS of its own log-in; what it refuses goes back to the sender, what it puts off waits on."""
    office = make_office(KEPT, users=("alice", "bob")).start()
    with office.submission("alice") as client:
        for name in ("x", "nobody", "later"):
            own = LETTER.replace("friend@far.test", "alice@office.test")
            client.sendmail("alice@office.test", [f"{name}@dialup.test"], own)
    deferred(office, 3)
    assert not office.files("alice")
    dialup = Dialup(office)
    assert dialup.greeting == "250 2.0.0 OK now reversing the connection\r\n"
    dialup.answers = {"RCPT TO:<NO": b"550 5.1.1 unknown\r\n", "RCPT TO:<LA": b"450 4.2.0 later\r\n"}
    dialup.serve(b"")
    assert dialup.heard.count("EHLO mail.office.test") == 1
    assert dialup.heard[-1] == "QUIT"
    (letter,) = dialup.letters
    assert letter.endswith("Subject: for later\r\n\r\nhello\r\n")
    assert "with ESMTPSA id" in letter
    (path,) = office.wait_for_files("alice")
    assert b"nobody@dialup.test" in path.read_bytes()
    eventually(lambda: len(office.queue()) == 1)
    (left,) = office.queue()
    assert left["recipients"][0]["address"] == "later@dialup.test"
    assert left["recipients"][0]["attempts"] == 2
    again = Dialup(office)
    again.serve()
    assert len(again.letters) == 1
    office.wait_for_empty_queue()
    assert Dialup(office).greeting == "453 4.0.0 You have no mail\r\n"
    assert Dialup(office, user="alice").greeting.startswith("450 4.7.1 ")


def test_a_line_that_breaks(make_office: MakeOffice) -> None:
    """The letter on its way is tried again later, the others are as they were; and nothing is lost."""
    office = make_office(KEPT, users=("alice", "bob")).start()
    waiting_letters(office, 3)
    dialup = Dialup(office)
    dialup.most = 1
    dialup.serve()
    office.wait_for_log("status=deferred (451 4.4.2 Lost the connection")
    assert len(dialup.letters) == 1
    # The log is a moment ahead of the queue.
    assert eventually(lambda: sorted(letter["recipients"][0]["attempts"] for letter in office.queue()) == [1, 2])
    again = Dialup(office)
    again.serve()
    assert len(again.letters) == 2
    office.wait_for_empty_queue()


def test_the_server_stops_in_a_letter(make_office: MakeOffice) -> None:
    """It does not wait for the line, and has the letter when it is back."""
    office = make_office(KEPT, users=("alice", "bob")).start()
    waiting_letters(office, 1)
    dialup = Dialup(office)
    dialup.answers = {"DATA": b""}
    line = threading.Thread(target=dialup.serve)
    line.start()
    assert eventually(lambda: "DATA" in dialup.heard)
    office.stop()
    line.join()
    office.start()
    again = Dialup(office)
    again.serve()
    assert len(again.letters) == 1
    office.wait_for_empty_queue()


def test_fetchmail_fetches_on_demand(make_office: MakeOffice, tmp_path: Path) -> None:
    """ODMR: it brings what we say and what its own server says together. (It logs in by CRAM-MD5 alone, for which we
    would have to keep passwords in clear text; a proxy does that for it.)"""
    office = make_office(KEPT, users=("alice", "bob")).start()
    waiting_letters(office, 3)
    with Sink() as sink, CramProxy(office.port.submission, "bob") as proxy:
        options = f'timeout 20 username bob password x fetchdomains dialup.test smtphost "127.0.0.1/{sink.port}"'
        said = fetchmail(tmp_path, "ODMR", proxy.port, options)
        assert "ODMR< 250 2.0.0 OK now reversing the connection" in said
        assert "status 0" in said
        assert [letter.recipients for letter in sink.letters] == [["x@dialup.test"]] * 3
    office.wait_for_empty_queue()
