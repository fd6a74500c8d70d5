"""Users take back what they have sent, over the net and on the command line, where they have no right to the queue."""

from __future__ import annotations

import base64
import smtplib
import subprocess

import pytest

from tests.live.conftest import MakeOffice, next_hop
from tests.live.programs import program
from tests.live.sink import Sink
from tests.live.waiting import eventually
from tests.live.wire import PASSWORD

pytestmark = pytest.mark.live
UNDO = {"submission": {"undo": "1h"}}


def send(client: smtplib.SMTP, *recipients: str) -> str:
    """The queue id."""
    client.ehlo()
    client.mail("alice@office.test")
    for each in recipients:
        client.rcpt(each)
    code, text = client.data("Subject: regretted\r\n\r\n")
    assert code == 250, text
    return text.split()[-1].decode()


def test_a_letter_is_taken_back(make_office: MakeOffice, sink: Sink) -> None:
    office = make_office({**UNDO, **next_hop(sink)}, users=("alice", "bob")).start()
    with office.submission("alice") as alice, office.submission("bob") as bob:
        id, kept = send(alice, "bob@office.test", "x@away.test"), send(alice, "bob@office.test")
        assert alice.has_extn("xdrop")
        bob.ehlo()
        assert bob.docmd("XDROP", id)[0] == 550
        code, text = alice.docmd("XDROP")
        lines = text.decode().split("\n")
        assert code == 250 and lines[1].startswith(f"2.0.0 {kept} to bob@office.test, held until 2")
        assert lines[2].startswith(f"2.0.0 {id} to bob@office.test and 1 more, held until 2")
        assert alice.docmd("XDROP", id) == (
            250,
            b"2.0.0 %s dropped for 2 recipients who had not got it yet" % id.encode(),
        )
        assert alice.docmd("XDROP", id)[0] == 550
    office.wait_for_log(id, "Dropped by its sender by=alice@office.test")
    assert [entry["id"] for entry in office.queue()] == [kept]
    assert eventually(lambda: [path.name for path in office.spooled()] == [kept])
    office.cli("queue", "retry", kept)
    assert len(office.wait_for_files("bob")) == 1 and sink.letters == []
    office.wait_for_empty_queue()
    assert not office.logged("error")


def test_it_survives_a_crash(make_office: MakeOffice, sink: Sink) -> None:
    """Both: whose letter it is, and that it was taken back."""
    office = make_office({**UNDO, **next_hop(sink)}).start()
    with office.submission("alice") as alice:
        first, second = send(alice, "x@away.test"), send(alice, "y@away.test")
        assert alice.docmd("XDROP", first)[0] == 250
        office.kill()
    office.start()
    assert [entry["id"] for entry in office.queue()] == [second]
    with office.submission("alice") as alice:
        alice.ehlo()
        assert [alice.docmd("XDROP", id)[0] for id in (first, second)] == [550, 250]
    office.wait_for_empty_queue()
    assert sink.letters == []


def test_what_waits_for_a_server_that_is_down(make_office: MakeOffice) -> None:
    """Also without [submission] undo, and after an attempt; nobody is told."""
    office = make_office({"routes": {"*": "smtp:[127.0.0.1]:1"}}).start()
    with office.submission("alice") as alice:
        id = send(alice, "x@away.test")
        assert eventually(lambda: b"x@away.test, next try 2" in alice.docmd("XDROP")[1])
        assert alice.docmd("XDROP", id)[0] == 250
        assert alice.docmd("XDROP")[1] == b"2.0.0 No letter of yours waits here"
    office.wait_for_empty_queue()
    assert office.files("alice") == []


def test_on_the_command_line(make_office: MakeOffice) -> None:
    """Where the queue is not looked at, only the server asked."""
    office = make_office(UNDO, users=("alice", "bob")).start()
    with office.submission("alice") as alice:
        id, kept = send(alice, "bob@office.test"), send(alice, "bob@office.test")
    as_alice = ("--user", "alice@office.test", "--password-stdin")
    wrong = office.cli("queue", "drop", id, *as_alice, input="wrong\n", code=1)
    assert "535" in wrong and "Traceback" not in wrong
    listed = office.cli("queue", "list", *as_alice, input=f"{PASSWORD}\n").splitlines()
    assert [line.split()[0] for line in listed] == ["These", kept, id]
    problems = office.cli("queue", "drop", "NONE", id, "../x", *as_alice, input=f"{PASSWORD}\n", code=1)
    assert "NONE: 550 " in problems and "../x is no ID" in problems
    assert [entry["id"] for entry in office.queue()] == [kept]
    said = office.cli("queue", "drop", kept, *as_alice, input=f"{PASSWORD}\n")
    assert said == f"{kept} dropped for 1 recipient who had not got it yet\n"
    office.wait_for_empty_queue()
    assert office.files("bob") == [] and not office.logged("error")


def test_what_is_typed_by_hand(make_office: MakeOffice, sink: Sink) -> None:
    """In OpenSSL's client, with an id in small letters."""
    office = make_office({**UNDO, **next_hop(sink)}).start()
    with office.submission("alice") as alice:
        id = send(alice, "x@away.test")
    response = base64.b64encode(f"\0alice@office.test\0{PASSWORD}".encode()).decode()
    said = "".join(f"{line}\n" for line in ("EHLO here", f"AUTH PLAIN {response}", f"XDROP {id.lower()}", "QUIT"))
    command = [program("openssl"), "s_client", "-quiet", "-crlf", "-connect", f"127.0.0.1:{office.port.submissions}"]
    heard = subprocess.run(command, input=said, text=True, capture_output=True, timeout=30).stdout
    assert f"250 2.0.0 {id} dropped for 1 recipient" in heard
