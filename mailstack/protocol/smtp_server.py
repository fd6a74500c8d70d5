"""The server's side of SMTP, without I/O: bytes to events to bytes. RFC 5321; it decides nothing.

One event at a time: the next is handed out after :meth:`SmtpServer.answer` for the last one, so a pipelined command
can't overtake a decision that takes its time (RFC 2920 §3.2).
"""

from __future__ import annotations

from base64 import b64encode

from mailstack.model.reply import Reply
from mailstack.protocol import sasl
from mailstack.protocol.chunks import ChunkDecoder
from mailstack.protocol.discretion import A_LONG_LINE, HIDDEN, Discretion
from mailstack.protocol.lines import Line, LineReader
from mailstack.protocol.sasl_steps import Agreed, Lookup, Malformed, Mechanism, Proof
from mailstack.protocol.sasl_steps import Challenge as SaslChallenge
from mailstack.protocol.smtp_body import Chunk, Counted, DottedData, Stretch
from mailstack.protocol.smtp_commands import parse
from mailstack.protocol.smtp_events import (
    Auth,
    Bdat,
    Body,
    BodyEnd,
    Challenge,
    Credentials,
    Data,
    Event,
    Hello,
    Help,
    Hopeless,
    Mail,
    Obsolete,
    Quit,
    Rcpt,
    Rejected,
    Reset,
    StartTls,
)
from mailstack.protocol.smtp_order import ORDERED, TRANSITIONS, State, expected, legal

#: Octets of a command line with its end. RFC 5321 §4.5.3.1.4 demands 512, extensions add to it; Postfix takes 2,048.
#: AUTH may carry the first response of its exchange (RFC 4954 §4), and that may be as long there as later.
MAX_COMMAND_LINE = 2048
AUTH = b"AUTH "


#: Commands that may be shown as they are. All others: see :mod:`.discretion`.
_OPEN: set[type[Event]] = {Hello, Mail, Rcpt, Data, Reset, Quit, StartTls}


#: Events after which nothing else begins than what TRANSITIONS says.
_PLAIN: set[type[Event]] = {Hello, Mail, Rcpt, Data, BodyEnd, Reset, Quit, Rejected}

#: What an exchange asks of the policy, and all that it answers itself when the policy agrees.
_ASKED = (Lookup, Proof)
_BY_EXCHANGE = (Auth, Lookup, Proof)

NOT_STRICT = Reply(500, "5.5.2", "Lines end in CRLF; a bare CR or LF is not one")
TOO_LONG = Reply(500, "5.5.2", "Line too long")
TOO_LONG_IN_AUTH = Reply(500, "5.5.6", "Line too long")  # RFC 4954 §6
#: A line that may have been meant as BDAT, but does not say how many octets to take for no commands.
BDAT = b"BDAT"
LOST = Hopeless("BDAT without a size", Reply(421, "4.7.0", "Nobody can tell where your next command begins; good bye"))
EARLY = Hopeless("command before our greeting", Reply(554, "5.5.1", "You talk before our greeting; good bye"))
TLS_HELLO = Hopeless(
    "TLS handshake on a port that begins in plain (set the program to STARTTLS, or to the port for SSL/TLS)",
    Reply(421, "4.7.0", "This port begins in plain: use STARTTLS here, or the port that is for SSL/TLS"),
)
TLS_INJECTION = Reply(421, "5.5.1", "Octets after STARTTLS, before TLS: that is an attack or a broken client")


class SmtpServer:
    """One connection. ``closing``: hang up after what was answered last. ``heard``: the client's last line as it may be
    shown to others, for the caller to take away.

    ``greeted``: the client has heard our first line; whoever talks before that is no mail server. ``turned``: we are
    the client now.
    """

    def __init__(self) -> None:
        self.closing = False
        self.greeted = True
        self.turned = False
        self.heard: bytes | None = None
        self._discretion = Discretion()
        self._state = State.GREET
        self._lines = LineReader(longer=(AUTH, sasl.MAX_LINE))
        self._begun = False
        self._pending: Event | None = None
        self._stretch: Stretch | None = None
        self._chunks: ChunkDecoder | None = None  # between the first BDAT of a message and the last
        self._mechanism: Mechanism | None = None
        self._queued: Event | None = None

    @property
    def receiving(self) -> bool:
        """Between the 354 or BDAT and the last octet that belongs to it."""
        return self._stretch is not None

    def rest(self) -> bytes:
        """What came behind the command that turned the roles."""
        return self._lines.take()

    def receive(self, data: bytes) -> None:
        self._lines.feed(data)

    def next_event(self) -> Event | None:
        """What the client wants; None while an answer is owed or more octets are needed. ``Body`` wants no answer."""
        if self._pending is not None or self.closing or self.turned:
            return None
        if self._stretch is not None:
            event = self._stretch.next_event(self._lines)
        elif self._queued is not None:
            event, self._queued = self._queued, None
        elif self._begun:
            event = self._next_of_lines()
        else:
            event = self._first()
        self._pending = None if isinstance(event, Body) else event
        return event

    def answer(self, reply: Reply) -> bytes:
        """The octets that answer the last event. The state moves on when the reply is positive."""
        event, self._pending = self._pending, None
        if event is None:
            raise ValueError("nothing was asked")
        if type(event) not in _PLAIN:
            return self._answer_special(event, reply)
        self.closing = reply.code in (221, 421)
        self._move_on(event, reply)
        return reply.wire()

    def _answer_special(self, event: Event, reply: Reply) -> bytes:
        if isinstance(event, Obsolete):
            event = event.instead
        self.closing = reply.code in (221, 421) or isinstance(event, Hopeless)
        if isinstance(event, Bdat):
            return self._chunk(event, reply)
        self._move_on(event, reply)
        if reply.positive:
            self._entered(event)
        elif isinstance(event, _ASKED):
            self._mechanism = None
        # AUTH, and what its exchange asks for, are answered by the next step of the exchange.
        return b"" if reply.positive and isinstance(event, _BY_EXCHANGE) else reply.wire()

    def _move_on(self, event: Event, reply: Reply) -> None:
        if reply.positive or self._stretch is not None:
            self._stretch = DottedData() if isinstance(event, Data) else None
            self._state = TRANSITIONS[self._state].get(type(event), self._state)

    def _entered(self, event: Event) -> None:
        self.turned = self._state is State.TURNED
        if isinstance(event, StartTls):
            # Nothing that came in plain may be used (RFC 3207 §4.2); see _event_of for what was pipelined.
            self._lines.take()
        elif isinstance(event, Auth):
            self._begin(event)
        elif isinstance(event, _ASKED) and self._mechanism is not None:
            self._queued = self._step(self._mechanism, None)

    # ---- Command lines

    def _first(self) -> Event | None:
        """The first octets of all, which tell who is no SMTP client."""
        if not self.greeted:
            return EARLY if len(self._lines) else None
        tls = self._lines.begins_tls()
        if tls:
            self.heard = HIDDEN
            return TLS_HELLO
        if tls is None:
            return None
        self._begun = True
        return self._next_of_lines()

    def _next_of_lines(self) -> Event | None:
        mechanism = self._mechanism
        line = self._lines.next(sasl.MAX_LINE if mechanism else MAX_COMMAND_LINE)
        if line is None:
            return None
        self.heard = HIDDEN
        if isinstance(line, Line) and line.strict:
            return self._response(mechanism, line.text) if mechanism else self._command(line.text)
        self._mechanism = None
        if isinstance(line, Line):
            rejected = Rejected(NOT_STRICT)
        else:
            rejected = Rejected(TOO_LONG_IN_AUTH if mechanism or line.start.upper() == AUTH else TOO_LONG)
        if not mechanism:
            text = line.text if isinstance(line, Line) else A_LONG_LINE
            self.heard = self._discretion.shown(text, rejected)
        return self._rejected(line.text if isinstance(line, Line) else line.start, rejected)

    def _command(self, text: bytes) -> Event | None:
        event = self._event_of(text)
        if type(event) in _OPEN:
            self.heard = text
            if isinstance(event, Data):
                self._discretion.wary = True
        else:
            self.heard = self._discretion.shown(text, event)
        return event

    def _rejected(self, text: bytes, event: Rejected) -> Event:
        if text[: len(BDAT)].upper() == BDAT:
            self._queued = LOST
        return event

    def _event_of(self, text: bytes) -> Event | None:
        event = parse(text)
        if type(event) in TRANSITIONS[self._state] and not isinstance(event, StartTls):
            return event
        if isinstance(event, Rejected):
            return self._rejected(text, event)
        if self._comes_too_early(event):
            return self._out_of_order(event)
        if isinstance(event, Obsolete) and self._comes_too_early(event.instead):
            # That it is obsolete comes first, as nothing will put it in order.
            return Obsolete(event.verb, self._bad_sequence(event.instead))
        if isinstance(event, Help):
            return Help(event.topic, legal(self._state))
        if isinstance(event, StartTls) and len(self._lines):
            return Rejected(TLS_INJECTION)
        return event

    def _comes_too_early(self, event: Event) -> bool:
        return type(event) in ORDERED and type(event) not in TRANSITIONS[self._state]

    def _bad_sequence(self, event: Event) -> Rejected:
        return Rejected(Reply(503, "5.5.1", f"Bad sequence of commands: {expected(self._state, event)}"))

    def _out_of_order(self, event: Event) -> Event | None:
        refusal = self._bad_sequence(event)
        if not isinstance(event, Bdat):
            return refusal
        self._stretch = Counted(event.size, refusal)
        return self._stretch.next_event(self._lines)

    # ---- Chunks, RFC 3030 §2

    def _chunk(self, bdat: Bdat, reply: Reply) -> bytes:
        """The policy knows that a chunk comes. Nothing is said before its octets are here; if it was refused, they are
        dropped, or they would be taken for commands (smuggling)."""
        if not reply.positive:
            self._stretch = Counted(bdat.size, Rejected(reply))
            return b""
        if self._state is State.RECIPIENTS or self._chunks is None:
            self._chunks = ChunkDecoder()
        self._state = TRANSITIONS[self._state][Bdat]
        self._stretch = Chunk(bdat, self._chunks)
        return b""

    # ---- AUTH exchange, RFC 4954 §4

    def _begin(self, auth: Auth) -> None:
        """The policy has agreed to the mechanism."""
        self._mechanism = sasl.MECHANISMS[auth.mechanism].begin()
        if auth.initial is None:
            self._queued = self._step(self._mechanism, None)
        else:
            self._queued = self._response(self._mechanism, auth.initial.encode("ascii"))

    def _response(self, mechanism: Mechanism, text: bytes) -> Event:
        octets = sasl.decode(text)
        if text == b"*":
            self._mechanism = None
            return Rejected(Reply(501, "5.7.0", "Authentication cancelled"))
        if octets is None:
            self._mechanism = None
            return Rejected(Reply(501, "5.5.2", "That is not base64"))
        return self._step(mechanism, octets)

    def _step(self, mechanism: Mechanism, response: bytes | None) -> Event:
        step = mechanism.step(response)
        if isinstance(step, SaslChallenge):
            return Challenge(Reply(334, "", b64encode(step.text).decode("ascii")))
        if isinstance(step, _ASKED):
            return step
        self._mechanism = None
        if isinstance(step, Malformed):
            return Rejected(Reply(501, "5.5.2", "The response does not fit the mechanism"))
        return step if isinstance(step, Agreed) else Credentials(step.name, step.password, step.authzid)
