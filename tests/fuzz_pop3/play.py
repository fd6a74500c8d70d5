"""Plays a hostile client against the real POP3 server, shell and all, in memory, and says what must never happen."""

from __future__ import annotations

import re
from random import Random
from time import process_time
from typing import Any

from twisted.internet.task import Clock

from mailstack.server.connections import Connections
from mailstack.server.pop3 import Listening, Pop3Factory
from tests.fakes import ListCounts
from tests.fuzz.play import HANG, Broken
from tests.fuzz.sessions import pieces
from tests.fuzz_pop3.sessions import session
from tests.server.pop3_office import ALICE, BOB, Office
from tests.server.wire import Wire

ERRORS = 20
LETTERS = (
    b"Subject: one\n\nfor alice alone\n",
    b"Subject: two\n\n.\n..\n\nno end",
    "Subject: \N{SNOWMAN}\nFrom: \N{SNOWMAN} <\N{SNOWMAN}@a.test>\nX-\N{SNOWMAN}: y\n\nfor alice alone\n".encode(),
    b"\n\n\0for alice alone\r\r\n" + b"x" * 400 + b"\n",
)
PRIVATE = b"for alice alone"
MAX_LINE = 512  # octets, RFC 2449 §4; no line of the letters is longer
MAX_ANSWER = 2_048  # octets, that to any line: no letter and no list is larger
#: What begins a line that is no part of a letter or list.
REPLY = re.compile(rb"(\+OK|-ERR)( [^\r\n\0]*)?\Z|\+ [A-Za-z0-9+/=]*\Z")


def play(seed: int) -> None:
    """One client; Broken with what went wrong."""
    chance = Random(seed)
    clock, office, connections = Clock(), Office(), Connections(1_000, 1_000, ListCounts())
    office.doorman.scram = chance.random() < 0.5
    office.mailboxes.add(ALICE, *LETTERS)
    office.mailboxes.utf8.add("uid-3")
    tls: Any = object()  # nobody shakes hands here
    listening = Listening(600.0, tls, False, required=chance.random() < 0.1)
    factory = Pop3Factory(clock, connections, office.open(ERRORS), listening)
    octets = session(chance)
    started = process_time()
    wire = Wire(factory.buildProtocol(None), "127.0.0.1" if chance.random() < 0.8 else "192.0.2.7")
    for piece in pieces(octets, chance):
        if wire.tls is not None or not wire.connected:
            break  # what follows would be a handshake, or nobody hears it
        wire.send(piece)
    wire.lose()
    clock.advance(600)
    if process_time() - started > HANG:
        raise Broken(f"it took {process_time() - started:.1f} s")
    if len(connections) or clock.getDelayedCalls():
        raise Broken("the session is still there")
    _judge(office, octets, wire.said)


def _judge(office: Office, octets: bytes, said: bytes) -> None:
    failures = [line for line in office.log.lines if line[0] == "failure"]
    if failures:
        raise Broken(f"a traceback: {failures[0]}")
    if office.mailboxes.in_use(ALICE) or office.mailboxes.in_use(BOB):
        raise Broken("a mailbox is still locked")
    *lines, rest = said.split(b"\r\n")
    if rest or not lines:
        raise Broken(f"an unfinished answer: {rest!r}")
    if len(said) > MAX_ANSWER * (octets.count(b"\n") + 2):
        raise Broken(f"{len(said)} octets in answer to {len(octets)}")
    for line in lines:
        if len(line) + 2 > MAX_LINE or (line.startswith((b"+", b"-")) and not REPLY.match(line)):
            raise Broken(f"no answer: {line[:200]!r}")
    asked = octets.upper()
    if b"LANG" not in asked and b"UTF8" not in asked and not said.isascii():
        raise Broken("not ASCII for a client that has said neither LANG nor UTF8")
    inside = any(line[2].get("what") == "Login:" for line in office.log.lines)
    if inside and b"SESAME" not in asked and b"C2VZYW1L" not in asked and b"AGFSAWNLAHNLC2FTZQ" not in asked:
        raise Broken("in without the password")
    if PRIVATE in said and not inside:
        raise Broken("a letter for somebody who is not logged in")
    removed = len(LETTERS) - len(office.mailboxes.letters[ALICE])
    if removed and not (inside and b"DELE" in asked and b"QUIT" in asked):
        raise Broken(f"{removed} letters removed that nobody has deleted")
