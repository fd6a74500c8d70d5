"""Plays a hostile client against the real receiver, shell and all, in memory, and says what must never happen."""

from __future__ import annotations

import re
from random import Random
from time import process_time
from typing import Any

from attrs import define, field
from twisted.internet.task import Clock

from mailstack.message.commentary import Commentary
from mailstack.protocol.smtp_commands import PARSERS
from mailstack.server.connections import Connections
from mailstack.server.smtp import Listening, SmtpFactory
from tests.fakes import ListCounts
from tests.fuzz.sessions import pieces, session
from tests.intake.office import STRANGER, Office
from tests.message.meanings import ENGLISH
from tests.server.recordings import ListSessions
from tests.server.wire import Wire

HANG = 1.0  # seconds that the answer to one client may take
MAX_LINE = 2_048  # octets; RFC 5321 §4.5.3.1.5 has 512, and HELP and echoed addresses stay far below this
REPLY = re.compile(rb"[2-5][0-9]{2}[ -][^\r\n\0]*\Z")
MAX_KEPT = 201 + 20  # lines of one session that are kept, a note, and what an EHLO at the cut has more
SECRET = re.compile("c2VzYW1l|AGFsaWNlAHNlc2FtZQ|YWxpY2UA|Yz1iaXdz")  # the passwords that the clients try
OURS = ("office.test", "second.test", "backup.test")
#: A foreign address that an alias of ours leads to, and only that one.
FORWARDED = {"alice@far.test"}


class Broken(AssertionError):
    """What must never happen did; the message says what."""


@define
class Place:
    """One port of one server, used again and again, as long as nothing is wrong with it."""

    submission: bool
    clock: Clock = field(factory=Clock)
    office: Office = field(factory=Office)
    connections: Connections = field(factory=lambda: Connections(1_000, 1_000, ListCounts()))
    sessions: ListSessions = field(init=False)

    @sessions.default
    def _kept(self) -> ListSessions:
        return ListSessions(self.clock)

    def factory(self) -> SmtpFactory:
        return SmtpFactory(self.clock, self.connections, self._listening())

    def _listening(self) -> Listening:
        def receive(peer: Any) -> Any:  # Any: as the shell has them
            return self.office.reception(peer.address, submission=self.submission, tls=True, loopback=peer.loopback)

        tls: Any = object()  # nobody shakes hands here
        return Listening(receive, 300.0, 300.0, tls, 500.0, lambda peer: 0.0, self.sessions)


def play(seed: int) -> None:
    """One client; Broken with what went wrong."""
    chance = Random(seed)
    place = Place(submission=chance.random() < 0.4)
    address = "127.0.0.1" if place.submission and chance.random() < 0.7 else STRANGER
    octets = session(chance)
    started = process_time()
    wire = Wire(place.factory().buildProtocol(None), address)
    for piece in pieces(octets, chance):
        if wire.tls is not None or not wire.connected:
            break  # what follows would be a handshake, or nobody hears it
        wire.send(piece)
    wire.lose()
    place.clock.advance(60)
    _judge(place, wire, process_time() - started)


def _judge_record(place: Place) -> None:
    """What is kept to be looked at."""
    (transcript,) = place.sessions.transcripts
    if len(transcript.lines) > MAX_KEPT:
        raise Broken(f"{len(transcript.lines)} lines are kept")
    if not transcript.ended:
        raise Broken("its record has no end")
    for line, meaning in Commentary(ENGLISH).lines(transcript.lines):
        if line.who == "C" and meaning is None:
            raise Broken(f"nothing is known of {line.text!r}")
        verb = line.text.partition(" ")[0].upper()
        ours = line.who == "S"
        if (found := SECRET.search(line.text)) and not ours and (verb == "AUTH" or verb not in PARSERS):
            # In the argument of another command, and where we repeat it, it was put by :func:`mutated`.
            raise Broken(f"{found[0]!r} is kept: {line.text!r}")


def _judge(place: Place, wire: Wire, took: float) -> None:
    office = place.office
    if office.log.failures:
        raise Broken(f"a traceback: {office.log.failures[0]}")
    if took > HANG:
        raise Broken(f"it took {took:.1f} s")
    if len(place.connections):
        raise Broken("the session is still counted")
    if office.spool.begun:
        raise Broken("a message that is no letter was not discarded")
    *lines, rest = wire.said.split(b"\r\n")
    if rest or not lines:
        raise Broken(f"an unfinished reply: {rest!r}")
    for line in lines:
        if len(line) > MAX_LINE or not REPLY.match(line):
            raise Broken(f"not a reply: {line[:200]!r}")
    _judge_record(place)
    for letter in office.letters:
        foreign = [
            str(each.address)
            for each in letter.recipients
            if each.address.domain not in OURS and str(each.address) not in FORWARDED
        ]
        if foreign and b"235 2.7.0" not in wire.said:
            raise Broken(f"relayed for a stranger: {foreign}")
