"""Nothing is removed but what a client has said QUIT to: here the client dies before."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterator

import pytest

from tests.live.letters import SAMPLES, put
from tests.live.office import Office
from tests.live.waiting import eventually
from tests.live.wire import DOMAIN, PASSWORD, TIMEOUT, UNVERIFIED

LAST = {
    "after DELE": b"",
    "in a command": b"QUI",
    "before the line end": b"QUIT",
    "before the LF": b"QUIT\r",
    "while a letter is sent": b"RETR 4\r\n",
}


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def close(client: socket.socket) -> None:
    client.close()


def shut(client: socket.socket) -> None:
    """FIN, and it still listens."""
    client.shutdown(socket.SHUT_WR)
    while client.recv(65536):
        pass
    client.close()


def login_and_marks() -> list[str]:
    """All is marked for deletion but the fourth letter, a large one."""
    marks = [f"DELE {number}" for number in range(1, len(SAMPLES) + 1) if number != 4]
    return [f"USER alice@{DOMAIN}", f"PASS {PASSWORD}", *marks]


def session(send: Callable[[bytes], object], receive: Callable[[], bytes]) -> None:
    """Until all marks are set."""
    commands = login_and_marks()
    send("".join(f"{command}\r\n" for command in commands).encode())
    replies = b""
    while replies.count(b"\n") < len(commands) + 1:
        replies += receive()
    assert replies.count(b"+OK") == len(commands) + 1


@pytest.fixture
def untouched(office: Office) -> Iterator[None]:
    """Whatever the test does, all letters are there when the session is over, and the next one may come in."""
    if not office.files("alice"):
        put(office.maildir("alice"), SAMPLES)
    words = ("pop3: Disconnected: ", "user=<alice@office.test>", f"del=0/{len(SAMPLES)}", "Connection closed")
    before, sessions = office.files("alice"), len(office.logged(*words))
    yield
    assert eventually(lambda: len(office.logged(*words)) > sessions)
    assert office.files("alice") == before
    with office.pop3("alice") as client:
        assert client.stat()[0] == len(SAMPLES)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("last", LAST)
@pytest.mark.parametrize("end", [reset, close, shut])
@pytest.mark.parametrize("tls", [True, False], ids=["TLS without close_notify", "plain"])
def test_the_client_is_cut_off(office: Office, last: str, end: Callable[[socket.socket], None], tls: bool) -> None:
    port = office.port.pop3s if tls else office.port.pop3
    plain = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    with UNVERIFIED.wrap_socket(plain) if tls else plain as client:
        session(client.sendall, lambda: client.recv(4096))
        client.sendall(LAST[last])
        if last == "while a letter is sent":
            assert client.recv(4096).startswith(b"+OK")
        end(client)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("end", [reset, close])
def test_a_record_of_tls_is_cut(office: Office, end: Callable[[socket.socket], None]) -> None:
    """All of QUIT is there, but not all of the record that carries it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = UNVERIFIED.wrap_bio(incoming, outgoing)
    with socket.create_connection(("127.0.0.1", office.port.pop3s), TIMEOUT) as client:

        def until_done(step: Callable[[], bytes | None]) -> bytes:
            while True:
                try:
                    done = step()
                except ssl.SSLWantReadError:
                    client.sendall(outgoing.read())
                    incoming.write(client.recv(65536))
                else:
                    client.sendall(outgoing.read())
                    return done or b""

        until_done(tls.do_handshake)
        session(tls.write, lambda: until_done(lambda: tls.read(4096)))
        tls.write(b"QUIT\r\n")
        client.sendall(outgoing.read()[:-1])
        end(client)
