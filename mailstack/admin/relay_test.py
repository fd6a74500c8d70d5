"""Plays relay tricks, in memory or over a socket, and judges what came of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Protocol

from attrs import frozen

from mailstack.admin.caller import Unanswered
from mailstack.admin.rehearsal import MemoryCall, Rehearsal
from mailstack.admin.trick import GOOD, HELLO, STRANGE, Trick, filled
from mailstack.admin.trick_paths import PATHS
from mailstack.admin.trick_returns import RETURNS
from mailstack.admin.trick_sessions import SESSIONS
from mailstack.config.settings import Settings
from mailstack.model.letter import Letter, Recipient
from mailstack.protocol.srs import is_srs

TRICKS = PATHS + RETURNS + SESSIONS
MESSAGE = b"Subject: a relay trick\r\n\r\nThis must not leave.\r\n.\r\n"

_ONWARD = re.compile(r"[@%!:]")
#: A server may leave out the route, as Postfix does, and then it is honest mail: RFC 5321 §4.1.1.3.
_ROUTE_TO_OURS = re.compile(r"TO:<@[^:]*:\{v\}@\{d\}>\Z")


class Outcome(Enum):
    REFUSED = "refused"
    KEPT = "kept"  #: taken, but it leads nowhere else than to a mailbox or a backup domain
    UNSURE = "unsure"  #: taken by another server, which takes any name in our domain
    THROUGH = "through"


@frozen
class Played:
    """``port`` is the option of mail.ini that opens it, or the server's address; ``transcript`` has who spoke (C or S)
    and what."""

    trick: Trick
    port: str
    outcome: Outcome
    transcript: tuple[tuple[str, str], ...]
    recipients: tuple[str, ...] = ()  #: to whom it would have gone


class Connection(Protocol):
    """:class:`.rehearsal.MemoryCall` or :class:`.caller.Call`."""

    greeting: list[str]

    @property
    def closed(self) -> bool: ...

    def say(self, octets: bytes) -> list[str]: ...

    def finish(self) -> list[str]: ...


class Playing:
    """One trick on one connection. ``answers`` are the replies to the last step, ``opened`` those to the one before."""

    def __init__(self, call: Connection) -> None:
        self.call = call
        self.transcript: list[tuple[str, str]] = []
        self.answers: list[str] = []
        self.opened: list[str] = []
        self._heard(call.greeting)
        if not call.greeting or not call.greeting[0].startswith("220"):
            raise Unanswered(f"the server does not greet: {' '.join(call.greeting) or 'it hangs up'}")

    def play(self, script: Sequence[str], places: Mapping[str, str]) -> None:
        for number, line in enumerate(script):
            self.opened, self.answers = self.answers, []
            if not self.call.closed and not self._impossible(number, script):
                self.say(filled(line, places))

    def say(self, octets: bytes) -> None:
        lines = octets.decode("utf-8", "backslashreplace").removesuffix("\r\n").split("\r\n")
        self.transcript += [("C", line) for line in lines]
        self.answers = self._heard(self.call.say(octets))

    def finish(self) -> None:
        self.answers += self._heard(self.call.finish())

    def _impossible(self, number: int, script: Sequence[str]) -> bool:
        """A response in an AUTH exchange that was not begun: a command to those who do not know it."""
        return script[number] == "" and not any(answer.startswith("334") for answer in self.opened)

    def _heard(self, answers: list[str]) -> list[str]:
        self.transcript += [("S", line) for answer in answers for line in answer.split("\n")]
        return answers


def taken(answers: Sequence[str]) -> bool:
    """250 and 251 (RFC 5321 §4.3.2), not a good-bye with 221."""
    return any(answer.startswith(("250", "251")) for answer in answers)


# ---- In memory


def rehearse(trick: Trick, rehearsal: Rehearsal, client: str, places: Mapping[str, str]) -> Played:
    call = rehearsal.call(client)
    playing = Playing(call)
    playing.play(trick.script, places)
    answers, opened = playing.answers[trick.spare :], playing.opened
    if not call.closed and not trick.content:
        playing.say(b"DATA\r\n")
        if playing.answers[0].startswith("354"):
            playing.say(MESSAGE)
    playing.finish()
    gone = astray(call.letters, rehearsal.settings)
    section, key = rehearsal.option
    if gone or (trick.smuggling and _smuggled(call, opened, answers)):
        outcome = Outcome.THROUGH
    else:
        outcome = Outcome.KEPT if taken(answers) and not trick.smuggling else Outcome.REFUSED
    return Played(trick, f"[{section}] {key}", outcome, tuple(playing.transcript), gone)


def _smuggled(call: MemoryCall, opened: Sequence[str], answers: Sequence[str]) -> bool:
    """Two messages came out of one, or something was answered before its end."""
    return len(call.letters) > 1 or (opened[-1:] != [] and opened[-1].startswith("354") and len(answers) > 1)


def astray(letters: Sequence[Letter], settings: Settings) -> tuple[str, ...]:
    """Recipients outside of our domains and the backup domains. Where an alias of ours leads, the postmaster wants
    it; a way onward that is written into a name in a backup domain leads outside, and so does a return address."""
    recipients = [recipient for letter in letters for recipient in letter.recipients]
    return tuple(str(each.address) for each in recipients if _leads_outside(each, settings))


def _leads_outside(recipient: Recipient, settings: Settings) -> bool:
    address, local = recipient.address, settings.server.domains
    if address.domain in local:
        return False
    if recipient.original.domain in local:
        return is_srs(recipient.original)
    return address.domain not in settings.relay.domains or bool(_ONWARD.search(address.local))


# ---- Over a socket


def ask(trick: Trick, call: Connection, port: str, places: Mapping[str, str], any_name: bool) -> Played:
    """Without a message. ``any_name``: the server takes every name in our domain, so that only what it does with it
    could tell."""
    playing = Playing(call)
    playing.play(trick.script, places)
    playing.finish()
    outcome = _of_taken(trick, any_name) if taken(playing.answers[trick.spare :]) else Outcome.REFUSED
    return Played(trick, port, outcome, tuple(playing.transcript))


def _of_taken(trick: Trick, any_name: bool) -> Outcome:
    last = trick.script[-1]
    if _ROUTE_TO_OURS.search(last):
        return Outcome.KEPT
    return Outcome.UNSURE if any_name and last.rstrip('>"').endswith("{d}") else Outcome.THROUGH


def reception_of(call: Connection, recipient: str, places: Mapping[str, str]) -> str:
    """The answer to an honest letter, without which refusals prove nothing: to RCPT, or to MAIL when that is refused;
    "" when the server hangs up."""
    playing = Playing(call)
    playing.play((HELLO, STRANGE, recipient), places)
    answers, opened = playing.answers, playing.opened
    call.finish()
    return next(iter([*(one for one in opened if not one.startswith("2")), *answers]), "")


HONEST = GOOD
NOBODY = "RCPT TO:<no-such-user-8f3b@{d}>"


def playable(content: bool, backup: bool) -> list[Trick]:
    """The tricks that make sense: with messages or not, with a backup domain or not."""
    return [trick for trick in TRICKS if (content or not trick.content) and (backup or not trick.needs_backup)]
