"""POP3 as data: every dialogue at once, octet by octet and cut at random, with the same answers.

Settings: ``@ peer local`` (loopback; else far away), ``@ tls offered``, ``required``, or ``up`` from the beginning,
``@ letter NAME CONTENT`` in NAME's mailbox, ``@ utf8-letter NAME CONTENT`` if it came with SMTPUTF8, ``@ in-use NAME``,
``@ broken NAME``, ``@ stuck UID``, ``@ throttled``, ``@ scram`` (there are keys for it), ``@ patient`` (more than 4
errors are borne), ``@ expire DAYS``, ``@ login-delay SECONDS`` (alice has just logged in), ``@ prefers LANGUAGE``.
Where they stand happen ``@ handshake``, TLS comes up, and ``@ wait SECONDS``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from mailstack.protocol.pop3 import Pop3Session
from mailstack.server.pop3 import READY
from mailstack.server.pop3_policy import Pop3Policy
from tests import dialogue
from tests.fakes import at_once
from tests.server.pop3_office import ALICE, BOB, Office

FOLDER = Path(__file__).parent.parent / "dialogues" / "pop3"
FILES = sorted(FOLDER.glob("*.txt"))
CLIENT = "192.0.2.7"
BINDINGS = {"tls-exporter": b"the channel"}


class Server:
    """Session and policy, joined as the shell does it."""

    def __init__(self, steps: list[dialogue.Step]) -> None:
        self.office = Office()
        self.local, self.tls, self.errors = False, "", 4
        for step in steps:
            if step.kind == "@":
                self._prepare(*step.text.partition(" ")[::2])
        office = self.office.open(self.errors)
        office.delay.begin(str(ALICE), CLIENT)
        self.policy = Pop3Policy(office, CLIENT)
        required = self.tls == "required"
        self.session = Pop3Session(
            self.tls == "up", self.local, self.tls != "", self.policy.mechanisms, required, self.policy.terms
        )
        if self.tls == "up":
            self.policy.bindings = lambda: BINDINGS
        self._said = READY.line()

    def _prepare(self, key: str, value: str) -> None:
        name, _, rest = value.partition(" ")
        account = BOB if name == "bob" else ALICE
        match key:
            case "peer":
                self.local = value == "local"
            case "tls":
                self.tls = value
            case "letter" | "utf8-letter":
                self.office.mailboxes.add(account, rest.encode().decode("unicode_escape").encode("latin-1"))
                if key == "utf8-letter":
                    self.office.mailboxes.utf8.add(list(self.office.mailboxes.letters[account])[-1])
            case "in-use":
                self.office.mailboxes.open(account)
            case "broken":
                self.office.mailboxes.broken.add(account)
            case "stuck":
                self.office.mailboxes.stuck.add(value)
            case "throttled":
                self.office.doorman.throttled.add(CLIENT)
            case "patient":
                self.errors = 100
            case "scram":
                self.office.doorman.scram = True
            case "expire":
                self.office.terms = evolve(self.office.terms, expire=int(value))
            case "login-delay":
                self.office.terms = evolve(self.office.terms, login_delay=int(value))
            case "prefers":
                self.office.terms = evolve(self.office.terms, language=value)
            case "handshake" | "wait":
                pass
            case _:
                raise ValueError(key)

    def setting(self, key: str, value: str) -> None:
        if key == "wait":
            self.office.clock.advance(float(value))
        if key == "handshake":
            assert self.session.upgrading
            self.session.secured()
            self.policy.bindings = lambda: BINDINGS

    def send(self, data: bytes) -> bytes:
        if not self.session.closing:
            self.session.receive(data)
        while event := self.session.next_event():
            self._said += b"".join(self.session.answer(at_once(self.policy.decide(event))))
        said, self._said = self._said, b""
        return said


@pytest.mark.parametrize("cut", dialogue.CUTS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_dialogue(path: Path, cut: str) -> None:
    steps = dialogue.read(path)
    server = Server(steps)
    dialogue.check(steps, server.send, lambda: server.session.closing, server.setting, dialogue.CUTS[cut])
    assert not [line for line in server.office.log.lines if line[0] == "failure"]


def test_there_are_dialogues() -> None:
    assert FILES
