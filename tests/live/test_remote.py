"""Delivery over real sockets, to servers that behave badly in every way we could think of."""

from __future__ import annotations

import io
import re
import resource
import socket
import ssl
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

import pytest
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.ssl import Certificate

from mailstack.config.settings import Route, Settings, Smarthost
from mailstack.delivery.remote import RemoteDelivery
from mailstack.model.address import Address
from mailstack.model.letter import Due, Letter, Pending, Recipient
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome
from mailstack.protocol.smtp_dialogue import Patience
from mailstack.spool.memory import MemorySpool
from tests.delivery.memory_dns import MemoryResolver
from tests.delivery.some_settings import settings
from tests.delivery.test_remote import Notes
from tests.live import spin
from tests.live.fake_server import FakeServer, Peer, Script, certificate

CONTENT = b"Received: here\nSubject: test\n\n" + b".a line with a dot\n" * 20_000
BOB = Address("bob", "x.test")
RESOLVER = MemoryResolver({("smart.test", "A"): ["127.0.0.1"], ("other.test", "A"): ["127.0.0.1"]})


class Stored(MemorySpool):
    """A spool of one letter."""

    def __init__(self, content: BinaryIO) -> None:
        super().__init__()
        self._content = content

    def open(self, id: str) -> BinaryIO:
        return self._content


class Sender:
    def __init__(self, found: Settings, trust: Certificate | None = None, patience: Patience | None = None) -> None:
        self.notes = Notes()
        self.settings = found
        self.trust = trust
        self.patience = patience

    def send(self, content: BinaryIO | None = None, size: int = len(CONTENT), **more: Any) -> Outcome:
        """``more`` is for the letter."""
        spool = Stored(content or io.BytesIO(CONTENT))
        remote = RemoteDelivery(
            reactor, self.settings, RESOLVER, spool, self.notes, Random(1), self.trust, self.patience
        )
        recipient = Recipient(BOB, BOB)
        letter = evolve(Letter("L1", None, (recipient,), 0.0, size, size // 20, 0, False, 0), **more)
        (outcomes,) = spin.wait_for(remote.deliver([Due(letter, (Pending(0, recipient),))]), 60)
        remote.pool.stopService()
        spin.until(spin.nothing_left)  # the good-bye, which the outcome does not wait for
        return outcomes[0]


def to(port: int, host: str = "127.0.0.1", kind: str = "smtp") -> Settings:
    return settings(("*", Route(kind, host, port, literal=True)))


def hello(peer: Peer, *extensions: str) -> None:
    peer.say("220 fake")
    peer.hear("EHLO mx.office.test")
    peer.say("250-fake", *(f"250-{extension}" for extension in extensions), "250 HELP")


def envelope(peer: Peer) -> None:
    peer.hear("MAIL FROM:<>")
    peer.say("250 ok")
    peer.hear("RCPT TO:<bob@x.test>")
    peer.say("250 ok")
    peer.hear("DATA")
    peer.say("354 go")


def take(peer: Peer) -> bytes:
    envelope(peer)
    data = peer.data()
    peer.say("250 2.0.0 taken")
    peer.hear("QUIT")
    peer.say("221 bye")
    return data


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_delivery(family: socket.AddressFamily) -> None:
    """The message arrives as it is, with dots stuffed at every boundary."""
    got: list[bytes] = []

    def script(peer: Peer) -> None:
        hello(peer)
        got.append(take(peer))

    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    try:
        server = FakeServer(script, family=family)
    except OSError:
        pytest.skip("there is no IPv6 here")
    with server:
        outcome = Sender(to(server.port, host)).send()
    assert isinstance(outcome, Delivered)
    assert outcome.relay == f"{host}[{host}]:{server.port}"
    expected = CONTENT.replace(b"\n", b"\r\n").replace(b"\r\n.", b"\r\n..") + b".\r\n"
    assert got == [expected]


def test_lmtp(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.say("220 fake")
        peer.hear("LHLO")
        peer.say("250 fake")
        take(peer)

    with FakeServer(script) as server:
        assert isinstance(Sender(to(server.port, kind="lmtp")).send(), Delivered)


def nonsense(peer: Peer) -> None:
    peer.say("\0\x01\xff what?")
    peer.silence()


def closes_after_354(peer: Peer) -> None:
    hello(peer)
    envelope(peer)


def resets_after_250(peer: Peer) -> None:
    """The letter was taken; that the connection dies then is no news."""
    hello(peer)
    envelope(peer)
    peer.data()
    peer.say("250 2.0.0 taken")
    peer.hear("QUIT")
    peer.reset()


def resets_instead_of_250(peer: Peer) -> None:
    hello(peer)
    envelope(peer)
    peer.data()
    peer.reset()


def endless_reply(peer: Peer) -> None:
    peer.say(*["220-and so on"] * 10_000, "220 done")
    peer.silence()


def endless_line(peer: Peer) -> None:
    peer.say("220 " + "x" * 65_536)
    peer.silence()


def wrong_order(peer: Peer) -> None:
    peer.say("220 fake", "250 fake", "250 ok", "250 ok", "354 go", "250 taken")
    peer.silence()


def injection(peer: Peer) -> None:
    hello(peer, "STARTTLS")
    peer.hear("STARTTLS")
    peer.say("220 go", "250 fake", "250 ok")
    peer.silence()


def early_refusal(peer: Peer) -> None:
    hello(peer)
    envelope(peer)
    peer.say("552 5.3.4 too big")
    peer.silence()


def closes_at_once(peer: Peer) -> None:
    pass


@pytest.mark.parametrize(
    ("script", "kind", "status"),
    [
        (nonsense, Delayed, "4.5.0"),
        (closes_at_once, Delayed, "4.4.2"),
        (closes_after_354, Delayed, "4.4.2"),
        (resets_after_250, Delivered, "2.0.0"),
        (resets_instead_of_250, Delayed, "4.4.2"),
        (endless_reply, Delayed, "4.5.0"),
        (endless_line, Delayed, "4.5.0"),
        (wrong_order, Delayed, "4.5.0"),
        (injection, Delayed, "4.5.0"),
        (early_refusal, Failed, "5.3.4"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_bad_server(script: Script, kind: type[Outcome], status: str) -> None:
    """Each ends as an outcome with a short, readable text."""
    with FakeServer(script) as server:
        outcome = Sender(to(server.port)).send()
    assert isinstance(outcome, kind)
    assert outcome.reply.status == status
    assert outcome.reply.text.isprintable()
    assert len(outcome.reply.text) < 400


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        outcome = Sender(to(taken.getsockname()[1])).send()
    assert isinstance(outcome, Delayed)
    assert outcome.reply.status == "4.4.1"


def test_silent_server() -> None:
    with FakeServer(lambda peer: peer.silence()) as server:
        outcome = Sender(to(server.port), patience=Patience(greeting=0.2)).send()
    assert isinstance(outcome, Delayed)
    assert "while waiting for the greeting" in outcome.reply.text


# ---- TLS


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Certificate]:
    context, pem = certificate(tmp_path_factory.mktemp("tls"), "smart.test")
    return context, Certificate.loadPEM(pem)


def test_opportunistic_tls(tls: tuple[ssl.SSLContext, Certificate]) -> None:
    """Any certificate will do; the log says what was agreed."""

    def script(peer: Peer) -> None:
        hello(peer, "STARTTLS")
        peer.hear("STARTTLS")
        peer.say("220 go")
        peer.tls(tls[0])
        peer.hear("EHLO")
        peer.say("250 fake")
        take(peer)

    with FakeServer(script) as server:
        sender = Sender(to(server.port))
        assert isinstance(sender.send(), Delivered)
    ((id, fields),) = sender.notes.lines
    assert id == "L1"
    assert re.fullmatch(
        rf"Untrusted TLS connection established to 127\.0\.0\.1\[127\.0\.0\.1\]:{server.port}: "
        r"TLSv1\.3 with cipher TLS_AES_256_GCM_SHA384 \(256/256 bits\)",
        str(fields["what"]),
    )
    assert fields["policy"] == "opportunistic by default"
    assert fields["certificate"] == "self-signed certificate"


def test_failed_handshake_falls_back_once() -> None:
    """A broken STARTTLS is noted, and the mail goes without."""

    def broken(peer: Peer) -> None:
        hello(peer, "STARTTLS")
        peer.hear("STARTTLS")
        peer.say("220 go")
        peer.sock.recv(65536)
        peer.say("this is not TLS")
        peer.silence()

    def plain(peer: Peer) -> None:
        hello(peer, "STARTTLS")
        take(peer)

    with FakeServer(broken, plain) as server:
        sender = Sender(to(server.port))
        assert isinstance(sender.send(), Delivered)
        assert server.connections == 2
    assert "once more without TLS" in str(sender.notes.lines)


def smarthost(port: int, policy: str, tmp_path: Path, host: str = "smart.test") -> Settings:
    (tmp_path / "password").write_text("s3cret\n")
    found = Smarthost(f"[{host}]", port, "user", tmp_path / "password", policy)
    return settings(("*", Route("smarthost")), smarthost=found)


def authenticated(peer: Peer) -> None:
    peer.hear("EHLO")
    peer.say("250-fake", "250 AUTH PLAIN")
    peer.hear("AUTH PLAIN AHVzZXIAczNjcmV0")
    peer.say("235 welcome")
    take(peer)


@pytest.mark.parametrize("policy", ["required", "implicit"])
def test_verified_tls(policy: str, tls: tuple[ssl.SSLContext, Certificate], tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        if policy == "required":
            hello(peer, "STARTTLS")
            peer.hear("STARTTLS")
            peer.say("220 go")
        peer.tls(tls[0])
        if policy == "implicit":
            peer.say("220 fake")
        authenticated(peer)

    with FakeServer(script) as server:
        sender = Sender(smarthost(server.port, policy, tmp_path), trust=tls[1])
        assert isinstance(sender.send(), Delivered)
    (fields,) = [fields for _, fields in sender.notes.lines]
    assert str(fields["what"]).startswith("Verified TLS connection established to smart.test[127.0.0.1]")
    assert (fields["policy"], fields["certificate"]) == (f"{policy} by [smarthost]", None)


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("policy", ["required", "implicit"])
def test_wrong_certificate(policy: str, trusted: bool, tls: tuple[ssl.SSLContext, Certificate], tmp_path: Path) -> None:
    """The wrong name, or an authority that nobody knows: no password and no mail."""

    def script(peer: Peer) -> None:
        if policy == "required":
            hello(peer, "STARTTLS")
            peer.hear("STARTTLS")
            peer.say("220 go")
        with pytest.raises((ssl.SSLError, OSError, AssertionError)):
            peer.tls(tls[0])
            peer.hear("EHLO")

    host = "127.0.0.1" if trusted else "smart.test"
    with FakeServer(script) as server:
        sender = Sender(smarthost(server.port, policy, tmp_path, host), trust=tls[1] if trusted else None)
        outcome = sender.send()
        assert server.connections == 1
    assert isinstance(outcome, Delayed)
    assert outcome.reply.status == "4.7.5"
    why = "the certificate is not for 127.0.0.1" if trusted else "self-signed certificate"
    assert outcome.reply.text.endswith(why)


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("name", ["smart.test", "other.test"])
def test_route_that_requires_tls(name: str, trusted: bool, tls: tuple[ssl.SSLContext, Certificate]) -> None:
    """Through an MX: the right name and a known authority, or nothing at all is sent."""

    def good(peer: Peer) -> None:
        secured(peer, tls[0])
        take(peer)

    def bad(peer: Peer) -> None:
        with pytest.raises((ssl.SSLError, OSError, AssertionError)):
            secured(peer, tls[0])

    expected = name == "smart.test" and trusted
    with FakeServer(good if expected else bad) as server:
        route = Route("smtp", name, server.port, tls="required")
        outcome = Sender(settings(("*", route)), trust=tls[1] if trusted else None).send()
        assert server.connections == 1
    assert isinstance(outcome, Delivered if expected else Delayed)
    assert expected or outcome.reply.status == "4.7.5"


# ---- A letter that requires TLS: RFC 8689


def secured(peer: Peer, context: ssl.SSLContext, *extensions: str) -> None:
    hello(peer, "STARTTLS")
    peer.hear("STARTTLS")
    peer.say("220 go")
    peer.tls(context)
    peer.hear("EHLO")
    peer.say("250-fake", *(f"250-{extension}" for extension in extensions), "250 HELP")


def test_letter_that_requires_tls(tls: tuple[ssl.SSLContext, Certificate]) -> None:
    """The certificate is looked at although no policy asks for it, and the promise is passed on."""

    def script(peer: Peer) -> None:
        secured(peer, tls[0], "REQUIRETLS")
        assert peer.hear("MAIL FROM:") == "MAIL FROM:<bob@x.test> REQUIRETLS"
        peer.say("250 ok")
        peer.hear("RCPT")
        peer.say("250 ok")
        peer.hear("DATA")
        peer.say("354 go")
        peer.data()
        peer.say("250 2.0.0 taken")
        peer.hear("QUIT")

    with FakeServer(script) as server:
        sender = Sender(to(server.port, "smart.test"), trust=tls[1])
        assert isinstance(sender.send(sender=BOB, require_tls=True), Delivered)
    assert sender.notes.lines[0][1]["policy"] == "required by REQUIRETLS"


def test_letter_that_requires_tls_and_a_server_that_does_not_pass_it_on(
    tls: tuple[ssl.SSLContext, Certificate],
) -> None:
    def script(peer: Peer) -> None:
        secured(peer, tls[0])
        peer.hear("QUIT")

    with FakeServer(script) as server:
        outcome = Sender(to(server.port, "smart.test"), trust=tls[1]).send(sender=BOB, require_tls=True)
    assert isinstance(outcome, Failed) and outcome.reply.status == "5.7.30"


def test_letter_that_requires_tls_and_a_certificate_that_nobody_knows(tls: tuple[ssl.SSLContext, Certificate]) -> None:
    """It is not sent in clear text instead."""

    def script(peer: Peer) -> None:
        with pytest.raises((ssl.SSLError, OSError, AssertionError)):
            secured(peer, tls[0], "REQUIRETLS")

    with FakeServer(script) as server:
        outcome = Sender(to(server.port, "smart.test")).send(sender=BOB, require_tls=True)
        assert server.connections == 1
    assert isinstance(outcome, Failed) and outcome.reply.status == "5.7.10"


# ---- Size


LINE = b"0123456789abcdef0123456789abcde\n"  # blocks of any power of two begin with a line


class Filler(io.RawIOBase):
    """A long message that is nowhere in memory."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._at = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        size = max(0, min(size, self._size - self._at))
        self._at += size
        return LINE * (size // len(LINE))


def test_memory_does_not_grow_with_the_message() -> None:
    size = 96 * 1_024 * 1_024

    def script(peer: Peer) -> None:
        hello(peer)
        envelope(peer)
        seen, tail = 0, b""
        while not tail.endswith(b"\r\n.\r\n"):
            data = peer.sock.recv(1 << 20)
            assert data
            seen, tail = seen + len(data), (tail + data)[-5:]
        assert seen == size + size // len(LINE) + 3
        peer.say("250 taken")
        peer.hear("QUIT")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with FakeServer(script) as server:
        filler: BinaryIO = Filler(size)  # type: ignore[assignment]
        assert isinstance(Sender(to(server.port)).send(filler, size), Delivered)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 20_000  # KiB
