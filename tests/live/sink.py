"""The next hop: an SMTP server that takes all mail, or says what the test wants it to say."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from attrs import frozen

from tests.live.ports import free_ports

#: A reply in place of the usual one, or None. It is asked for each command, and at three more moments: DATA_BEGINS when
#: the message may come, "." when it is there, TAKEN when that was said. After 421 the sink hangs up.
Answer = Callable[[str], str | None]

DATA_BEGINS = "(data)"
TAKEN = "(taken)"


class HangUp(Exception):
    """Raised by an :data:`Answer`: no word more. ``reset``: not even TCP's good-bye."""

    def __init__(self, reset: bool = False) -> None:
        super().__init__()
        self.reset = reset


def as_usual(line: str) -> None:
    return None


def refuse(verb: str, reply: str) -> Answer:
    """Answer one command so, the others as usual."""
    return lambda line: reply if line.upper().startswith(verb) else None


@frozen
class Taken:
    """A letter as it came."""

    sender: str
    recipients: list[str]
    content: bytes  #: with CRLF, dots unstuffed, without the end of data


class Sink:
    """``with Sink() as sink: sink.port, sink.letters``; ``sink.answer`` may be changed at any time."""

    def __init__(self, answer: Answer = as_usual, port: int = 0) -> None:
        self.answer = answer
        self.port = port or free_ports(1)[0]
        self.letters: list[Taken] = []
        self.lines: list[tuple[float, str]] = []  #: Unix time and command
        self.connections = 0
        self.idle = 30.0  #: seconds that it waits for a command, then it hangs up
        self._server = _Server(("127.0.0.1", self.port), _Session)
        self._server.sink = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, letter: Taken) -> str | None:
        """At the end of data. None: it is taken."""
        reply = self.answer(".")
        if reply is None:
            self.letters.append(letter)
        return reply

    @property
    def heard(self) -> list[str]:
        """All commands but QUIT: a connection that rests says that two seconds after the letters of another test."""
        return [line for _, line in self.lines if line != "QUIT"]

    def times(self, verb: str) -> list[float]:
        """When this command was heard."""
        return [when for when, line in self.lines if line.upper().startswith(verb)]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    sink: Sink


class _Session(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        sink = self.server.sink
        sink.connections += 1
        self.connection.settimeout(sink.idle)
        try:
            self._talk(sink)
        except HangUp as how:
            if how.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        except OSError:
            pass  # the other side has gone, or has nothing to say

    def _talk(self, sink: Sink) -> None:
        self._sender, self._recipients = "", list[str]()
        self._say("220 sink.test ESMTP")
        for octets in self.rfile:
            line = octets.decode("latin-1").rstrip("\r\n")
            sink.lines.append((time.time(), line))
            verb = line[:4].upper()
            reply = sink.answer(line)
            if reply is not None:
                self._say(reply)
            elif verb == "EHLO":
                self._say("250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME")
            elif verb == "DATA" and self._recipients:
                self._take(sink)
            elif verb == "DATA":
                self._say("554 5.5.1 nobody to send it to")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._note(line)
                self._say("250 ok")

    def _note(self, line: str) -> None:
        path = line.partition("<")[2].partition(">")[0]
        if line.upper().startswith("MAIL"):
            self._sender, self._recipients = path, list[str]()
        elif line.upper().startswith("RCPT"):
            self._recipients.append(path)

    def _take(self, sink: Sink) -> None:
        self._say("354 go on")
        sink.answer(DATA_BEGINS)
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        if not line:
            raise HangUp
        reply = sink.take(Taken(self._sender, self._recipients, b"".join(lines)))
        self._say(reply or "250 2.0.0 taken")
        farewell = sink.answer(TAKEN)
        if farewell is not None:
            self._say(farewell)

    def _say(self, reply: str) -> None:
        self.wfile.write(f"{reply}\r\n".encode())
        if reply.startswith("421"):
            raise HangUp
