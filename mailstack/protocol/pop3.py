"""The server's side of POP3, sans-IO: octets in, events out; answers in, octets out. RFC 1939, 2449, 2595, 6856."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from mailstack.protocol.lines import Line, LineReader, TooLong
from mailstack.protocol.pop3_auth import BY_EXCHANGE, Exchange
from mailstack.protocol.pop3_body import multiline
from mailstack.protocol.pop3_capabilities import Client, Terms
from mailstack.protocol.pop3_commands import BARE, STRANGERS, TLS_FIRST, VERBS, Phase
from mailstack.protocol.pop3_events import Auth, Event, Login, Response, Settled, Utf8, err
from mailstack.protocol.sasl_steps import Agreed

TLS_HELLO = err("tls-hello", "SYS/PERM", last=True)

MAX_COMMAND_LINE = 255 + 2  # octets and CRLF; RFC 2449 §4 asks for 255 at least


class Refused(Exception):
    """A line that is no command here; the argument is the Response."""


class Pop3Session:
    """One client's dialogue: hands out one event at a time, the next one only after :meth:`answer`.

    The arguments are those of :class:`.pop3_capabilities.Client`.
    """

    receiving = False  #: no command of POP3 is followed by data

    def __init__(
        self,
        secure: bool,
        trusted: bool,
        starttls: bool,
        mechanisms: Callable[[], Sequence[str]],
        required: bool = False,
        terms: Callable[[], Terms] = Terms,
    ) -> None:
        self.client = Client(mechanisms, terms, secure, trusted, starttls, required)
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
        except Refused as refused:
            return Settled(refused.args[0])

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
            raise Refused(err("line-too-long"))
        if not line.strict:
            raise Refused(err("line-ends"))
        word, _, argument = line.text.partition(b" ")
        name = word.upper()
        verb = VERBS.get(name)
        if verb is None:
            raise Refused(STRANGERS.get(name, err("unknown-command")))
        if not argument.strip(b" "):
            verb = BARE.get(name, verb)
        if self.client.required and not self.client.secure and not verb.before_tls:
            raise Refused(TLS_FIRST)
        if self._phase not in verb.leads:
            raise Refused(err("already-logged-in" if self.inside else verb.early))
        self._pending = verb.leads[self._phase], verb.failed or self._phase
        try:
            return verb.read(self.client, argument)
        except ValueError:
            raise Refused(err(f"usage-{name.decode()}")) from None

    def answer(self, response: Response) -> Iterator[bytes]:
        """Settle the event at hand. Gives the octets to send, in pieces that are made as they are taken."""
        assert self._pending is not None, "nothing was asked"
        positive, negative = self._pending
        if positive is Phase.SECURING and response.positive and len(self._lines):
            # What came in plain must not be read as if it had come inside TLS (command injection).
            response = err("nothing-after-stls", last=True)
        self._pending = None
        if isinstance(self._event, Auth) and response.positive:
            self._exchange = Exchange(self._event)
        if isinstance(self._event, Utf8) and response.positive:
            self.client.utf8 = True
        self._phase = positive if response.positive else negative
        if response.last:
            self._phase = Phase.OVER
        self.client.inside = self.inside
        if response.positive and isinstance(self._event, BY_EXCHANGE):
            return iter(())
        body = () if response.body is None else multiline(response.body)
        return chain((self.line(response),), body)

    def line(self, response: Response) -> bytes:
        """The first line, in the client's language."""
        return response.line(self.client.language)

    def secured(self) -> None:
        """TLS is up: everything that was said before is forgotten."""
        self.client.secured()
        self._phase = Phase.AUTHORIZATION
        self._lines = LineReader()
