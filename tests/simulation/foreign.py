"""Mail servers of others, which take letters or not, by their mood and by chance."""

from __future__ import annotations

import re
from random import Random
from typing import Any

from attrs import define
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Protocol, ServerFactory

from tests.simulation.clock import Owner
from tests.simulation.letters import END_OF_DATA, TOKEN, Arrived, Ledger
from tests.simulation.reports import is_report, reports

PATH = re.compile(r":\s*<([^>]*)>")


@define
class Mood:
    """How likely a server does what, at each step."""

    later: float = 0.0  #: 4xx
    never: float = 0.0  #: 5xx
    hangs_up: float = 0.0
    silent: float = 0.0
    forgets: float = 0.0  #: takes the letter, and hangs up instead of saying so
    slow: float = 0.0  #: takes up to some minutes for an answer

    def improve(self) -> None:
        self.later = self.never = self.hangs_up = self.silent = self.forgets = self.slow = 0.0


PATIENCE = 4_000.0  # seconds without a word
GOODBYE = b"221 2.0.0 bye\r\n"


class Session(Protocol):
    """The server's side of one connection."""

    transport: Any

    def __init__(self, server: ForeignServer) -> None:
        self._server = server
        self._rng = server.rng
        self._buffer = b""
        self._data = False
        self._mute = False
        self._mail = False
        self._to: list[str] = []
        self._busy = False

    def connectionMade(self) -> None:
        self._server.sessions += 1
        self._timer = self._server.owner.later(PATIENCE, self._time_out)
        self._answer("greeting", b"220 mx.far.test ESMTP\r\n")

    def connectionLost(self, reason: Any = None) -> None:
        self._server.sessions -= 1
        if self._timer.active():
            self._timer.cancel()

    def _time_out(self) -> None:
        self._mute = True
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        if not self._timer.active():
            return
        self._buffer += data
        self._timer.reset(PATIENCE)
        self._go_on()

    def _go_on(self) -> None:
        while not (self._busy or self._mute):
            if self._data:
                if not self._take():
                    return
                continue
            line, found, rest = self._buffer.partition(b"\r\n")
            if not found:
                return
            self._buffer = rest
            self._command(line.decode("latin-1"))

    def _command(self, line: str) -> None:
        verb = line[:4].upper()
        if verb == "EHLO":
            extensions = b"".join(b"250-%s\r\n" % each for each in self._server.extensions)
            self._answer(verb, b"250-mx.far.test\r\n" + extensions + b"250 8BITMIME\r\n")
        elif verb == "HELO":
            self._answer(verb, b"250 mx.far.test\r\n")
        elif verb == "RCPT":
            found = PATH.search(line)
            assert found is not None, line
            if not self._mail:
                self._send(b"503 5.5.1 MAIL first\r\n")
            elif self._server.refusals.get(found[1].rpartition("@")[2]):
                self._send(self._server.refusals[found[1].rpartition("@")[2]])
            elif self._answer(verb, b"250 2.1.5 ok\r\n"):
                self._to.append(found[1])
        elif verb == "DATA":
            if not self._to:
                self._send(b"554 5.5.1 no valid recipients\r\n")
            elif self._answer(verb, b"354 go on\r\n"):
                self._data = True
        elif verb == "QUIT":
            self._send(GOODBYE)
            self.transport.loseConnection()
            self._mute = True
        elif verb == "RSET":
            self._to = []
            self._send(b"250 2.0.0 ok\r\n")
        elif verb == "MAIL":
            self._to = []
            self._mail = self._answer(verb, b"250 2.1.0 ok\r\n")
        else:
            self._send(b"502 5.5.2 unknown\r\n")

    def _take(self) -> bool:
        end = 0 if self._buffer.startswith(b".\r\n") else self._buffer.find(END_OF_DATA) + 2
        if end == 1:
            return False
        content, self._buffer = self._buffer[:end], self._buffer[end + 3 :]
        self._data = False
        to, self._to = self._to, []
        mood = self._server.mood
        if self._rng.random() < mood.forgets:
            self._server.keep(content, to)
            self._hang_up()
        elif self._answer("end", b"250 2.0.0 taken\r\n"):
            # It is taken when the words are said, whether they are heard or not.
            self._server.keep(content, to)
        return True

    def _answer(self, verb: str, yes: bytes) -> bool:
        """Whether the answer is yes."""
        mood, rng = self._server.mood, self._rng
        chance = rng.random()
        if chance < mood.silent:
            self._mute = True
            return False
        chance -= mood.silent
        if chance < mood.hangs_up:
            self._hang_up()
            return False
        chance -= mood.hangs_up
        words = yes
        if chance < mood.later:
            words = b"450 4.2.0 later\r\n" if verb != "greeting" else b"421 4.3.2 not now\r\n"
        elif chance - mood.later < mood.never and verb != "EHLO":
            words = b"550 5.2.0 never\r\n"
        if rng.random() < mood.slow:
            self._busy = True
            self._server.owner.later(rng.uniform(1.0, 200.0), self._say_later, words)
        else:
            self._send(words)
        return words is yes

    def _say_later(self, words: bytes) -> None:
        self._busy = False
        self._send(words)
        self._go_on()

    def _send(self, words: bytes) -> None:
        if not self._mute:
            self.transport.write(words)

    def _hang_up(self) -> None:
        self._mute = True
        self.transport.loseConnection()


class ForeignServer(ServerFactory):
    noisy = False

    def __init__(self, owner: Owner, ledger: Ledger, rng: Random) -> None:
        self.owner = owner
        self.rng = rng
        self.mood = Mood()
        self.refusals: dict[str, bytes] = {}  #: by domain, what is always said to RCPT
        self.extensions = rng.choice(((), (b"PIPELINING",), (b"PIPELINING", b"SIZE 10000000")))
        self.sessions = 0
        self._ledger = ledger

    def buildProtocol(self, addr: IPv4Address | None) -> Session:
        return Session(self)

    def keep(self, content: bytes, to: list[str]) -> None:
        lines = content.split(b"\r\n")
        text = b"\n".join(line[1:] if line.startswith(b".") else line for line in lines)
        token = TOKEN.search(text)
        assert token is not None, text
        if is_report(text):
            self._ledger.far_told += reports(text)
            return
        posted = self._ledger.posted[token[1].decode()]
        whole = text.endswith(posted.content) and text.startswith((b"Received: ", b"Delivered-To: "))
        self._ledger.far += [Arrived(posted.token, address, whole) for address in to]
