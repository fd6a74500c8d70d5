"""Twisted's side of one connection to a server: transport, timers, TLS, and the message in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mailstack.delivery.tls import Handshake
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_client import Action, Close, Send, SmtpClient
from mailstack.protocol.smtp_dialogue import Pour, Secure, Wait

FAREWELL = 5.0  #: seconds for the answer to QUIT and the other side's close


@frozen
class TlsDetails:
    """What a handshake came to."""

    version: str
    cipher: str
    bits: int = 0

    def __str__(self) -> str:
        """As Postfix has it in its log."""
        return f"{self.version} with cipher {self.cipher} ({self.bits}/{self.bits} bits)"


@implementer(IHandshakeListener, IPushProducer)
class Connection(Protocol):
    """Does what an :class:`SmtpClient` says.

    ``finished`` fires, with None, when the client knows all; saying good-bye goes on behind it. ``content`` gives
    the message as it goes over the wire, in pieces; OSError when the file cannot be read. ``allowed`` is how many
    seconds it may take in all, or a server could hold us for days by answering each command just in time.
    """

    def __init__(
        self,
        clock: IReactorTime,
        client: SmtpClient,
        content: Callable[[bool], Iterator[bytes]],
        handshake: Handshake | None,
        allowed: float,
    ) -> None:
        self._clock = clock
        self.client = client
        self._content = content
        self._handshake = handshake
        self._allowed = allowed
        self._watched: Wait | None = None
        self._timer: IDelayedCall | None = None
        self._limit: IDelayedCall | None = None
        self._pieces: Iterator[bytes] | None = None
        self._paused = False
        self._gone = False
        self.finished: Deferred[None] = Deferred()
        self.tls: TlsDetails | None = None
        self.handshake_failed = False
        self.ready: float | None = None  #: when the server was ready for the letter, by the clock

    # ---- Twisted calls

    def connectionMade(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self._limit = self._clock.callLater(self._allowed, self._too_long)
        self._do(self.client.start())

    def dataReceived(self, data: bytes) -> None:
        if self.finished.called:  # the answer to QUIT, and nobody's business
            self._transport.loseConnection()
            return
        self._do(self.client.receive(data))

    def handshakeCompleted(self) -> None:
        handle = self._transport.getHandle()
        cipher, bits = handle.get_cipher_name() or "", handle.get_cipher_bits() or 0
        self.tls = TlsDetails(handle.get_protocol_version_name(), cipher, bits)
        self._do(self.client.secured())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_timers()
        self._gone = True
        self._pieces = None
        why = brief(reason)
        if isinstance(self.client.waiting, Secure):
            self.handshake_failed = True
            why = (self._handshake and self._handshake.refusal) or why
        self._do(self.client.lost(why))

    @property
    def _transport(self) -> Any:
        """Which interfaces a transport has depends on the endpoint, and changes with TLS."""
        return self.transport

    # ---- What the client wants

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self._transport.write(action.data)
            elif isinstance(action, Secure):
                self._transport.startTLS(self._handshake)
            elif isinstance(action, Pour):
                self._watch()
                self._pour(action.empty)
            elif isinstance(action, Close):
                self._close(action)
        self._watch()

    def _watch(self) -> None:
        """One timer for what the client waits for now."""
        if self.client.began and self.ready is None:
            self.ready = self._clock.seconds()
        waiting = self.client.waiting
        if waiting is self._watched:
            return
        self._watched = waiting
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if waiting is not None:
            self._timer = self._clock.callLater(waiting.timeout, self._timed_out)

    def _timed_out(self) -> None:
        self.handshake_failed = isinstance(self.client.waiting, Secure)
        self._do(self.client.timed_out())

    def _too_long(self) -> None:
        self._do(self.client.fail(Reply(451, "4.4.2", f"Gave up after {self._allowed:.0f} s: too slow")))

    def _close(self, action: Close) -> None:
        self._stop_pouring()
        self._stop_timers()
        self._watched = None
        if not self._gone and action.polite:
            self._timer = self._clock.callLater(FAREWELL, self._transport.abortConnection)
        elif not self._gone:
            self._transport.abortConnection()
        if not self.finished.called:
            self.finished.callback(None)

    def abort(self) -> None:
        """Cut the connection; nobody waits for what it says any more."""
        self._close(Close(polite=False))

    def _stop_timers(self) -> None:
        for call in (self._timer, self._limit):
            if call is not None and call.active():
                call.cancel()

    # ---- The message, no faster than the network takes it

    def _pour(self, empty: bool) -> None:
        self._pieces = self._content(empty)
        self._paused = False
        self._transport.registerProducer(self, True)
        self.resumeProducing()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        while self._pieces is not None and not self._paused:
            self._write_next(self._pieces)

    def stopProducing(self) -> None:
        self._pieces = None

    def _write_next(self, pieces: Iterator[bytes]) -> None:
        try:
            piece = next(pieces, None)
        except OSError as error:
            self._do(self.client.fail(Reply(451, "4.3.0", f"The queue file cannot be read: {error.strerror or error}")))
            return
        if self._timer is not None and self._timer.active():
            self._timer.reset(self.client.waiting.timeout if self.client.waiting else 0)
        if piece is not None:
            self._transport.write(piece)
            return
        self._stop_pouring()
        self._do(self.client.poured())

    def _stop_pouring(self) -> None:
        if self._pieces is not None:
            self._pieces = None
            self._transport.unregisterProducer()


def brief(reason: Failure) -> str:
    """Why a connection ended, in one short line."""
    return " ".join(reason.getErrorMessage().split())[:200] or "no reason known"
