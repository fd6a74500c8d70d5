"""A client that says exactly what it is told to, octet by octet."""

from __future__ import annotations

import select
import socket
import ssl
import struct
from base64 import b64encode
from types import TracebackType

DOMAIN = "office.test"
PASSWORD = "correct horse battery staple"

TIMEOUT = 20  # seconds

#: Our certificates are self-signed.
UNVERIFIED = ssl.create_default_context()
UNVERIFIED.check_hostname = False
UNVERIFIED.verify_mode = ssl.CERT_NONE


class Wire:
    """``with Wire(port) as wire: wire.ask(b"NOOP")``. The greeting has been read."""

    def __init__(self, port: int, source: str = "127.0.0.1", first: bytes = b"") -> None:
        """``source`` is the address to call from; ``first`` is said before the greeting is read."""
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT, (source, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._socket.sendall(first)
        self.greeting = self.reply()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def reply(self) -> str:
        """One reply of SMTP, with all its lines; "" when the server has hung up."""
        lines = []
        while True:
            line = self._line()
            lines.append(line)
            if line[3:4] != "-":
                return "".join(lines)

    def _line(self) -> str:
        while b"\n" not in self._buffer and (more := self._socket.recv(65536)):
            self._buffer += more
        line, end, self._buffer = self._buffer.partition(b"\n")
        return (line + end).decode("latin-1")

    def ask(self, command: bytes) -> str:
        self.send(command + b"\r\n")
        return self.reply()

    def silent(self, seconds: float) -> bool:
        """Whether the server says nothing for that time."""
        return not self._buffer and not select.select([self._socket], [], [], seconds)[0]

    def envelope(self, sender: str, *recipients: str) -> list[str]:
        """EHLO, MAIL and RCPT, and DATA; the replies from MAIL on."""
        self.ask(b"EHLO client.test")
        commands = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{recipient}>" for recipient in recipients), "DATA"]
        return [self.ask(command.encode("latin-1")) for command in commands]

    def secure(self) -> None:
        """STARTTLS."""
        self.ask(b"EHLO client.test")
        assert self.ask(b"STARTTLS").startswith("220 ")
        self._socket = UNVERIFIED.wrap_socket(self._socket)

    def login(self, user: str) -> None:
        """Without TLS, as loopback may."""
        self.ask(b"EHLO client.test")
        credentials = b64encode(f"\0{user}@{DOMAIN}\0{PASSWORD}".encode())
        assert self.ask(b"AUTH PLAIN " + credentials).startswith("235 ")

    def vanish(self) -> None:
        """As when the cable is pulled and the system behind it starts anew: a reset, no good-bye."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._socket.close()
