"""The server's side of POP3, sans-IO: octets in, events out; answers in, octets out. RFC 1939, 2449, 2595."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum, auto
from itertools import chain

from attrs import frozen

from mailstack.protocol import pop3_events as events
from mailstack.protocol.lines import Line, LineReader, TooLong
from mailstack.protocol.pop3_auth import BY_EXCHANGE, Exchange
from mailstack.protocol.pop3_body import multiline
from mailstack.protocol.pop3_events import Auth, Event, Login, Response, Settled, err, ok
from mailstack.protocol.sasl_steps import Agreed

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

TLS_HELLO = err("This port begins in plain: use STLS here, or the port that is for SSL/TLS", "SYS/PERM", last=True)

MAX_COMMAND_LINE = 255 + 2  # octets and CRLF; RFC 2449 §4 asks for 255 at least


ENCRYPT_FIRST = "Passwords need TLS here: use STLS or the TLS port"
#: SYS/PERM: trying again is of no use (RFC 3206 §4).
TLS_FIRST = err("Must issue a STLS command first", "SYS/PERM")


class Phase(Enum):
    AUTHORIZATION = auto()
    NAMED = auto()  #: in the AUTHORIZATION state, after USER
    EXCHANGE = auto()  #: in the AUTHORIZATION state, after AUTH: lines are no commands
    SECURING = auto()  #: STLS was answered, TLS is not up yet: nothing is read
    TRANSACTION = auto()
    OVER = auto()


class Pop3Session:
    """One client's dialogue: hands out one event at a time, the next one only after :meth:`answer`.

    ``secure``: TLS is up. ``trusted``: nobody can listen in between. ``starttls``: TLS is to be had. ``mechanisms`` of
    SASL are those that can succeed at the moment. ``required``: nothing is done without TLS, for whomever.
    """

    receiving = False  #: no command of POP3 is followed by data

    def __init__(
        self,
        secure: bool,
        trusted: bool,
        starttls: bool,
        mechanisms: Callable[[], Sequence[str]],
        required: bool = False,
    ) -> None:
        self.mechanisms = mechanisms
        self.secure = secure
        self.passwords = secure or (trusted and not required)  # may be sent
        self._required = required
        self.starttls = starttls
        self.name = ""
        self._phase = Phase.AUTHORIZATION
        self._lines = LineReader()
        self._exchange: Exchange | None = None
        self._begun = secure
        self._pending: tuple[Phase, Phase] | None = None  # where a positive and a negative answer lead
        self._event: Event | None = None  # that waits for the answer

    @property
    def closing(self) -> bool:
        """Hang up after what was said."""
        return self._phase is Phase.OVER

    @property
    def upgrading(self) -> bool:
        """The client was told to begin TLS; :meth:`secured` is awaited."""
        return self._phase is Phase.SECURING

    @property
    def inside(self) -> bool:
        """Logged in."""
        return self._phase is Phase.TRANSACTION

    @property
    def capabilities(self) -> list[str]:
        """RFC 2449 §6, 2595 §4, 3206 §6, 5034 §3. What is announced can be used: no USER where it would be refused."""
        conditional = ["USER", " ".join(["SASL", *self.mechanisms()])] if self.passwords else []
        if self.starttls and not self.secure and self._phase is not Phase.TRANSACTION:
            conditional.append("STLS")
        return [
            "TOP", "UIDL", *conditional, "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "IMPLEMENTATION mailstack",
        ]  # fmt: skip

    def receive(self, data: bytes) -> None:
        self._lines.feed(data)

    def next_event(self) -> Event | None:
        """What the client wants next; None: more octets are needed, or an answer is pending."""
        if self._pending is not None or self.closing or self.upgrading:
            return None
        if not self._begun:
            tls = self._lines.begins_tls()
            if tls is not False:
                return self._hello() if tls else None
            self._begun = True
        exchange = self._exchange if self._phase is Phase.EXCHANGE else None
        self._event = self._next_of_lines() if exchange is None else self._next_of_exchange(exchange)
        return self._event

    def _next_of_lines(self) -> Event | None:
        line = self._lines.next(MAX_COMMAND_LINE)
        if line is None:
            return None
        self._pending = self._phase, self._phase
        try:
            return self._read(line)
        except ValueError as problem:
            return Settled(err(str(problem)))

    def _next_of_exchange(self, exchange: Exchange) -> Event | None:
        event = exchange.next(self._lines)
        if event is not None:
            positive = Phase.TRANSACTION if isinstance(event, Login | Agreed) else Phase.EXCHANGE
            self._pending = positive, Phase.AUTHORIZATION
        return event

    def _hello(self) -> Event:
        self._pending = self._phase, self._phase
        return Settled(TLS_HELLO)

    def _read(self, line: Line | TooLong) -> Event:
        if isinstance(line, TooLong):
            raise ValueError("Line too long")
        if not line.strict:
            raise ValueError("Lines end in CR LF")
        word, _, argument = line.text.partition(b" ")
        verb = VERBS.get(word.upper())
        if verb is None:
            raise ValueError("Unknown command")
        if self._required and not self.secure and not verb.before_tls:
            return Settled(TLS_FIRST)
        if self._phase not in verb.leads:
            raise ValueError(verb.elsewhere)
        try:
            event = verb.read(self, argument)
        except ValueError:
            raise ValueError(f"Usage: {verb.usage}") from None
        self._pending = verb.leads[self._phase], verb.failed or self._phase
        return event

    def answer(self, response: Response) -> Iterator[bytes]:
        """Settle the event at hand. Gives the octets to send, in pieces that are made as they are taken."""
        assert self._pending is not None, "nothing was asked"
        positive, negative = self._pending
        if positive is Phase.SECURING and response.positive and len(self._lines):
            # What came in plain must not be read as if it had come inside TLS (command injection).
            response = err("Nothing may follow STLS before its answer", last=True)
        self._pending = None
        if isinstance(self._event, Auth) and response.positive:
            self._exchange = Exchange(self._event)
        self._phase = positive if response.positive else negative
        if response.last:
            self._phase = Phase.OVER
        if response.positive and isinstance(self._event, BY_EXCHANGE):
            return iter(())
        body = () if response.body is None else multiline(response.body)
        return chain((response.line(),), body)

    def secured(self) -> None:
        """TLS is up: everything that was said before is forgotten."""
        self.secure = self.passwords = True
        self.name = ""
        self._phase = Phase.AUTHORIZATION
        self._lines = LineReader()


@frozen
class Verb:
    """A row: ``leads`` has the phases in which the command is allowed, and where success leads from each.

    Failure stays in the phase, or leads to ``failed``. ``elsewhere`` is the text in any other phase. ``read`` makes
    the event of the argument; ValueError when it is wrong.
    """

    usage: str
    read: Callable[[Pop3Session, bytes], Event]
    leads: Mapping[Phase, Phase]
    elsewhere: str
    failed: Phase | None = None
    before_tls: bool = False  #: also where TLS is required


def _user(session: Pop3Session, argument: bytes) -> Event:
    if not session.passwords:
        # Said before the password is sent.
        return Settled(err(ENCRYPT_FIRST, "AUTH"))
    session.name = _text(argument.strip(b" "))
    return Settled(ok())


def _pass(session: Pop3Session, argument: bytes) -> Event:
    """RFC 1939 §7: spaces may be part of the password."""
    return events.Login(session.name, _text(argument))


def _auth(session: Pop3Session, argument: bytes) -> Event:
    if not session.passwords:
        return Settled(err(ENCRYPT_FIRST, "AUTH"))
    mechanism, *initial = argument.split(b" ")
    if not mechanism or len(initial) > 1:
        raise ValueError
    name = mechanism.decode("ascii").upper()
    if name not in session.mechanisms():
        return Settled(err("Mechanism not known; CAPA lists ours"))
    return Auth(name, initial[0] if initial else None)


def _text(raw: bytes) -> str:
    """A name or a password. UTF-8 is borne: clients with such passwords do not ask."""
    text = raw.decode("utf-8")
    if not text or _CONTROL.search(text):
        raise ValueError
    return text


def _starttls(session: Pop3Session, argument: bytes) -> Event:
    _nothing(argument)
    if session.secure:
        return Settled(err("TLS is active already"))
    if not session.starttls:
        return Settled(err("No TLS here"))
    return events.StartTls()


def _capa(session: Pop3Session, argument: bytes) -> Event:
    _nothing(argument)
    body = "".join(f"{capability}\n" for capability in session.capabilities)
    return Settled(ok("Capability list follows", [body.encode()]))


def _nothing(argument: bytes) -> None:
    if argument.strip(b" "):
        raise ValueError


def _bare(event: Event) -> Callable[[Pop3Session, bytes], Event]:
    def read(session: Pop3Session, argument: bytes) -> Event:
        _nothing(argument)
        return event

    return read


def _numbered(event: Callable[..., Event], least: int, most: int) -> Callable[[Pop3Session, bytes], Event]:
    """An event of ``least`` to ``most`` numbers; those left out are None."""

    def read(session: Pop3Session, argument: bytes) -> Event:
        words = argument.split()
        if not least <= len(words) <= most or not all(word.isdigit() for word in words):
            raise ValueError
        return event(*map(int, words), *[None] * (most - len(words)))

    return read


_ANY = {phase: phase for phase in (Phase.AUTHORIZATION, Phase.NAMED, Phase.TRANSACTION)}
_BEFORE = (Phase.AUTHORIZATION, Phase.NAMED)
_LOGIN = {Phase.NAMED: Phase.TRANSACTION}
_INSIDE = {Phase.TRANSACTION: Phase.TRANSACTION}
_LATE, _EARLY = "Already logged in", "Log in first"

VERBS = {
    b"USER": Verb("USER name", _user, dict.fromkeys(_BEFORE, Phase.NAMED), _LATE),
    b"PASS": Verb("PASS password", _pass, _LOGIN, "USER comes first", failed=Phase.AUTHORIZATION),
    b"AUTH": Verb(
        "AUTH mechanism, or AUTH mechanism response",
        _auth,
        dict.fromkeys(_BEFORE, Phase.EXCHANGE),
        _LATE,
        failed=Phase.AUTHORIZATION,
    ),
    b"STLS": Verb("STLS", _starttls, dict.fromkeys(_BEFORE, Phase.SECURING), _LATE, before_tls=True),
    b"CAPA": Verb("CAPA", _capa, _ANY, "", before_tls=True),
    b"NOOP": Verb("NOOP", _bare(Settled(ok())), _INSIDE, _EARLY),
    b"STAT": Verb("STAT", _bare(events.Stat()), _INSIDE, _EARLY),
    b"LIST": Verb("LIST, or LIST message", _numbered(events.List, 0, 1), _INSIDE, _EARLY),
    b"UIDL": Verb("UIDL, or UIDL message", _numbered(events.Uidl, 0, 1), _INSIDE, _EARLY),
    b"RETR": Verb("RETR message", _numbered(events.Retrieve, 1, 1), _INSIDE, _EARLY),
    b"TOP": Verb("TOP message lines", _numbered(events.Top, 2, 2), _INSIDE, _EARLY),
    b"DELE": Verb("DELE message", _numbered(events.Delete, 1, 1), _INSIDE, _EARLY),
    b"RSET": Verb("RSET", _bare(events.Reset()), _INSIDE, _EARLY),
    b"QUIT": Verb("QUIT", _bare(events.Quit()), dict.fromkeys(_ANY, Phase.OVER), "", Phase.OVER, before_tls=True),
}
