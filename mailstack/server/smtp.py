"""The Twisted shell of SMTP: [smtp] and [submission]."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import (
    IAddress,
    IHandshakeListener,
    IOpenSSLServerConnectionCreator,
    IReactorTime,
)
from twisted.internet.protocol import ServerFactory
from zope.interface import implementer

from mailstack.interfaces import IReception
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_events import Body, Event, StartTls, XClient
from mailstack.protocol.smtp_server import SmtpServer
from mailstack.server.bindings import channel_bindings
from mailstack.server.connections import Connections, Peer, peer_at
from mailstack.server.conversation import Conversation
from mailstack.server.tls import tls_name

TOO_MANY = Reply(421, "4.7.0", "Too many connections, try again later")
SILENT = Reply(421, "4.4.2", "You have been silent for too long, good bye")
STOPPING = Reply(421, "4.3.2", "The server stops, try again in a moment")


@frozen
class Listening:
    """What the conversations of one port share. ``tls`` is for STARTTLS; None: not offered, or up from the start."""

    receive: Callable[[Peer], IReception]
    command_timeout: float  #: seconds
    data_timeout: float  #: seconds between two pieces of a message
    tls: IOpenSSLServerConnectionCreator | None


@implementer(IHandshakeListener)
class SmtpConversation(Conversation):
    """One client."""

    def __init__(self, clock: IReactorTime, connections: Connections, listening: Listening) -> None:
        super().__init__(clock, connections)
        self._listening = listening
        self.session: SmtpServer = SmtpServer()

    def greet(self, admitted: bool) -> None:
        self._reception = self._listening.receive(self.peer)
        self.say((self._reception.greeting() if admitted else TOO_MANY).wire())

    def respond(self, event: Event) -> Awaitable[None] | None:
        if isinstance(event, Body):
            self._reception.body(event.chunk)
            return None
        reply = self._reception.decide(event)
        if not isinstance(reply, Reply):
            return self._reply_later(event, reply)
        self._reply(event, reply)
        return None

    async def _reply_later(self, event: Event, reply: Awaitable[Reply]) -> None:
        self._reply(event, await reply)

    def _reply(self, event: Event, reply: Reply) -> None:
        if isinstance(event, XClient) and reply.positive and not self._renamed(event):
            reply = TOO_MANY
        self.say(self.session.answer(reply))
        if isinstance(event, StartTls) and reply.positive and self._listening.tls is not None:
            self.start_tls(self._listening.tls)

    def _renamed(self, event: XClient) -> bool:
        """From now on the connection counts for the client that the proxy has named; False: that has too many."""
        return self._connections.recount(self, peer_at(event.address))

    def handshakeCompleted(self) -> None:
        self._reception.secured(tls_name(self.transport), partial(channel_bindings, self.transport))

    def patience(self) -> float:
        return self._listening.data_timeout if self.session.receiving else self._listening.command_timeout

    def farewell(self, timeout: bool) -> bytes:
        return (SILENT if timeout else STOPPING).wire()

    def finished(self) -> None:
        self._reception.closed()


class SmtpFactory(ServerFactory):
    """Builds the conversations of one port."""

    noisy = False

    def __init__(self, clock: IReactorTime, connections: Connections, listening: Listening) -> None:
        self._clock = clock
        self._connections = connections
        self._listening = listening

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return SmtpConversation(self._clock, self._connections, self._listening)
