"""Twisted's side of one connection to a server: transport, time, TLS, and the message in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from math import inf
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
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

from mailstack import eager
from mailstack.delivery.tls import Handshake, TlsDetails
from mailstack.eager import Burst
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_client import Action, Close, Send, SmtpClient
from mailstack.protocol.smtp_dialogue import Pour, Rest, Secure, Wait
from mailstack.protocol.smtp_transaction import Envelope

FAREWELL = 5.0  #: seconds for the answer to QUIT and the other side's close
EARLY = 0.001  #: seconds by which a timer may strike before its time, as sums of floats are not exact
#: For those whose turn had not come when it ended, of a letter that others have.
CUT_OFF = Reply(451, "4.4.2", "The line was cut before it was this one's turn")

#: Gives what follows the 354, in pieces, or (True) the end of data alone; OSError when the file cannot be read.
Content = Callable[[bool], Iterator[bytes]]


def _nobody_cares(connection: Connection) -> None:
    pass


@implementer(IHandshakeListener, IPushProducer)
class Connection(Protocol):
    """Does what an :class:`SmtpClient` says, for letter after letter.

    ``over``: there will be no more; saying good-bye goes on behind it, until it is ``gone``. ``changed`` is told of
    both. ``allowed`` is how many seconds the opening may take in all, and another number is given with each letter:
    else a server could hold us for days by answering each command just in time.
    """

    def __init__(
        self,
        clock: IReactorTime,
        client: SmtpClient,
        handshake: Handshake | None,
        allowed: float,
        relay: str = "none",
        burst: Burst | None = None,
    ) -> None:
        """``burst``: what is said leaves with what others say; None: at once."""
        self._clock = clock
        self.relay = relay  #: the other side, as it stands in the log
        self.client = client
        self._handshake = handshake
        self._allowed = allowed
        self._burst = burst
        self._unsaid: list[bytes] = []
        self._content: Content | None = None
        self._watched: Wait | None = None
        self._patient_until = inf
        self._allowed_until = inf
        self._timer: IDelayedCall | None = None
        self._pieces: Iterator[bytes] | None = None
        self._paused = False
        self._waiter: Deferred[None] | None = None
        self.tls: TlsDetails | None = None
        self.handshake_failed = False
        self.aborted = False
        self.over = False
        self.gone = False
        self.changed: Callable[[Connection], None] = _nobody_cares
        self.made = 0.0  #: when the connection was made, by the clock
        self.letters = 0  #: transactions so far
        self.refused = 0  #: those at the end of which nobody got the letter

    # ---- Its owner calls

    async def settled(self) -> None:
        """Until the server is ready for a letter, or all is over. Who is cancelled meanwhile cuts it."""
        if self._settled:
            return
        self._waiter = Deferred()
        try:
            await self._waiter
        except CancelledError:
            self._waiter = None
            # The server stops, and the letter's file is about to be closed.
            self.abort()
            raise

    @property
    def _settled(self) -> bool:
        return self.over or self.client.resting

    def usable(self) -> bool:
        """Whether a letter can be sent now."""
        return self.client.resting and not self.over

    async def send(self, envelope: Envelope, content: Content, allowed: float) -> None:
        """A letter; what comes of it is the client's to say. Only while it is usable. CancelledError: nobody has it."""
        self.letters += 1
        self._content = content
        self._allow(allowed)
        self._do(self.client.send(envelope))
        try:
            await self.settled()
        except CancelledError:
            # By LMTP one after the other is told: who has it must not get it again.
            if not any(reply.positive for reply in self.client.answers.values()):
                raise
            self.client.fail(CUT_OFF)
        self._content = None
        taken = any(reply.positive for reply in self.client.answers.values())
        self.refused = 0 if taken else self.refused + 1

    def quit(self) -> None:
        """There are no more letters."""
        if self.client.resting and not self.over:
            self._do(self.client.quit())

    def abort(self) -> None:
        """Cut the connection; nobody waits for what it says any more."""
        self.aborted = True
        self._close(Close(polite=False))
        self._tell()

    # ---- Twisted calls

    def connectionMade(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.made = self._clock.seconds()
        self._allow(self._allowed)
        self._do(self.client.start())

    def dataReceived(self, data: bytes) -> None:
        if self.over:  # the answer to QUIT, and nobody's business
            self._transport.loseConnection()
            return
        self._do(self.client.receive(data))

    def handshakeCompleted(self) -> None:
        handle = self._transport.getHandle()
        cipher, bits = handle.get_cipher_name() or "", handle.get_cipher_bits() or 0
        self.tls = TlsDetails(handle.get_protocol_version_name(), cipher, bits)
        self._do(self.client.secured())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_timer()
        self.gone = True
        self._pieces = None
        why = brief(reason)
        if isinstance(self.client.waiting, Secure):
            self.handshake_failed = True
            why = (self._handshake and self._handshake.refusal) or why
        self._do(self.client.lost(why))
        self.changed(self)

    @property
    def _transport(self) -> Any:
        """Which interfaces a transport has depends on the endpoint, and changes with TLS."""
        return self.transport

    # ---- What the client wants

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self._say(action.data)
            elif isinstance(action, Secure):
                self._flush()
                self._transport.startTLS(self._handshake)
            elif isinstance(action, Pour):
                self._watch()
                self._pour(action.empty)
            elif isinstance(action, Close):
                self._close(action)
        self._watch()
        self._tell()

    def _say(self, octets: bytes) -> None:
        if self._burst is None:
            eager.write(self._transport, octets)
            return
        if not self._unsaid:
            self._burst.add(self._flush)
        self._unsaid.append(octets)

    def _flush(self) -> None:
        octets = b"".join(self._unsaid)
        self._unsaid.clear()
        if octets and not self.gone:
            eager.write(self._transport, octets)

    def _tell(self) -> None:
        waiter = self._waiter
        if waiter is not None and self._settled:
            self._waiter = None
            waiter.callback(None)

    def _close(self, action: Close) -> None:
        self._stop_pouring()
        self._stop_timer()
        if not action.polite:
            self._unsaid.clear()
        if not self.gone and action.polite:
            self._timer = self._clock.callLater(FAREWELL, self._transport.abortConnection)
        elif not self.gone and self.transport is not None:
            self._transport.abortConnection()
        if not self.over:
            self.over = True
            self.changed(self)

    # ---- Time. One timer for all; as the next wait mostly ends later, it is set anew only when it strikes.

    def _allow(self, seconds: float) -> None:
        self._allowed = seconds
        self._allowed_until = self._clock.seconds() + seconds

    def _watch(self) -> None:
        waiting = self.client.waiting
        if waiting is self._watched or self.over:
            return
        self._watched = waiting
        if waiting is not None and not isinstance(waiting, Rest):
            self._be_patient(waiting.timeout)

    def _be_patient(self, timeout: float) -> None:
        self._patient_until = self._clock.seconds() + timeout
        self._set_timer()

    def _set_timer(self) -> None:
        due = min(self._patient_until, self._allowed_until)
        if self._timer is None:
            self._timer = self._clock.callLater(max(0, due - self._clock.seconds()), self._strike)
        elif self._timer.getTime() > due:
            self._timer.reset(max(0, due - self._clock.seconds()))

    def _strike(self) -> None:
        self._timer = None
        now = self._clock.seconds() + EARLY
        if self.client.resting:
            return
        if now >= self._allowed_until:
            self._do(self.client.fail(Reply(451, "4.4.2", f"Gave up after {self._allowed:.0f} s: too slow")))
        elif now >= self._patient_until:
            self.handshake_failed = isinstance(self.client.waiting, Secure)
            self._do(self.client.timed_out())
        else:
            self._set_timer()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    # ---- The message, no faster than the network takes it

    def _pour(self, empty: bool) -> None:
        assert self._content is not None, "only letters have content"
        try:
            pieces = self._content(empty)
            first, second = next(pieces), next(pieces, None)
        except OSError as error:
            self._unreadable(error)
            return
        if second is None:
            self._say(first)
            self._do(self.client.poured())
            return
        self._flush()
        self._pieces = chain((first, second), pieces)
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
            self._unreadable(error)
            return
        if self.client.waiting is not None and isinstance(self.client.waiting, Pour):
            self._be_patient(self.client.waiting.timeout)
        if piece is not None:
            self._transport.write(piece)
            return
        self._stop_pouring()
        self._do(self.client.poured())

    def _unreadable(self, error: OSError) -> None:
        self._do(self.client.fail(Reply(451, "4.3.0", f"The queue file cannot be read: {error.strerror or error}")))

    def _stop_pouring(self) -> None:
        if self._pieces is not None:
            self._pieces = None
            self._transport.unregisterProducer()


def brief(reason: Failure) -> str:
    """Why a connection ended, in one short line."""
    return " ".join(reason.getErrorMessage().split())[:200] or "no reason known"
