"""SMTP as data: every dialogue at once, octet by octet and cut at random, with the same answers.

Settings, wherever they stand at the top: ``@ port submission`` (else the one for other servers); ``@ peer`` ``local``
(loopback), ``neighbour`` (in [relay] networks), ``proxy`` (in both [relay] networks and [server] xclient),
``local-proxy`` (the latter, on loopback), else a stranger; ``@ tls`` ``up`` from the beginning, ``none`` when not on
offer, ``required`` when nothing goes without; ``@ limit NAME NUMBER`` for one of [limits];
``@ scram``: there are keys for it; ``@ early``: we have not greeted yet; ``@ rfc821 on``; ``@ undo SECONDS`` and
``@ future_release SECONDS`` of [submission]; ``@ peer unix`` is a user of this machine, number 1000.

They happen where they stand: ``@ handshake`` (TLS comes up), ``@ disk WHAT ERRNO`` (``receive``, ``write``, ``add``,
``queue`` fails; ``@ disk works`` again), ``@ bug add`` (an error that nobody thought of), ``@ waiting DOMAIN N``
(so many letters wait for it), ``@ under_way ID`` and ``@ on_hold ID`` (in the queue), ``@ later
SECONDS`` (the time is), ``@ turned DOMAIN…`` (the roles are, to fetch mail for these), ``@ letters N`` (so many are in
the spool), ``@ logged TEXT`` (something in the log's lines holds it), ``@ notices N`` (so many letters to the
postmaster, and warnings in the log), ``@ struck LIMIT…`` (these have been counted, in this order), ``@ free OCTETS``
(so much room the disk has).

Of the letter that came last: ``@ letter CONTENT`` (as it came), ``@ content TEXT`` (somewhere in it, with our own
fields), ``@ envelope SENDER RECIPIENT…``, ``@ smtputf8`` and ``@ require_tls`` with ``yes`` or ``no``, ``@ wishes RET
ENVID ADDRESS:NOTIFY:ORCPT…``, ``@ held SECONDS [WISH]`` (how long after now the first attempt is). ``@ account
ADDRESS``: it is that user's.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from attrs import evolve

from mailstack.config.settings import SmtpListener
from mailstack.intake.rate import SendingRates
from mailstack.intake.reception import Reception
from mailstack.log import line
from mailstack.model.address import Address
from mailstack.protocol.smtp_events import Body, StartTls
from mailstack.protocol.smtp_server import SmtpServer
from tests import dialogue
from tests.fakes import at_once
from tests.intake.office import LOCAL_PROXY, NEIGHBOUR, PROXY, STRANGER, Office

FOLDER = Path(__file__).parent.parent / "dialogues" / "smtp"
FILES = sorted(FOLDER.glob("*.txt"))
BINDINGS = {"tls-exporter": b"the channel"}
TLS = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384"
PEERS = {
    "stranger": STRANGER,
    "neighbour": NEIGHBOUR,
    "local": "127.0.0.1",
    "proxy": PROXY,
    "local-proxy": LOCAL_PROXY,
    "unix": "",
}


class Server:
    """Session and reception, joined as the shell does it."""

    def __init__(self, steps: list[dialogue.Step]) -> None:
        self.office = Office()
        self.upgrading = False
        options = {"port": "", "peer": "stranger", "tls": "offered"}
        for step in steps:
            if step.kind == "@":
                key, _, value = step.text.partition(" ")
                if key == "limit":
                    self._limit(*value.split())
                elif key == "scram":
                    self.office.authenticator.scram = True
                elif key == "rfc821":
                    self.office.settings = evolve(self.office.settings, smtp=SmtpListener(rfc821=value == "on"))
                elif key in ("undo", "future_release"):
                    submission = evolve(self.office.settings.submission, **{key: float(value)})
                    self.office.settings = evolve(self.office.settings, submission=submission)
                elif key in options:
                    options[key] = value
        self.session = SmtpServer()
        self.reception: Reception = self.office.reception(
            PEERS[options["peer"]],
            submission=options["port"] == "submission",
            tls=options["tls"] in ("offered", "required"),
            tls_required=options["tls"] == "required",
            loopback=options["peer"] in ("local", "local-proxy", "unix"),
            userid=1000 if options["peer"] == "unix" else None,
        )
        if options["tls"] == "up":
            self.reception.secured(TLS, lambda: BINDINGS)
        self.session.greeted = "early" not in (step.text for step in steps)
        self._said = self.reception.greeting().wire() if self.session.greeted else b""

    def _limit(self, name: str, number: str) -> None:
        settings = self.office.settings
        self.office.settings = evolve(settings, limits=evolve(settings.limits, **{name: int(number)}))
        self.office.rates = SendingRates(self.office.settings.limits.recipients_per_hour)

    def setting(self, key: str, value: str) -> None:
        match key:
            case "port" | "peer" | "tls" | "limit" | "scram" | "early" | "rfc821" | "undo" | "future_release":
                pass
            case "handshake":
                assert self.upgrading
                self.upgrading = False
                self.reception.secured(TLS, lambda: BINDINGS)
            case "disk":
                self._disk(*value.split())
            case "waiting":
                domain, number = value.split()
                self.office.waiting.letters[domain] = int(number)
            case "under_way":
                self.office.under_way.add(value)
            case "on_hold":
                for row in self.office.spool.stored[value].rows:
                    row.state = "hold"
            case "account":
                stored = self.office.spool.stored[self.office.letters[-1].id]
                stored.letter = evolve(stored.letter, account=Address.parse(value))
            case "later":
                self.office.now += float(value)
            case "turned":
                assert self.session.turned
                assert self.office.waiting.fetched[-1] == value.split()
            case "bug":
                setattr(self.office.spool, f"{value}_error", RuntimeError("a bug"))
            case "letters":
                assert len(self.office.letters) == int(value)
            case "letter":
                assert self.office.contents[-1] == value.encode().decode("unicode_escape").encode("latin-1")
            case "envelope":
                letter = self.office.letters[-1]
                assert [str(letter.sender or "<>"), *(str(each.address) for each in letter.recipients)] == value.split()
            case "notices":
                assert len(self.office.notices) == len(self.office.log.warnings) == int(value)
            case "content":
                stored = self.office.spool.stored[self.office.letters[-1].id]
                assert value in stored.content.decode(), stored.content.decode()
            case "smtputf8" | "require_tls":
                assert getattr(self.office.letters[-1], key) == (value == "yes")
            case "wishes":
                letter = self.office.letters[-1]
                wishes = [f"{r.address}:{','.join(sorted(r.notify))}:{r.orcpt}" for r in letter.recipients]
                assert [letter.ret or "-", letter.envid or "-", *wishes] == value.split()
            case "held":
                letter = self.office.letters[-1]
                seconds, _, wish = value.partition(" ")
                assert (letter.released - self.office.now, letter.hold) == (float(seconds), wish)
            case "struck":
                assert [limit for limit, _ in self.office.counts.strikes] == value.split()
            case "free":
                self.office.free_space = int(value)
            case "logged":
                log = self.office.log
                lines = [line(id, fields) for id, fields in log.events + log.warnings] + log.failures
                assert [each for each in lines if value in each], lines
            case _:
                raise ValueError(key)

    def _disk(self, what: str, error: str = "") -> None:
        if what == "works":
            self.office.spool.work_again()
            self.office.waiting.error = None
        else:
            number = getattr(errno, error)
            refusal = OSError(number, os.strerror(number))
            if what == "queue":
                self.office.waiting.error = self.office.spool.queue_error = refusal
            else:
                setattr(self.office.spool, f"{what}_error", refusal)

    def send(self, data: bytes) -> bytes:
        assert not (self.upgrading and data), "that would be taken for a handshake"
        if not self.session.closing:
            self.session.receive(data)
        while event := self.session.next_event():
            if isinstance(event, Body):
                self.reception.body(event.chunk, event.lines)
                continue
            reply = at_once(self.reception.decide(event))
            self._said += self.session.answer(reply)
            self.upgrading = isinstance(event, StartTls) and reply.positive
        said, self._said = self._said, b""
        return said


@pytest.mark.parametrize("cut", dialogue.CUTS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_dialogue(path: Path, cut: str) -> None:
    steps = dialogue.read(path)
    server = Server(steps)
    dialogue.check(steps, server.send, lambda: server.session.closing, server.setting, dialogue.CUTS[cut])
    server.reception.closed()
    assert not server.office.spool.begun, "a message that is no letter was not discarded"
    assert set(server.office.woken) >= {letter.id for letter in server.office.letters}
    expects_bug = any(step.text.startswith("bug ") for step in steps if step.kind == "@")
    assert bool(server.office.log.failures) == expects_bug


def test_there_are_dialogues() -> None:
    assert FILES
