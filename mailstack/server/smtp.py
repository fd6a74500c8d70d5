"""The Twisted shell of SMTP: [smtp] and [submission]."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IOpenSSLServerConnectionCreator,
    IReactorTime,
)
from twisted.internet.protocol import ServerFactory
from zope.interface import implementer

from mailstack.interfaces.reception import IReception
from mailstack.interfaces.sessions import ISessions
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_events import Atrn, Body, BodyEnd, Event, Obsolete, StartTls, XClient
from mailstack.protocol.smtp_server import SmtpServer
from mailstack.server.bindings import channel_bindings
from mailstack.server.connections import STRESS_TIMEOUT, Connections, Peer, peer_at
from mailstack.server.recording import MAX_LINE
from mailstack.server.tls import tls_name
from mailstack.server.turning import LONGEST, TurningConversation

TOO_MANY = Reply(421, "4.7.0", "Too many connections, try again later")
NO_COMMAND = Reply(421, "4.4.2", "No whole command for too long, good bye")
SILENT = Reply(421, "4.4.2", "You have been silent for too long, good bye")
TOO_SLOW = Reply(421, "4.4.2", "Your message comes in too slowly, good bye")
#: A challenge as it may be shown: it is half of a secret.
CHALLENGE = Reply(334, "", "***")
STOPPING = Reply(421, "4.3.2", "The server stops, try again in a moment")
#: For a client that has closed its side, or is gone: it could not answer us.
NOBODY_ANSWERS = Reply(421, "4.4.2", "You have closed the connection, so the roles are not turned")


@frozen
class Listening:
    """What the conversations of one port share. ``tls`` is for STARTTLS; None: not offered, or up from the start."""

    receive: Callable[[Peer], IReception]
    command_timeout: float  #: seconds
    data_timeout: float  #: seconds between two pieces of a message
    tls: IOpenSSLServerConnectionCreator | None
    min_data_rate: float  #: octets a second
    greet_delay: Callable[[Peer], float]  #: seconds
    sessions: ISessions
    service: str = "smtp"  #: smtp, submission


@implementer(IHandshakeListener)
class SmtpConversation(TurningConversation):
    """One client."""

    def __init__(
        self,
        clock: IReactorTime,
        connections: Connections,
        listening: Listening,
        port_of: Callable[[Any], int],
    ) -> None:
        super().__init__(clock, connections)
        self._listening = listening
        self._port_of = port_of
        self._octets = 0  # of the message that arrives, with CRLF line ends
        self.session: SmtpServer = SmtpServer()
        self._greeting: IDelayedCall | None = None
        self._heard = 0.0  # when octets of a message came last

    def greet(self, admitted: bool) -> None:
        self._reception = self._listening.receive(self.peer)
        listening = self._listening
        port = self._port_of(self.transport)
        self._recording = listening.sessions.begin(listening.service, port, self._reception.who)
        delay = listening.greet_delay(self.peer) if admitted else 0.0
        if delay:
            self.session.greeted = False
            self._greeting = self.clock.callLater(delay, self._greet_at_last)
        else:
            self._say(self._reception.greeting() if admitted else TOO_MANY)

    def _greet_at_last(self) -> None:
        self._greeting = None
        if not self._stopping:
            self.session.greeted = True
            self._say(self._reception.greeting())
            self.flush()

    def _say(self, reply: Reply) -> None:
        self._recording.add(reply)
        self.say(reply.wire())

    def respond(self, event: Event) -> Awaitable[None] | None:
        heard = self.session.heard
        if heard is not None:
            self.session.heard = None
            self._recording.add(heard[: MAX_LINE + 1])
        if isinstance(event, Body):
            self._octets += len(event.chunk) + event.lines
            self._reception.body(event.chunk, event.lines)
            return None
        if self._octets or isinstance(event, BodyEnd):
            self._recording.add(self._octets)
            self._octets = 0
        reply = self._reception.decide(event)
        if not isinstance(reply, Reply):
            return self._reply_later(event, reply)
        self._reply(event, reply)
        return None

    async def _reply_later(self, event: Event, reply: Awaitable[Reply]) -> None:
        self._reply(event, await reply)

    def _reply(self, event: Event, reply: Reply) -> None:
        far_reaching = isinstance(event, _FAR_REACHING) and reply.positive
        if far_reaching:
            reply = self._reconsidered(event, reply)
        octets = self.session.answer(reply)
        if octets:
            self._recording.add(CHALLENGE if reply.code == CHALLENGE.code else reply)
            self.say(octets)
        else:
            # What follows a BDAT has all its time.
            self._answered = True
        if far_reaching and reply.positive:
            self._follow(event)

    def _reconsidered(self, event: Event, reply: Reply) -> Reply:
        """What to say instead of yes, where the connection does not allow what the command asks for."""
        if isinstance(event, XClient) and not self._renamed(event):
            return TOO_MANY
        if isinstance(event, _MAY_TURN) and not self.turnable and _turns(event):
            return STOPPING if self._stopping else NOBODY_ANSWERS
        return reply

    def _follow(self, event: Event) -> None:
        """The yes is said: what becomes of the connection."""
        if isinstance(event, StartTls) and self._listening.tls is not None:
            self.start_tls(self._listening.tls)
        elif isinstance(event, _MAY_TURN) and self.session.turned:
            self.hand_over(self._reception.turned(), self.session.rest())

    def _renamed(self, event: XClient) -> bool:
        """From now on the connection counts for the client that the proxy has named; False: that has too many."""
        return self.connections.recount(self, peer_at(event.address))

    def handshakeCompleted(self) -> None:
        tls = tls_name(self.transport)
        self._reception.secured(tls, partial(channel_bindings, self.transport))
        self._recording.secured(tls)

    def patience(self) -> float:
        if self.turn is not None:
            return LONGEST
        if self.session.receiving:
            return self._listening.data_timeout
        timeout = self._listening.command_timeout
        return min(timeout, STRESS_TIMEOUT) if self.connections.stressed else timeout

    def worth(self, octets: int) -> float:
        """As Postfix counts: so the rate is judged over ``data_timeout``, in which a line may well stall."""
        self._heard = self.clock.seconds()
        return octets / self._listening.min_data_rate

    def overdue(self) -> tuple[str, bytes]:
        limit, reply = "command_timeout", NO_COMMAND
        if self.session.receiving:
            silent = self.clock.seconds() - self._heard >= self._listening.data_timeout
            limit, reply = ("data_timeout", SILENT) if silent else ("min_data_rate", TOO_SLOW)
        self._recording.add(reply)
        return limit, reply.wire()

    def stopping(self) -> bytes:
        self._recording.add(STOPPING)
        return STOPPING.wire()

    def finished(self) -> None:
        if self._greeting is not None:
            self._greeting.cancel()
        self._recording.end()
        self._reception.closed()


_MAY_TURN = (Atrn, Obsolete)
#: With a positive reply, these change the connection itself.
_FAR_REACHING = (XClient, StartTls, *_MAY_TURN)


def _turns(event: Event) -> bool:
    return isinstance(event.instead if isinstance(event, Obsolete) else event, Atrn)


class SmtpFactory(ServerFactory):
    """Builds the conversations of one port."""

    noisy = False

    def __init__(self, clock: IReactorTime, connections: Connections, listening: Listening) -> None:
        self._clock = clock
        self._connections = connections
        self._listening = listening
        self._port: int | None = None

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return SmtpConversation(self._clock, self._connections, self._listening, self._port_of)

    def _port_of(self, transport: Any) -> int:
        """Where it listens, 0 for a UNIX socket. Asked of the first connection alone: it costs a system call."""
        if self._port is None:
            self._port = getattr(transport.getHost(), "port", 0)
        return self._port
