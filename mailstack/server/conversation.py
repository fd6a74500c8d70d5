"""The Twisted shell that SMTP and POP3 share: one client, one dialogue, one event at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IOpenSSLServerConnectionCreator,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mailstack import eager
from mailstack.server.connections import Connections, Peer, peer_of
from mailstack.server.countdown import Countdown

#: Seconds that a client gets to take the last words before the connection is cut.
FAREWELL = 10.0

ENOUGH = 64 * 1024  # octets that are worth a write of their own
#: Answers, or pieces of a large one, after which the others have their turn: some milliseconds. One read may bring
#: 10,000 commands, and anybody can send CAPA without end.
AT_ONCE = 32


@implementer(IPushProducer, IHalfCloseableProtocol)
class Conversation(Protocol):
    """Feeds a sans-IO session and answers its events in order.

    While an answer is pending, at most one more read is taken from the client; while the client does not read our
    answers, none of its commands is looked at. So a client costs bounded memory, and can't make a command overtake.

    A subclass has a sans-IO ``session`` (``receive``, ``next_event``, ``closing``, ``receiving``) and the methods of
    the first group below.
    """

    session: Any  # SmtpServer or Pop3Session: they share four names, no base class
    transport: Any  # ITCPTransport, ITLSTransport and IProducer in one
    peer: Peer

    def __init__(self, clock: IReactorTime, connections: Connections) -> None:
        self.clock = clock
        self.connections = connections
        self._out: list[bytes] = []
        self._held = 0
        self._busy = False
        self._connected = False
        self._stopping = False
        self._leaving = False
        self._ended = False
        self._paused = False
        self._drained: Deferred[None] | None = None
        self._answered = False
        self._in_turn = 0
        self._countdown = Countdown(clock, self._allowed, self._silence)

    # ---- What a subclass says

    def greet(self, admitted: bool) -> None:
        """Say the first line; ``admitted`` is False when there are too many connections."""
        raise NotImplementedError

    def respond(self, event: Any) -> Awaitable[None] | None:
        """Decide on one event and :meth:`say` the answer: at once (None), or when what is returned is done."""
        raise NotImplementedError

    def patience(self) -> float:
        """Seconds that the client has, from our last answer on, for a whole command, or for data that earn nothing."""
        raise NotImplementedError

    def worth(self, octets: int) -> float:
        """Seconds that the client earns back with octets of data that have just come."""
        raise NotImplementedError

    def overdue(self) -> tuple[str, bytes]:
        """The client's time is over: the limit that strikes, and our last words."""
        raise NotImplementedError

    def stopping(self) -> bytes:
        """Our last words when the server stops."""
        raise NotImplementedError

    def finished(self) -> None:
        """The connection is gone, and no event is pending any more."""
        raise NotImplementedError

    # ---- For subclasses

    def say(self, octets: bytes) -> None:
        """Queue octets; they leave together when nothing more can be answered at once."""
        self._out.append(octets)
        self._held += len(octets)
        self._answered = True

    async def say_all(self, pieces: Iterable[bytes]) -> None:
        """Say something large: pieces are taken as fast as the client reads; the rest is left when it has gone."""
        for piece in pieces:
            self.say(piece)
            self._in_turn += 1
            if self._held >= ENOUGH:
                await self.writable()
            if self._in_turn >= AT_ONCE:
                await self._next_turn()
            if not self._connected:
                return

    def flush(self) -> None:
        octets = self._unsaid()
        if octets and self._connected:
            eager.write(self.transport, octets)

    def _unsaid(self) -> bytes:
        """What has been said and has not left; now it must."""
        octets = b"".join(self._out)
        self._out.clear()
        self._held = 0
        return octets

    async def writable(self) -> None:
        """Wait while the client is slow to read. Call it between the pieces of something large."""
        self.flush()
        while self._drained is not None and self._connected:
            await self._drained

    def start_tls(self, tls: IOpenSSLServerConnectionCreator) -> None:
        self.flush()
        self.transport.startTLS(tls)

    def hang_up(self) -> None:
        """Close after what was said; cut when the client does not take it."""
        if not self._leaving:
            self._leaving = self._stopping = True
            # Twisted closes only when no producer is left that might have more to say; TLS wants to read the answer
            # to its good bye.
            self.transport.unregisterProducer()
            self._resume_reading()
            eager.close(self.transport, self._unsaid())
        # Not before: by now the connection may be gone, and then there is nothing to wait for.
        if self._connected:
            self._countdown.restart()

    def stop(self) -> None:
        """The server stops: finish the event at hand, then say so."""
        self._stopping = True
        if not self._busy:
            self._bid_farewell()

    def abort(self) -> None:
        """Cut the connection, whatever is unsaid, and look at no more of the client's commands."""
        self._leaving = self._stopping = True
        self.transport.abortConnection()

    # ---- Twisted calls

    def connectionMade(self) -> None:
        self._connected = True
        self.peer = peer_of(self.transport.getPeer())
        self.transport.registerProducer(self, True)
        admitted = self.connections.enter(self)
        self.greet(admitted)
        self.connections.flush_soon(self, self.clock)
        if not admitted or self.session.closing:
            self.hang_up()
        else:
            self._countdown.restart()

    def dataReceived(self, data: bytes) -> None:
        if self._stopping:
            return
        self.session.receive(data)
        if self.session.receiving:
            self._countdown.earn(self.worth(len(data)))
        if self._busy:
            self._paused = True
            self.transport.pauseProducing()
            return
        self._converse()

    def readConnectionLost(self) -> None:
        """The client has said its last word, but may still listen (``printf … | nc``)."""
        self._ended = True
        if not self._busy:
            self.hang_up()

    def writeConnectionLost(self) -> None:
        """connectionLost follows."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._connected = False
        self.connections.leave(self)
        self._countdown.cancel()
        busy = self._busy
        self.resumeProducing()
        if not busy:
            self.finished()

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        if self._drained is None:
            self._drained = Deferred()

    def resumeProducing(self) -> None:
        """The client has read."""
        drained, self._drained = self._drained, None
        if self._connected:
            self._countdown.restart()
        if drained is not None:
            drained.callback(None)

    def stopProducing(self) -> None:
        """connectionLost follows."""

    # ---- The dialogue

    def _converse(self) -> None:
        """Most answers are there at once, and a Deferred costs as much as the command that it would answer."""
        self._busy = True
        self._in_turn = 0
        try:
            pending = self._answer_at_once()
        except BaseException:
            # A bug: the reactor logs it and ends the connection.
            self._busy = False
            raise
        if pending is None:
            self._pause(None)
        else:
            Deferred.fromCoroutine(self._answer_later(pending)).addBoth(self._pause)

    def _answer_at_once(self) -> Awaitable[None] | None:
        """Answer event after event, until there are no more (None), or until one has something to wait for."""
        while self._connected and not (self._stopping or self.session.closing):
            if self._drained is not None or self._held >= ENOUGH:
                return self.writable()
            if self._in_turn >= AT_ONCE:
                return self._next_turn()
            event = self.session.next_event()
            if event is None:
                return None
            self._in_turn += 1
            pending = self.respond(event)
            if pending is not None:
                return pending
        return None

    async def _next_turn(self) -> None:
        """Wait until the reactor has looked after all others."""
        turn = Deferred[None]()
        self.clock.callLater(0, turn.callback, None)
        await turn
        self._in_turn = 0

    async def _answer_later(self, pending: Awaitable[None] | None) -> None:
        while pending is not None:
            await pending
            pending = self._answer_at_once()

    def _pause(self, result: Failure | None) -> Failure | None:
        """Nothing more to answer for now."""
        self._busy = False
        if not self._connected:
            self.finished()
        elif result is not None:
            self.abort()
        elif self.session.closing:
            self.hang_up()
        elif self._stopping:
            self._bid_farewell()
        elif self._ended:
            self.hang_up()
        else:
            if self._out:
                self.connections.flush_soon(self, self.clock)
            # Only an answer gives the client new time, or one that drips octets could stay for ever.
            if self._answered:
                self._answered = False
                self._countdown.restart()
            if self._paused:
                self._resume_reading()
        return result

    def _resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()

    def _bid_farewell(self) -> None:
        if self._connected and not self._leaving:
            self.say(self.stopping())
            self.hang_up()

    # ---- Time

    def _allowed(self) -> float:
        return FAREWELL if self._leaving else self.patience()

    def _silence(self) -> None:
        if self._stopping:
            self.abort()
        elif self._busy and self._drained is None:
            # We are the slow ones.
            self._countdown.restart()
        else:
            self._cut_off()

    def _cut_off(self) -> None:
        limit, words = self.overdue()
        self.connections.counts.struck(limit, self.peer.address)
        if self._busy:
            self.abort()
        else:
            self.say(words)
            self.hang_up()
