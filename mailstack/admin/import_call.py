"""A session with a POP3 server over a socket: blocking, for there is no reactor on the command line."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import ip_address

from attrs import frozen

from mailstack.admin.caller import Unanswered
from mailstack.protocol.pop3_client import Answer, Complete, Event, Garbled, Piece, Pop3Client, Row, Shape
from mailstack.protocol.pop3_client_opening import Ask, Capabilities, Greet, Heard, Manner, Refused, Secure, opening

PATIENCE = 120.0  # seconds without an octet; a server may have to count 100,000 letters before it answers
PIECE = 256 * 1024  # octets that are read at once
AHEAD = 16  # RETR commands under way where the server has PIPELINING; all of them fit into any TCP window
MAX_LIST = 64 * 1024 * 1024  # octets of one list: more than half a million unique-ids of full length

MAX_ROWS = 2_000_000  # lines of one list: short ones take ten times their octets in memory

#: OpenSSL's words when a server cannot do TLS 1.2, or only with keys that are too short.
OLD_TLS = {
    "DH_KEY_TOO_SMALL",
    "NO_PROTOCOLS_AVAILABLE",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "UNSUPPORTED_PROTOCOL",
    "WRONG_SSL_VERSION",
}

POP3_PORT, POP3S_PORT = 110, 995


@frozen
class Server:
    """``fingerprint``: the SHA-256 of its certificate, in small hex digits; "": it must have one for its name, from an
    authority that this system knows."""

    host: str
    port: int
    implicit_tls: bool
    fingerprint: str = ""
    plain: bool = False  #: without TLS is borne

    @property
    def name(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Pop3Call:
    """Connected and logged in. Unanswered for whatever goes wrong; what the server refuses is an answer."""

    def __init__(self, server: Server, manner: Manner) -> None:
        self._server = server
        self._client = Pop3Client()
        self._socket = _connected(server)
        try:
            if server.implicit_tls:
                self._encrypt()
            self.offers = self._open(manner)
        except BaseException:
            self.hang_up()
            raise

    def ask(self, line: str, shape: Shape = Shape.LINE) -> Heard:
        return self._ask(line.encode("ascii"), shape)

    def retrieve(self, numbers: Iterable[int]) -> Iterator[tuple[int, Answer, Iterator[bytes]]]:
        """The letters, each with the answer to its RETR and its octets, which must be taken to their end before the
        next letter is."""
        depth = AHEAD if "PIPELINING" in self.offers else 1
        left, under_way = iter(numbers), deque[int]()
        while True:
            if len(under_way) <= depth // 2:
                more = [number for _, number in zip(range(depth - len(under_way)), left, strict=False)]
                under_way.extend(more)
                self._send(b"".join(self._client.say(b"RETR %d" % number, Shape.LETTER) for number in more))
            if not under_way:
                return
            answer = self._answer()
            yield under_way.popleft(), answer, self._octets() if answer.positive else iter(())

    def quit(self) -> None:
        """Politely; what the server says to it changes nothing."""
        with suppress(Unanswered):
            self.ask("QUIT")
        self.hang_up()

    def hang_up(self) -> None:
        """RFC 1939 §6: without QUIT nothing is removed."""
        with suppress(OSError):
            self._socket.close()

    # ---- The opening

    def _open(self, manner: Manner) -> Capabilities:
        steps = opening(manner)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Secure):
                    self._start_tls()
                    step = next(steps)
                else:
                    step = steps.send(self._heard(step))
        except StopIteration as end:
            offers: Capabilities = end.value
            return offers
        except Refused as error:
            raise Unanswered(f"{self._server.name}: {error}") from None

    def _heard(self, step: Ask | Greet) -> Heard:
        return Heard(self._answer()) if isinstance(step, Greet) else self._ask(step.line, step.shape)

    def _ask(self, line: bytes, shape: Shape) -> Heard:
        try:
            octets = self._client.say(line, shape)
        except ValueError:
            raise Unanswered("a name or a password with a line end in it cannot be sent") from None
        self._send(octets)
        answer = self._answer()
        return Heard(answer, tuple(self._rows()) if answer.positive and shape is Shape.LIST else ())

    def _start_tls(self) -> None:
        if self._client.pending:
            # It came in plain, so anybody on the way may have said it, to be believed inside of TLS.
            raise Unanswered(f"{self._server.name} says something in plain after its answer to STLS")
        self._encrypt()
        self._client = Pop3Client(greeting=False)

    def _encrypt(self) -> None:
        try:
            encrypted = _context(self._server).wrap_socket(self._socket, server_hostname=self._server.host)
        except ssl.SSLCertVerificationError as error:
            raise Unbelieved(f"the certificate is not believed: {error.verify_message}") from None
        except ssl.SSLError as error:
            if error.reason in OLD_TLS and not self._server.fingerprint:
                raise Unbelieved("the server has only versions of TLS that are too old to prove who it is") from None
            raise Unanswered(f"{self._server.name}: TLS fails: {_reason(error)}") from None
        except OSError as error:
            raise Unanswered(f"{self._server.name}: TLS fails: {_reason(error)}") from None
        self._socket = encrypted
        shown = fingerprint(encrypted)
        if self._server.fingerprint and shown != self._server.fingerprint:
            raise Unanswered(
                f"{self._server.name}: the certificate has another fingerprint than --tls-fingerprint says: {shown}"
            )

    # ---- Octets

    def _answer(self) -> Answer:
        event = self._event()
        assert isinstance(event, Answer), "the client keeps the order"
        return event

    def _rows(self) -> Iterator[bytes]:
        octets = rows = 0
        while isinstance(event := self._event(), Row):
            octets += len(event.text)
            rows += 1
            if octets > MAX_LIST or rows > MAX_ROWS:
                raise Unanswered(f"{self._server.name} answers without end")
            yield event.text

    def _octets(self) -> Iterator[bytes]:
        while isinstance(event := self._event(), Piece):
            yield event.octets
        assert isinstance(event, Complete), "the client keeps the order"

    def _event(self) -> Event:
        while (event := self._client.next_event()) is None:
            self._client.receive(self._read())
        if isinstance(event, Garbled):
            raise Unanswered(f"{self._server.name}: {event.reason}")
        return event

    def _read(self) -> bytes:
        try:
            data = self._socket.recv(PIECE)
        except TimeoutError:
            raise Unanswered(f"{self._server.name} has said nothing for {PATIENCE:.0f} seconds") from None
        except OSError as error:
            raise Unanswered(f"{self._server.name}: the connection is lost: {_reason(error)}") from None
        if not data:
            raise Unanswered(f"{self._server.name} has hung up")
        return data

    def _send(self, octets: bytes) -> None:
        try:
            self._socket.sendall(octets)
        except OSError as error:
            raise Unanswered(f"{self._server.name}: the connection is lost: {_reason(error)}") from None


class Unbelieved(Exception):
    """It is not sure who the server is; says why."""


def is_loopback(host: str) -> bool:
    """Nobody can listen in between."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def fingerprint(connection: ssl.SSLSocket) -> str:
    return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()


def _connected(server: Server) -> socket.socket:
    try:
        connection = socket.create_connection((server.host, server.port), PATIENCE)
    except OSError as error:
        raise Unanswered(f"cannot connect to {server.name}: {_reason(error)}") from None
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _context(server: Server) -> ssl.SSLContext:
    if server.fingerprint or is_loopback(server.host):  # on loopback nobody can be in between
        return any_tls()
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # Debian's Python has none by itself
    return context


def any_tls() -> ssl.SSLContext:
    """For a server that is known by its fingerprint, which is compared afterwards, or by nothing: any certificate, and
    old TLS, too, for people move away from old servers."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
