"""Plays hostile servers against the real sender, shell and all, in memory, and says what must never happen."""

from __future__ import annotations

import re
from random import Random
from time import process_time
from typing import Any

from OpenSSL import SSL
from twisted.python.failure import Failure

from mailstack.config.settings import Route, Settings
from mailstack.log import line
from mailstack.model.outcome import Delivered, Outcome
from tests.delivery.some_settings import settings
from tests.delivery.test_remote import Scene, Transport
from tests.fuzz_remote.replies import reply

HANG = 1.0  # seconds of computing that one letter may cost, on a busy machine, too
LONGEST = 5 * 3_600.0  # seconds of the server's time in which all is over: five hosts, an hour each
STEPS = 200  # events of one play
MAX_TEXT = 1_003  # characters of a remote text that are kept
CONTENT = b"Return-Path: <alice@office.test>\nReceived: here\n\n" + b".hello\n..\nworld\n" * 50
RELAY_OFFSET = 33
WIRE = re.sub(rb"(?m)^\.", b"..", CONTENT[RELAY_OFFSET:]).replace(b"\n", b"\r\n") + b".\r\n"
COMMAND = re.compile(rb"[\x20-\x7e]{1,998}\Z")


class Broken(AssertionError):
    """What must never happen did; the message says what."""


class Handle:
    """What OpenSSL tells of a handshake that nobody has made."""

    def get_protocol_version_name(self) -> str:
        return "TLSv1.3"

    def get_cipher_name(self) -> str:
        return "TLS_AES_256_GCM_SHA384"

    def get_cipher_bits(self) -> int:
        return 256


class Wire(Transport):
    """TLS is a word, and reading may stop. ``everything``: what the client has ever said."""

    def __init__(self) -> None:
        super().__init__()
        self.shaking = False
        self.everything = b""

    def write(self, data: bytes) -> None:
        self.everything += data
        super().write(data)

    def startTLS(self, creator: object) -> None:
        self.shaking = True

    def getHandle(self) -> Handle:
        return Handle()


class Server:
    """One connection, from the server's side: it hears commands, and answers as chance wants."""

    def __init__(self, protocol: Any, wire: Wire, chance: Random) -> None:  # Any: what an endpoint's factory builds
        self._protocol = protocol
        self._wire = wire
        self._chance = chance
        self._evil = chance.choice((0.0, 0.05, 0.05, 0.3, 0.9))
        self._buffer = b""
        self._in_data = False
        self._lines = 0
        self.gone = False
        #: What the client has heard after it had sent the whole letter. The server may not have read it by then: what
        #: it said too much before may count as its answer, and nobody can tell from the wire.
        self.said_after = b""
        self._say(reply(chance, "", self._evil))

    def step(self) -> bool:
        """Whether something has happened."""
        if self.gone:
            return False
        if self._wire.disconnected or self._wire.disconnecting:
            self.hang_up()
        elif self._wire.shaking:
            self._shake()
        elif self._wire.producer is not None:
            self._wire.producer.resumeProducing()
        elif self._chance.random() < self._evil * 0.05:
            self.hang_up()
        else:
            return self._hear()
        return True

    def hang_up(self) -> None:
        self.gone = True
        self._protocol.connectionLost(Failure(ConnectionResetError("Connection reset by peer")))

    def _shake(self) -> None:
        self._wire.shaking = False
        if self._chance.random() < 0.7:
            self._protocol.handshakeCompleted()
        else:
            self.gone = True
            self._protocol.connectionLost(Failure(SSL.Error([("SSL routines", "", "wrong version number")])))

    def _hear(self) -> bool:
        heard = self._wire.take()
        self._buffer += heard
        if self._in_data:
            self._hear_data()
            return bool(heard)
        commands, _, self._buffer = self._buffer.rpartition(b"\r\n")
        words = commands.split(b"\r\n") if commands else []
        for number, command in enumerate(words):
            self._answer(command)
            if self._in_data:
                self._buffer = b"\r\n".join([*words[number + 1 :], self._buffer])
                self._hear_data()
                break
        return bool(heard)

    def _answer(self, command: bytes) -> None:
        if not COMMAND.match(command):
            raise Broken(f"not a command: {command[:100]!r}")
        verb = command.split(b" ")[0].decode().upper()
        pieces = reply(self._chance, verb, self._evil)
        self._in_data = verb == "DATA" and b"".join(pieces).startswith(b"354")
        self._say(pieces)

    def _hear_data(self) -> None:
        self._in_data = not (self._buffer.endswith(b"\r\n.\r\n") or self._buffer == b".\r\n")
        if self._in_data:
            return
        data, self._buffer = self._buffer, b""
        if data not in (WIRE, b".\r\n"):
            raise Broken(f"not the letter: {data[-100:]!r}")
        self._say(reply(self._chance, ".", self._evil))

    def _say(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            if piece and not (self.gone or self._wire.disconnected):
                if WIRE in self._wire.everything:
                    self.said_after += piece
                self._protocol.dataReceived(piece)


class Stage(Scene):
    """Where they play: every connection finds a server, or nobody."""

    def __init__(self, found: Settings, chance: Random) -> None:
        super().__init__(found, content=CONTENT)
        self._chance = chance
        self.servers: list[Server] = []

    def step(self) -> bool:
        """Whether something has happened."""
        if len(self.reactor.tcpClients) > self._served:
            self._meet()
            return True
        happened = [server.step() for server in self.servers]
        return any(happened)

    def _meet(self) -> None:
        if self._chance.random() < 0.1:
            self.refuse()
            return
        _, _, factory = self.client()
        protocol, wire = factory.buildProtocol(None), Wire()
        protocol.makeConnection(wire)
        self.servers.append(Server(protocol, wire, self._chance))


def play(seed: int) -> None:
    """One letter, and the servers that it meets; Broken with what went wrong."""
    chance = Random(seed)
    route = Route(chance.choice(("smtp", "smtp", "lmtp")), "192.0.2.1", 25, literal=True)
    found = settings() if chance.random() < 0.3 else settings(("*", route))
    stage = Stage(found, chance)
    names = [f"user{number}@x.test" for number in range(chance.choice((1, 1, 2, 5)))]
    started = process_time()
    stage.deliver(*names, **_letter(chance))
    passed = 0.0
    for _ in range(STEPS):
        if not stage.step():
            seconds = chance.choice((0.5, 30, 301, 3_601))
            passed += seconds
            stage.reactor.advance(seconds)
            if stage.work.called:
                break
    while not stage.work.called and passed < LONGEST:
        passed += 601
        stage.reactor.advance(601)
        stage.step()
    _judge(stage, names, process_time() - started)


def _letter(chance: Random) -> dict[str, Any]:
    flags = ("eight_bit", "smtputf8", "require_tls")
    return {flag: chance.random() < 0.1 for flag in flags} | {"relay_offset": RELAY_OFFSET}


def _judge(stage: Stage, names: list[str], took: float) -> None:
    if not stage.work.called or stage.outcomes is None:
        raise Broken("it hangs")
    if set(stage.outcomes) != set(range(len(names))):
        raise Broken(f"outcomes for {sorted(stage.outcomes)} of {len(names)}")
    if took > HANG:
        raise Broken(f"it took {took:.1f} s")
    for outcome in stage.outcomes.values():
        _judge_outcome(stage, outcome)
    _leave(stage)
    if not stage.quiet():
        raise Broken("a timer is left behind")


def _judge_outcome(stage: Stage, outcome: Outcome) -> None:
    text = outcome.reply.text
    if len(text) > MAX_TEXT or not text.replace("\n", "").isprintable():
        raise Broken(f"a text that cannot be shown: {text[:200]!r}")
    if not line("L1", {"status": f"sent ({outcome.reply})"}).isprintable():
        raise Broken("a line of the log that cannot be shown")
    if not re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", outcome.reply.status):
        raise Broken(f"no status: {outcome.reply.status!r}")
    if not isinstance(outcome, Delivered):
        return
    if not any(re.search(rb"(?m)^2\d\d", server.said_after) for server in stage.servers):
        raise Broken("delivered, but nobody has taken it")


def _leave(stage: Stage) -> None:
    """All who are still there go."""
    for _ in range(3):
        stage.reactor.advance(3_600)
        for server in stage.servers:
            if not server.gone:
                server.hang_up()
