"""``mailstack relay test`` against servers that run, and what the server itself notices."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.live.conftest import MakeOffice
from tests.live.fake_server import FakeServer, Peer, certificate
from tests.live.office import BIN, Office
from tests.live.ports import free_ports
from tests.live.postfix import Postfix
from tests.live.sink import Sink, refuse
from tests.live.terminal import run_in_terminal
from tests.live.wire import Wire


def test_our_server(office: Office) -> None:
    """And nothing of it arrives."""
    said = office.cli("relay", "test", "--against", f"127.0.0.1:{office.port.smtp}").splitlines()
    assert said[-1].startswith("Relaying denied: ")
    denied, of = [int(word) for word in said[-1].split() if word.isdigit()]
    assert denied == of > 200
    assert office.files("alice") == [] == office.queue()


def test_an_open_relay(office: Office, sink: Sink) -> None:
    """The sink takes everything; no message is sent to it all the same."""
    office.cli("relay", "test", "--against", f"127.0.0.1:{sink.port}", code=1)
    assert sink.letters == []
    assert not sink.times("DATA")
    assert not sink.times("BDAT")


def test_a_server_that_hangs_up(office: Office, sink: Sink) -> None:
    sink.answer = refuse("RCPT", "421 4.3.2 closing")
    said = office.cli("relay", "test", "--against", f"127.0.0.1:{sink.port}", code=1)
    assert "could not be done: 127.0.0.1:" in said
    assert "takes no mail now: 421 4.3.2 closing" in said


def test_a_server_that_is_not_there(office: Office) -> None:
    (port,) = free_ports(1)
    said = office.cli("relay", "test", "--against", f"127.0.0.1:{port}", code=1)
    assert said == f"Error: the test could not be done: cannot connect to 127.0.0.1:{port}: Connection refused\n"


def greet_and_hang_up(peer: Peer) -> None:
    peer.say("220 fake.test")


def test_a_server_that_goes_away(office: Office) -> None:
    with FakeServer(greet_and_hang_up) as server:
        said = office.cli("relay", "test", "--against", f"127.0.0.1:{server.port}", code=1)
    assert "takes no mail now: it hangs up" in said


def endless(peer: Peer) -> None:
    try:
        while True:
            peer.say("220-more" * 1000)
    except OSError:
        pass


def test_a_server_that_talks_without_end(office: Office) -> None:
    with FakeServer(endless) as server:
        said = office.cli("relay", "test", "--against", f"127.0.0.1:{server.port}", code=1)
    assert "answers without end" in said


def test_postfix(open_folder: Path) -> None:
    """With another server's replies, and TLS that is real."""
    certificate(open_folder, "mx.away.test")
    (open_folder / "mail.ini").write_text("[server]\nhostname = mx.away.test\ndomains = away.test\ndata = data\n")
    (open_folder / "data").mkdir()
    (open_folder / "data/users").write_text("x@away.test:{PLAIN}x\n")
    (open_folder / "data/aliases").touch()
    with Postfix(open_folder / "postfix", open_folder / "server.pem") as postfix:
        command = [BIN / "mailstack", "-c", open_folder / "mail.ini", "relay", "test"]
        command += ["--against", f"127.0.0.1:{postfix.port}"]
        done = subprocess.run(command, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "Relaying denied: " in done.stdout
    assert postfix.letters() == []


def test_on_a_terminal(office: Office, tmp_path: Path) -> None:
    """A bar shows how far it is."""
    code, drawn = run_in_terminal(str(BIN / "mailstack"), "-c", office.ini, "relay", "test", home=tmp_path)
    assert code == 0
    assert "Tricks" in drawn
    assert "100%" in drawn
    assert "Relaying denied: " in drawn


def test_strangers_behind_one_trusted_address(make_office: MakeOffice) -> None:
    office = make_office({"relay": {"networks": "127.0.0.0/8"}}).start()
    for number in range(25):
        with Wire(office.port.smtp) as client:
            client.ask(b"EHLO mx.far%d.test" % (number % 6))
    office.wait_for_log("warn: relay: strangers may relay: ", "all came from 127.0.0.1")
    assert len(office.logged("strangers may relay")) == 1
