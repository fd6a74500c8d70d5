"""The table of hostile servers over real sockets, and what only those can show."""

from __future__ import annotations

import io
import resource
import socket
import time
from collections.abc import Callable

import pytest

from mailstack.config.settings import Route
from mailstack.model.outcome import Delayed, Delivered
from mailstack.protocol.smtp_dialogue import Patience
from tests.delivery.some_settings import settings
from tests.hostile.servers import ROWS, Close, Data, Hear, Pause, Row
from tests.live.fake_server import FakeServer, Peer
from tests.live.test_remote import Sender, envelope, hello, to

QUICK = Patience(greeting=5, hello=5, tls=1, mail=1, rcpt=5, data=5, block=1, final=5)
LARGE = b"Received: here\n\n" + b"0123456789abcdef\n" * (25 * 1_024 * 1_024 // 17)
FLOOD = b"250-and so on, and so on, for ever and ever\r\n" * 1_000


def played(row: Row) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        try:
            for act in row.acts:
                do(peer, act)
            while peer.hear("") != "QUIT":
                pass
        except (OSError, AssertionError):  # the client has seen enough, and is gone
            return

    return script


def do(peer: Peer, act: object) -> None:
    match act:
        case bytes():
            peer.sock.sendall(act)
        case Hear():
            while not peer.hear("").startswith(act.verb):
                pass
        case Data():
            peer.data()
        case Pause():
            time.sleep(act.seconds)
        case Close(reset=True):
            peer.reset()
        case _:
            peer.sock.close()


@pytest.mark.parametrize("row", [row for row in ROWS if row.live and row.recipients == 1], ids=lambda row: row.name)
def test_hostile_server(row: Row) -> None:
    route = Route("lmtp" if row.lmtp else "smtp", "127.0.0.1", 0, literal=True)
    with FakeServer(played(row)) as server:
        found = settings(("*", Route(route.kind, route.host, server.port, literal=True)))
        outcome = Sender(found, patience=QUICK).send()
    assert (type(outcome), outcome.reply.status) == (row.kind, row.status), outcome.reply
    assert row.words in str(outcome.reply)


def test_answer_of_no_tls_goes_once_more_without() -> None:
    """What comes after the handshake has begun is no TLS: the letter goes in clear text, and the log tells."""

    def garbage(peer: Peer) -> None:
        hello(peer, "STARTTLS")
        peer.hear("STARTTLS")
        peer.say("220 go")
        peer.sock.recv(65536)
        peer.sock.sendall(b"250-fake\r\n250 HELP\r\n" * 10)
        peer.silence()

    def plain(peer: Peer) -> None:
        hello(peer, "STARTTLS")
        envelope(peer)
        peer.data()
        peer.say("250 taken")
        peer.hear("QUIT")

    with FakeServer(garbage, plain) as server:
        sender = Sender(to(server.port), patience=QUICK)
        assert isinstance(sender.send(), Delivered)
        assert server.connections == 2
    assert "once more without TLS" in str(sender.notes.lines)


def test_handshake_that_never_comes() -> None:
    """TLS has its own patience; then it goes without, once."""

    def mute(peer: Peer) -> None:
        hello(peer, "STARTTLS")
        peer.hear("STARTTLS")
        peer.say("220 go")
        peer.silence()

    def plain(peer: Peer) -> None:
        hello(peer, "STARTTLS")
        peer.silence()

    with FakeServer(mute, plain) as server:
        outcome = Sender(to(server.port), patience=QUICK).send()
        assert server.connections == 2
    assert isinstance(outcome, Delayed)
    assert "while waiting for MAIL" in outcome.reply.text


@pytest.mark.parametrize("how", ["close", "reset"])
def test_gone_in_the_middle_of_a_large_letter(how: str) -> None:
    def script(peer: Peer) -> None:
        hello(peer)
        envelope(peer)
        seen = 0
        while seen < 1_000_000:
            seen += len(peer.sock.recv(65536))
        if how == "reset":
            peer.reset()

    with FakeServer(script) as server:
        outcome = Sender(to(server.port), patience=QUICK).send(io.BytesIO(LARGE), len(LARGE))
    assert isinstance(outcome, Delayed)
    assert outcome.reply.status == "4.4.2"


def test_never_reads_the_letter() -> None:
    """The window is closed: nothing of the letter but a few blocks is read from the disk."""
    content = io.BytesIO(LARGE)

    def script(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        hello(peer)
        envelope(peer)
        time.sleep(3)

    with FakeServer(script) as server:
        outcome = Sender(to(server.port), patience=QUICK).send(content, len(LARGE))
    assert isinstance(outcome, Delayed)
    assert "while waiting for the message data" in outcome.reply.text
    assert content.closed or content.tell() < 16 * 1_024 * 1_024


@pytest.mark.parametrize("line", [FLOOD, b"x" * 65_536, b"\0" * 65_536, b"250 ok\r\n" * 8_000], ids=len)
@pytest.mark.parametrize("when", ["greeting", "data"])
def test_flood(line: bytes, when: str) -> None:
    """The connection is cut, long before there is much of it in memory."""

    def script(peer: Peer) -> None:
        if when == "data":
            hello(peer)
            envelope(peer)
        try:
            for _ in range(100_000):
                peer.sock.sendall(line)
        except OSError:
            return
        raise AssertionError("all of it was taken")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with FakeServer(script) as server:
        outcome = Sender(to(server.port), patience=QUICK).send()
    assert isinstance(outcome, Delayed)
    assert outcome.reply.status == "4.5.0"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_drip() -> None:
    """Each octet is in time, the reply is not."""

    def script(peer: Peer) -> None:
        try:
            while True:
                peer.sock.sendall(b"2")
                time.sleep(0.05)
        except OSError:
            pass

    with FakeServer(script) as server:
        started = time.monotonic()
        outcome = Sender(to(server.port), patience=Patience(greeting=1)).send()
    assert isinstance(outcome, Delayed)
    assert "Timed out after 1 s" in outcome.reply.text
    assert time.monotonic() - started < 8
