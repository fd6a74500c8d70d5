"""Those who bring mail: each letter by its own client, until a server says yes or no for good."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol

from tests.simulation.clock import Call, Owner
from tests.simulation.letters import Posted
from tests.simulation.network import Network, Reactor

PATIENCE = 400.0  # seconds without an answer
AGAIN = (5.0, 60.0, 600.0, 1800.0)  # seconds between two tries


class Session(Protocol):
    """One try at one letter. ``done`` hears what the end of data came to: 2, 4 or 5; 0 when there was no answer."""

    transport: Any

    def __init__(self, letter: Posted, owner: Owner, rng: Random, done: Callable[[int], None]) -> None:
        self._letter = letter
        self._owner = owner
        self._done: Callable[[int], None] | None = done
        self._buffer = b""
        self._asked: list[tuple[str, str]] = [("greeting", "")]  #: for what answers are to come, in order
        self._together = rng.random() < 0.4
        self._rude = rng.random() < 0.1
        self._accepted: list[str] = []
        self._codes: list[int] = []
        self._timer: Call | None = owner.later(PATIENCE, self._give_up)

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            if line[3:4] == b"-":
                continue
            if not self._asked:
                # What comes unasked is the server's good-bye: 421.
                self._finish(0)
                return
            verb, about = self._asked.pop(0)
            if self._timer is not None:
                self._timer.reset(PATIENCE)
            self._answered(verb, about, int(line[:3]))

    def _say(self, *commands: tuple[str, str, str]) -> None:
        """The words, and for what the answer is."""
        self._asked += [(verb, about) for _, verb, about in commands]
        self.transport.write("".join(f"{words}\r\n" for words, _, _ in commands).encode())

    def _answered(self, verb: str, about: str, code: int) -> None:
        if verb == "greeting":
            if code == 220:
                self._say(("EHLO client.sim.test", "EHLO", ""))
            else:
                self._finish(code // 100)
        elif verb == "EHLO":
            self._begin()
        elif verb == "MAIL":
            self._codes.append(code)
            if code != 250:
                self._finish(code // 100)
            elif not self._together:
                self._say(*self._recipients())
        elif verb == "RCPT":
            self._answered_rcpt(about, code)
        elif verb == "DATA":
            self._answered_data(code)
        elif verb == "end":
            self._finish(code // 100)

    def _begin(self) -> None:
        mail = f"MAIL FROM:<{self._letter.sender}> BODY=8BITMIME", "MAIL", ""
        if self._together:
            self._say(mail, *self._recipients(), ("DATA", "DATA", ""))
        else:
            self._say(mail)

    def _recipients(self) -> list[tuple[str, str, str]]:
        return [(f"RCPT TO:<{each}>", "RCPT", each) for each in self._letter.to]

    def _answered_rcpt(self, address: str, code: int) -> None:
        self._codes.append(code)
        if code == 250:
            self._accepted.append(address)
        if any(verb in ("RCPT", "DATA") for verb, _ in self._asked):
            return
        if self._accepted:
            self._say(("DATA", "DATA", ""))
        else:
            self._finish(min(self._codes[1:]) // 100)

    def _answered_data(self, code: int) -> None:
        if code == 354:
            self._asked.append(("end", ""))
            self.transport.write(self._letter.wire)
        else:
            self._finish(code // 100 if self._accepted else min(self._codes[1:], default=code) // 100)

    def _finish(self, kind: int) -> None:
        done, self._done = self._done, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if done is None:
            return
        if kind == 2:
            self._letter.accepted = self._accepted
        if self.transport is None:
            pass  # nobody was there
        elif self._rude:
            self.transport.loseConnection()
        else:
            self.transport.write(b"QUIT\r\n")
            self.transport.loseConnection()
        done(kind)

    def _give_up(self) -> None:
        self._timer = None
        self.transport.abortConnection()
        self._finish(0)

    def connectionLost(self, reason: Any = None) -> None:
        self._finish(0)


class Client:
    """Tries until it knows."""

    def __init__(
        self, letter: Posted, address: str, to: str, owner: Owner, network: Network, rng: Random,
        ended: Callable[[Posted], None],
    ) -> None:  # fmt: skip
        self._letter = letter
        self._to = to
        self._owner = owner
        self._rng = rng
        self._ended = ended
        self._reactor = Reactor(owner, network, address)
        self._tries = 0

    def try_it(self) -> None:
        self._tries += 1
        session = Session(self._letter, self._owner, self._rng, self._done)
        calling = connectProtocol(TCP4ClientEndpoint(self._reactor, self._to, 25, 30), session)
        calling.addErrback(lambda _: session.connectionLost())

    def _done(self, kind: int) -> None:
        letter = self._letter
        if kind == 2:
            letter.acknowledged += 1
            letter.acknowledged_at = self._owner.time.now
            self._ended(letter)
        elif kind == 5:
            letter.refused = True
            self._ended(letter)
        else:
            pause = AGAIN[min(self._tries, len(AGAIN)) - 1]
            self._owner.later(pause * self._rng.uniform(0.5, 1.5), self.try_it)
