"""The Twisted shell of POP3."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from functools import partial

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IHandshakeListener,
    IOpenSSLServerConnectionCreator,
    IReactorTime,
)
from twisted.internet.protocol import ServerFactory
from zope.interface import implementer

from mailstack.protocol.pop3 import Pop3Session
from mailstack.protocol.pop3_events import Event, Response, err, ok
from mailstack.server.bindings import channel_bindings
from mailstack.server.connections import STRESS_TIMEOUT, Connections
from mailstack.server.conversation import Conversation
from mailstack.server.pop3_policy import Pop3Policy, PostOffice
from mailstack.server.tls import tls_name

READY = ok("ready")
TOO_MANY = err("too-many-connections", "SYS/TEMP")
STOPPING = err("stopping", "SYS/TEMP")


@frozen
class Listening:
    """One port: ``implicit`` when TLS is up before the first octet, else ``tls`` is for STLS (None: not offered)."""

    timeout: float  #: seconds; RFC 1939 §3 asks for 600 at least
    tls: IOpenSSLServerConnectionCreator | None
    implicit: bool
    required: bool = False  #: nothing goes without TLS


@implementer(IHandshakeListener)
class Pop3Conversation(Conversation):
    """One client."""

    session: Pop3Session
    policy: Pop3Policy

    def __init__(self, clock: IReactorTime, connections: Connections, office: PostOffice, listening: Listening) -> None:
        super().__init__(clock, connections)
        self._office = office
        self._listening = listening

    def greet(self, admitted: bool) -> None:
        listening = self._listening
        self.policy = Pop3Policy(self._office, self.peer.address)
        starttls, mechanisms = listening.tls is not None, self.policy.mechanisms
        implicit, required = listening.implicit, listening.required
        self.session = Pop3Session(implicit, self.peer.loopback, starttls, mechanisms, required, self.policy.terms)
        self.say(self.session.line(READY if admitted else TOO_MANY))

    def respond(self, event: Event) -> Awaitable[None] | None:
        response = self.policy.decide(event)
        return self._reply(response) if isinstance(response, Response) else self._reply_later(response)

    async def _reply_later(self, response: Awaitable[Response]) -> None:
        pending = self._reply(await response)
        if pending is not None:
            await pending

    def _reply(self, response: Response) -> Awaitable[None] | None:
        answer = self.session.answer(response)
        if response.body is not None and not isinstance(response.body, Sequence):
            return self._say_body(answer)
        self.say(b"".join(answer))
        if self.session.upgrading and self._listening.tls is not None:
            self.start_tls(self._listening.tls)
            self.session.secured()
        return None

    async def _say_body(self, answer: Iterator[bytes]) -> None:
        try:
            await self.say_all(answer)
        except OSError as error:
            # The +OK is out: only a cut connection tells the client that the letter is not complete.
            self.policy.broke_off(error)
            self.abort()

    def handshakeCompleted(self) -> None:
        self.policy.tls = tls_name(self.transport)
        self.policy.bindings = partial(channel_bindings, self.transport)

    def patience(self) -> float:
        """Who has logged in keeps the ten minutes that RFC 1939 §3 grants, however many others there are."""
        hurry = self.connections.stressed and not self.session.inside
        return min(self._listening.timeout, STRESS_TIMEOUT) if hurry else self._listening.timeout

    def overdue(self) -> tuple[str, bytes]:
        """RFC 1939 §3: a silent client is left without a word."""
        self.policy.ending = "Inactivity"
        return "pop3_timeout", b""

    def stopping(self) -> bytes:
        self.policy.ending = "Server stops"
        return self.session.line(STOPPING)

    def finished(self) -> None:
        noting = self.policy.closed()
        if noting is not None:
            Deferred.fromCoroutine(noting)


class Pop3Factory(ServerFactory):
    """Builds the conversations of one port."""

    noisy = False

    def __init__(self, clock: IReactorTime, connections: Connections, office: PostOffice, listening: Listening) -> None:
        self._clock = clock
        self._connections = connections
        self._office = office
        self._listening = listening

    def buildProtocol(self, addr: IAddress | None) -> Pop3Conversation:
        return Pop3Conversation(self._clock, self._connections, self._office, self._listening)
