"""One connection: octets on their way in both directions, in order, and what may become of them."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.simulation.clock import Call, Owner

HIGH, LOW = 64 * 1024, 16 * 1024  # octets on their way at which the one who writes is to wait, and may go on
FIN, RST = "FIN", "RST"

Place = tuple[str, int]  #: address and port


class Weather(Protocol):
    """What the network does to connections."""

    def delay(self) -> float: ...

    def pieces(self, data: bytes) -> list[bytes]: ...

    def cut(self) -> tuple[bool, int] | None:
        """Behind which octet of the caller's words (True), or of the callee's, a new connection is to be cut."""

    def notice(self) -> float | None:
        """Seconds until one side of a cut connection learns of it; None: never."""


@implementer(ITransport)
class End:
    """One side, as a Twisted transport."""

    def __init__(self, wire: Wire, owner: Owner, host: Place, peer: Place) -> None:
        self.wire = wire
        self.owner = owner
        self._host = IPv4Address("TCP", *host)
        self._peer = IPv4Address("TCP", *peer)
        self.other: End
        self.protocol: Any = None
        self.said = bytearray()  #: all that it has written
        self.arrived = 0  #: octets of it that the other side has read
        self.moments: deque[tuple[float, int]] = deque(maxlen=64)  #: when how much had arrived
        self.connected = True
        self.disconnecting = False
        self._aborted = False
        self._producer: Any = None
        self._holds_back = False
        self._paused = False  #: it does not read
        self._queue: deque[tuple[float, bytes, str]] = deque()  #: from us: when it is there, octets or an end
        self._timer: Call | None = None
        self._flying = 0

    # ---- Twisted's side

    def getHost(self) -> IPv4Address:
        return self._host

    def getPeer(self) -> IPv4Address:
        return self._peer

    def write(self, data: bytes) -> None:
        if not self.connected or self.disconnecting or not data or not self.owner.alive:
            return
        self.said += data
        for piece in self.wire.weather.pieces(data):
            self._send(piece)
        if self._flying > HIGH and self._producer is not None and not self._holds_back:
            self._holds_back = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if self.connected and not self.disconnecting and self.owner.alive:
            self.disconnecting = True
            if self._producer is None:
                self._finish()

    def _finish(self) -> None:
        self._send(b"", FIN)
        self.owner.later(0, self.lose, ConnectionDone())

    def abortConnection(self) -> None:
        if self.connected and self.owner.alive:
            self.disconnecting = self._aborted = True
            self._send(b"", RST)
            self.owner.later(0, self.lose, ConnectionAborted())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None
        if self.disconnecting and self.connected:
            self._finish()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self.other._plan()

    def stopProducing(self) -> None:
        self.loseConnection()

    # ---- The network's side

    def _send(self, piece: bytes, end: str = "") -> None:
        now = self.owner.time.now
        at = now + self.wire.weather.delay()
        if self._queue:
            at = max(at, self._queue[-1][0])
        self._queue.append((at, piece, end))
        self._flying += len(piece)
        self._plan()

    def _plan(self) -> None:
        """What is first in the queue arrives in its time, if the other side reads."""
        if self._timer is None and self._queue and not (self.wire.dead or self.other._paused):
            self._timer = self.other.owner.later(self._queue[0][0] - self.owner.time.now, self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        other = self.other
        if self.wire.dead or other._paused:
            return
        _, piece, end = self._queue.popleft()
        self._flying -= len(piece)
        if not other.connected or other._aborted:
            # Nobody is there any more, and says so.
            self._queue.clear()
            self.owner.later(self.wire.weather.delay(), self.lose, ConnectionLost())
            return
        if end:
            self._queue.clear()
            other._hear_the_end(end)
            return
        self._deliver(piece)
        if self._holds_back and self._flying < LOW and self._producer is not None:
            self._holds_back = False
            self._producer.resumeProducing()
        self._plan()

    def _deliver(self, piece: bytes) -> None:
        wire = self.wire
        cut_here = wire.cut_at is not None and wire.cut_at[0] is self
        if wire.cut_at is not None and cut_here:
            piece = piece[: max(0, wire.cut_at[1] - self.arrived)]
        self.arrived += len(piece)
        self.moments.append((self.owner.time.now, self.arrived))
        if piece:
            wire.trace(f"{'>' if self is wire.caller else '<'} {piece!r}")
            self.other.protocol.dataReceived(piece)
        if wire.cut_at is not None and cut_here and self.arrived >= wire.cut_at[1]:
            wire.cut()

    def _hear_the_end(self, end: str) -> None:
        if end == FIN and IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.readConnectionLost()
        else:
            self.lose(ConnectionDone() if end == FIN else ConnectionLost())

    def lose(self, reason: Exception) -> None:
        """The connection is gone, as far as this side knows."""
        if not self.connected or not self.owner.alive:
            return
        self.connected = False
        self._producer = None
        self.protocol.connectionLost(Failure(reason))
        self.wire.end()


class Wire:
    """Two ends. ``caller`` is who has called."""

    def __init__(
        self, number: int, weather: Weather, caller: tuple[Owner, Place], callee: tuple[Owner, Place], notes: WireNotes
    ) -> None:
        self.number = number
        self.weather = weather
        self._notes = notes
        self.dead = False  #: nothing arrives any more
        self.over = False
        self.caller = End(self, caller[0], caller[1], callee[1])
        self.callee = End(self, callee[0], callee[1], caller[1])
        self.caller.other, self.callee.other = self.callee, self.caller
        self.cut_at: tuple[End, int] | None = None
        where = weather.cut()
        if where is not None:
            self.cut_at = (self.caller if where[0] else self.callee), where[1]

    @property
    def ends(self) -> tuple[End, End]:
        return self.caller, self.callee

    def cut(self, why: str = "cut") -> None:
        """Nothing arrives from now on. Each side learns of it some time, or finds out by itself."""
        if self.dead:
            return
        self.dead = True
        self.trace(why)
        self._notes.was_cut(self, why)
        for end in self.ends:
            after = self.weather.notice()
            if after is not None:
                end.owner.later(after, end.lose, ConnectionLost())

    def break_off(self, owner: Owner) -> None:
        """One side has died. The other one hears what was on its way, and then of the end."""
        for end in self.ends:
            if end.owner is owner:
                end._send(b"", RST)
                end.connected = False
        self.end()

    def go_silent(self, owner: Owner) -> None:
        """One side is off. The other one finds out by itself, or when it says something after that one is back."""
        self.dead = True
        for end in self.ends:
            if end.owner is owner:
                end.connected = False
            else:
                after = self.weather.notice()
                if after is not None:
                    end.owner.later(after + 60.0, end.lose, ConnectionLost())
        self.end()

    def trace(self, what: str) -> None:
        self._notes.trace(self, what)

    def end(self) -> None:
        """Told once, when no side has it any more."""
        if not self.over and not any(end.connected and end.owner.alive for end in self.ends):
            self.over = True
            self._notes.is_over(self)


class WireNotes(Protocol):
    """Who hears of connections."""

    def trace(self, wire: Wire, what: str) -> None: ...

    def was_cut(self, wire: Wire, why: str) -> None: ...

    def is_over(self, wire: Wire) -> None: ...
