"""The next hop: an SMTP server that takes all mail, or says what the test wants it to say."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable
from types import TracebackType

from attrs import frozen

from tests.live.ports import free_ports

#: A reply in place of the usual one, or None.
Answer = Callable[[str], str | None]


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
        self._server = _Server(("127.0.0.1", self.port), _Session)
        self._server.sink = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Sink:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def times(self, verb: str) -> list[float]:
        """When this command was heard."""
        return [when for when, line in self.lines if line.upper().startswith(verb)]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    sink: Sink


class _Session(socketserver.StreamRequestHandler):
    server: _Server
    timeout = 30

    def handle(self) -> None:
        self._sender, self._recipients = "", list[str]()
        self._say("220 sink.test ESMTP")
        sink = self.server.sink
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
                self._take()
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

    def _take(self) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        content = b"".join(lines)
        self.server.sink.letters.append(Taken(self._sender, self._recipients, content))
        self._say("250 2.0.0 taken")

    def _say(self, reply: str) -> None:
        self.wfile.write(f"{reply}\r\n".encode())
