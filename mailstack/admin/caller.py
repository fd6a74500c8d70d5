"""A client of a real server, over a socket. Blocking, and bounded in time and octets."""

from __future__ import annotations

import socket
import ssl
from time import monotonic

from mailstack.admin.exchange import replies
from mailstack.config.hosts import Target

PATIENCE = 30.0  # seconds for all replies to one burst
GREETING_PATIENCE = 15.0  # seconds; some servers let clients wait for it on purpose, Postfix 6
MAX_REPLIES = 64 * 1024  # octets of them
PIECE = 4096


class Unanswered(Exception):
    """The server can't be asked; says why."""


class Silent(Unanswered):
    """It waits, and so do we."""


class Call:
    """One connection to a server. Unanswered for whatever goes wrong but the server's hanging up."""

    def __init__(self, target: Target, patience: float = PATIENCE, *, tls: bool = False) -> None:
        """``tls``: from the first octet."""
        self._name = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
        self._patience = min(patience, GREETING_PATIENCE)
        self._unread = b""
        self.closed = False
        try:
            self._socket = socket.create_connection((target.host, target.port), patience)
        except OSError as error:
            raise Unanswered(f"cannot connect to {self._name}: {error.strerror or error}") from None
        self.address: str = self._socket.getpeername()[0]
        if tls:
            self._encrypt()
        self.greeting = self._greeting()
        self._patience = patience

    def _greeting(self) -> list[str]:
        try:
            return self._hear(1)
        except Silent:
            raise Unanswered(f"{self._name} does not greet; does the port want TLS from the first octet?") from None

    def say(self, octets: bytes) -> list[str]:
        """A reply for each line; fewer when the server hangs up. After the one to STARTTLS the call is encrypted."""
        self._send(octets)
        heard = self._hear(octets.count(b"\r\n"))
        if octets.upper() == b"STARTTLS\r\n" and heard and heard[0].startswith("220"):
            self._encrypt()
        return heard

    def give(self, message: bytes) -> list[str]:
        """Commands with a message, for which there is one reply in all; the replies to it."""
        self._send(message)
        return self._hear(1)

    def finish(self) -> list[str]:
        """QUIT, without having sent a message; the replies that came before the one to that."""
        try:
            if self.closed:
                return []
            self._send(b"QUIT\r\n")
            heard = self._hear(None)
            return [reply for reply in heard if not reply.startswith("221")]
        finally:
            self._socket.close()

    def _send(self, octets: bytes) -> None:
        try:
            self._socket.sendall(octets)
        except TimeoutError:
            raise Unanswered(f"{self._name} does not read what we say") from None
        except OSError:
            self.closed = True

    def _hear(self, number: int | None) -> list[str]:
        """So many replies; None: all until the 221, or the end."""
        end = monotonic() + self._patience
        while not self.closed:
            heard = replies(self._unread) if self._unread.endswith(b"\n") else []
            complete = bool(heard) and heard[-1].rpartition("\n")[2][3:4] != "-"
            if complete and (len(heard) >= number if number else heard[-1].startswith("221")):
                break
            self._read(end - monotonic())
        heard, self._unread = replies(self._unread), b""
        return heard

    def _read(self, seconds: float) -> None:
        try:
            self._socket.settimeout(max(seconds, 0.001))
            piece = self._socket.recv(PIECE)
        except TimeoutError:
            raise Silent(f"{self._name} does not answer within {self._patience:.0f} seconds") from None
        except OSError:
            piece = b""
        self._unread += piece
        self.closed = not piece
        if len(self._unread) > MAX_REPLIES:
            raise Unanswered(f"{self._name} answers without end")

    def _encrypt(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Whose certificate it is makes no difference to what is tried here.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            self._socket.settimeout(self._patience)
            self._socket = context.wrap_socket(self._socket)
        except OSError as error:
            raise Unanswered(f"{self._name}: TLS fails: {error.strerror or error}") from None
