"""The exchange of POP3's AUTH command: lines to events. RFC 5034."""

from __future__ import annotations

from base64 import b64encode

from mailstack.protocol import sasl
from mailstack.protocol.lines import LineReader, TooLong
from mailstack.protocol.pop3_events import Auth, Event, Login, Response, Settled, err
from mailstack.protocol.sasl_steps import Agreed, Challenge, Lookup, Malformed, Proof

#: Positive answers to these are not sent: the exchange goes on, and says the rest itself.
BY_EXCHANGE = (Auth, Lookup, Proof)


class Exchange:
    """One exchange, from the command to an event that ends it."""

    def __init__(self, auth: Auth) -> None:
        self._name = auth.mechanism
        self._mechanism = sasl.MECHANISMS[auth.mechanism].begin()
        self._initial = auth.initial
        self._due = True  # the next step needs no line

    def next(self, lines: LineReader) -> Event | None:
        """The next event; None: more octets are needed."""
        if self._due:
            self._due = False
            return self._step(None) if self._initial is None else self._respond(self._initial)
        line = lines.next(sasl.MAX_LINE)
        if line is None:
            return None
        if isinstance(line, TooLong):
            return Settled(err("line-too-long"))
        return self._respond(line.text) if line.strict else Settled(err("line-ends"))

    def _respond(self, text: bytes) -> Event:
        first, self._initial = self._initial is not None, None
        if text == b"*":
            return Settled(err("cancelled"))
        # RFC 5034 §4: "=" is an empty initial response; an empty answer to a challenge is an empty line.
        octets = sasl.decode(text) if first or text != b"=" else None
        return Settled(err("not-base64")) if octets is None else self._step(octets)

    def _step(self, response: bytes | None) -> Event:
        step = self._mechanism.step(response)
        if isinstance(step, Challenge):
            return Settled(Response(True, data=b64encode(step.text).decode("ascii"), challenge=True))
        if isinstance(step, Lookup | Proof):
            self._due = True
            return step
        if isinstance(step, Malformed):
            return Settled(err("misfit"))
        return step if isinstance(step, Agreed) else Login(step.name, step.password, step.authzid, self._name)
