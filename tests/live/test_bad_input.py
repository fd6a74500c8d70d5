"""Whatever clients say or do: a clear answer, the next client is served, nothing is lost and nothing left behind.

That nothing of it reached a traceback is seen when the server is stopped.
"""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live.conftest import MakeOffice
from tests.live.letters import LARGE
from tests.live.office import Office
from tests.live.waiting import eventually
from tests.live.wire import PASSWORD, Wire

SESSION = (
    b"EHLO client.test\r\nMAIL FROM:<friend@far.test>\r\nRCPT TO:<carol@office.test>\r\nDATA\r\n"
    b"Subject: all at once\r\n\r\n..dot\r\n.\r\nNOOP\r\nQUIT\r\n"
)
SESSION_CODES = ["250", "250", "250", "354", "250", "250", "221"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"\xff\xfe\xfd", "500"),
        (b"NOOP \x00\x01\x02", "500"),
        (b"\x00", "500"),
        (b"MAIL FROM:<a\x00b@far.test>", "500"),
        (b"MAIL FROM:<a b@far.test>", "501"),
        (b"RCPT", "501"),
        (b"X" * 100_000, "500"),
        (b"NOOP " + b"x" * 100_000, "500"),
        (b"NOOP\rNOOP", "500"),
        (b"", "500"),
        (b"AUTH PLAIN " + b"A" * 30_000, "50"),
        (b"MAIL FROM:<friend@far.test> SIZE=99999999999999999999", "552"),
        (b"MAIL FROM:<friend@far.test> SIZE=-1", "501"),
        (b"MAIL FROM:<friend@far.test> NOSUCH=1", "555"),
    ],
)
def test_command(office: Office, command: bytes, code: str) -> None:
    """Refused, and the session goes on."""
    with Wire(office.port.smtp) as wire:
        wire.ask(b"EHLO client.test")
        assert wire.ask(command).startswith(code)
        assert wire.ask(b"NOOP").startswith("250 ")


@pytest.mark.parametrize(
    "command", [b"\xff\xfe", b"USER \x00", b"X" * 100_000, b"", b"RETR 99999999999999999999", b"TOP"]
)
def test_pop3_command(office: Office, command: bytes) -> None:
    with Wire(office.port.pop3) as wire:
        assert wire.greeting.startswith("+OK")
        assert wire.ask(command).startswith("-ERR")
        assert wire.ask(b"CAPA").startswith("+OK")


def test_too_many_errors(office: Office) -> None:
    with Wire(office.port.smtp) as wire:
        replies = [wire.ask(b"NONSENSE") for _ in range(20)]
        assert replies[-1].startswith("421 4.7.0 ")
        assert wire.reply() == ""
    assert all(reply.startswith("500 5.5") for reply in replies[:-1])


def test_everything_in_one_segment(office: Office) -> None:
    """More than PIPELINING allows, but answered in order."""
    before = len(office.files("carol"))
    with Wire(office.port.smtp) as wire:
        wire.send(SESSION)
        assert [wire.reply()[:3] for _ in SESSION_CODES] == SESSION_CODES
        assert wire.reply() == ""
    office.wait_for_files("carol", before + 1)


def test_octet_by_octet(office: Office) -> None:
    before = len(office.files("carol"))
    with Wire(office.port.smtp) as wire:
        for index in range(len(SESSION)):
            wire.send(SESSION[index : index + 1])
        assert [wire.reply()[:3] for _ in SESSION_CODES] == SESSION_CODES
    assert office.wait_for_files("carol", before + 1)[-1].read_bytes().endswith(b"\n\n.dot\n")


def test_half_closed(office: Office) -> None:
    """``printf … | nc`` says all it has to say and then only listens."""
    before = len(office.files("carol"))
    with socket.create_connection(("127.0.0.1", office.port.smtp), 20) as client, client.makefile("rb") as file:
        client.sendall(SESSION)
        client.shutdown(socket.SHUT_WR)
        assert file.read().splitlines()[-1].startswith(b"221 ")
    office.wait_for_files("carol", before + 1)


@pytest.mark.parametrize("octets", [100, 3_000_000])
def test_client_vanishes_in_the_middle_of_data(office: Office, octets: int) -> None:
    """No letter, and no file of it: neither of one that was held in memory, nor of one that was not."""
    before = len(office.files("bob"))
    wire = Wire(office.port.smtp)
    wire.envelope("friend@far.test", "bob@office.test")
    wire.send(b"Subject: gone\r\n\r\n" + b"x" * 70 + b"\r\n" * (octets // 2))
    if octets > 1_000_000:
        assert eventually(office.spooled)
    wire.vanish()
    assert eventually(lambda: not office.spooled())
    assert len(office.files("bob")) == before
    assert office.queue() == []


def test_client_vanishes_after_the_end_of_data(office: Office) -> None:
    """It does not hear the 250, but the letter was complete: it is ours."""
    before = len(office.files("bob"))
    wire = Wire(office.port.smtp)
    wire.envelope("friend@far.test", "bob@office.test")
    wire.send(b"Subject: complete\r\n\r\nhello\r\n.\r\n")
    wire.close()
    office.wait_for_files("bob", before + 1)


@pytest.mark.parametrize("port", ["smtp", "submission"])
def test_plaintext_behind_starttls(office: Office, port: str) -> None:
    """What somebody put behind STARTTLS is not taken for what the user says over TLS."""
    with Wire(getattr(office.port, port)) as wire:
        wire.ask(b"EHLO client.test")
        wire.send(b"STARTTLS\r\nRSET\r\n")
        assert wire.reply().startswith("421 5.5.1 ")
        assert wire.reply() == ""


def test_plaintext_behind_stls(office: Office) -> None:
    with Wire(office.port.pop3) as wire:
        wire.send(b"STLS\r\nUSER alice\r\n")
        assert wire.reply().startswith("-ERR")
        assert wire.reply() == ""


@pytest.mark.parametrize("port", ["submissions", "pop3s"])
def test_no_tls_where_it_is_expected(office: Office, port: str) -> None:
    with socket.create_connection(("127.0.0.1", getattr(office.port, port)), 20) as client:
        client.sendall(b"EHLO client.test\r\nQUIT\r\n" * 100)
        answer = b""
        try:
            while more := client.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
    assert b"220" not in answer
    assert b"OK" not in answer


def test_message_without_a_header(office: Office) -> None:
    """It gets an empty line before it, so that its text does not become fields."""
    before = len(office.files("dave"))
    with office.smtp() as client:
        client.sendmail("friend@far.test", ["dave@office.test"], "just text\r\n")
    assert b"\n\njust text\n" in office.wait_for_files("dave", before + 1)[-1].read_bytes()


def test_empty_message(office: Office) -> None:
    before = len(office.files("dave"))
    with Wire(office.port.smtp) as wire:
        wire.envelope("friend@far.test", "dave@office.test")
        assert wire.ask(b".").startswith("250 2.0.0 ")
    office.wait_for_files("dave", before + 1)


def test_loop(office: Office) -> None:
    with Wire(office.port.smtp) as wire:
        wire.envelope("friend@far.test", "alice@office.test")
        wire.send(b"Received: from somewhere\r\n" * 50 + b"\r\n.\r\n")
        assert wire.reply().startswith("554 5.4.6 ")


def test_endless_line_in_the_data(office: Office) -> None:
    """Longer than RFC 5322 allows, but no reason to lose a letter; the octets are kept."""
    before = len(office.files("dave"))
    with Wire(office.port.smtp) as wire:
        wire.envelope("friend@far.test", "dave@office.test")
        wire.send(b"Subject: long\r\n\r\n" + b"x" * 200_000 + b"\r\n.\r\n")
        assert wire.reply().startswith("250 ")
    assert any(b"x" * 200_000 in path.read_bytes() for path in office.wait_for_files("dave", before + 1))


def test_too_big(make_office: MakeOffice) -> None:
    """Refused at MAIL when it is announced, else after the data; the session goes on, and nothing is left."""
    office = make_office({"limits": {"message_size": "1MiB"}}).start()
    with Wire(office.port.smtp) as wire:
        wire.ask(b"EHLO client.test")
        assert wire.ask(b"MAIL FROM:<friend@far.test> SIZE=%d" % len(LARGE)).startswith("552 5.3.4 ")
        wire.envelope("friend@far.test", "alice@office.test")
        wire.send(LARGE.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert wire.reply().startswith("552 5.3.4 ")
        assert wire.ask(b"NOOP").startswith("250 ")
    assert office.spooled() == []
    assert office.files("alice") == []


def test_too_many_connections(make_office: MakeOffice) -> None:
    office = make_office({"limits": {"connections_per_client": "3"}}).start()
    wires = [Wire(office.port.smtp) for _ in range(4)]
    assert [wire.greeting[:3] for wire in wires] == ["220", "220", "220", "421"]
    assert wires[-1].reply() == ""
    for wire in wires:
        wire.close()
    assert eventually(lambda: _greeted(office))


def _greeted(office: Office) -> bool:
    with Wire(office.port.smtp) as wire:
        return wire.greeting.startswith("220 ")


def test_silent_client(make_office: MakeOffice) -> None:
    office = make_office({"limits": {"command_timeout": "1s"}}).start()
    with Wire(office.port.smtp) as wire:
        assert wire.reply().startswith("421 4.4.2 ")
        assert wire.reply() == ""


def test_guessing_passwords(make_office: MakeOffice) -> None:
    """Whoever tries too many has to wait, also with the right one, while the owner gets in from elsewhere."""
    office = make_office({"limits": {"auth_failures_per_minute": "3"}}).start()
    replies = [log_in(office, "open sesame") for _ in range(3)] + [log_in(office, PASSWORD)]
    assert [reply[:10] for reply in replies] == ["-ERR [AUTH"] * 3 + ["-ERR [SYS/"]
    assert log_in(office, PASSWORD, source="127.0.0.2").startswith("+OK")
    assert "sesame" not in office.log()


def log_in(office: Office, password: str, source: str = "127.0.0.1") -> str:
    with Wire(office.port.pop3, source) as wire:
        wire.ask(b"USER alice")
        return wire.ask(b"PASS " + password.encode())


def test_many_at_once(office: Office) -> None:
    """Forty clients at the same time, and no letter of theirs is missing."""
    before = len(office.files("alice"))

    def send(number: int) -> None:
        with office.smtp() as client:
            client.sendmail("friend@far.test", ["alice@office.test"], f"Subject: {number}\r\n\r\n")

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(send, range(40)))
    files = office.wait_for_files("alice", before + 40)
    subjects = {line for path in files for line in path.read_bytes().splitlines() if line.startswith(b"Subject: ")}
    assert {b"Subject: %d" % number for number in range(40)} <= subjects
