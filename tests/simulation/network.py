"""Who listens where, calls between them, and a reactor for each machine."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from random import Random
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionRefusedError, TimeoutError
from twisted.internet.interfaces import IConnector, IListeningPort, IReactorTCP, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.simulation.clock import Call, Owner
from tests.simulation.wire import Place, Wire

FIRST_PORT = 40_000


class Storm:
    """The weather of one world, by its dice."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.latency = 0.02  #: seconds, of which most delays are a part
        self.stalls = 0.0  #: how likely it is that a piece takes seconds
        self.splits = 0.0  #: how likely it is that what is written in one piece comes in several
        self.cuts = 0.0  #: how likely it is that a connection is cut
        self.silent = 0.3  #: how likely it is that a side does not hear of the cut
        self.lost_calls = 0.0  #: how likely it is that a call meets nobody

    def calm(self) -> None:
        self.stalls = self.cuts = self.lost_calls = 0.0

    def delay(self) -> float:
        rng = self._rng
        if self.stalls and rng.random() < self.stalls:
            return rng.uniform(0.5, 40.0)
        return self.latency * rng.random()

    def pieces(self, data: bytes) -> list[bytes]:
        rng = self._rng
        if not self.splits or len(data) < 2 or rng.random() >= self.splits:
            return [data]
        places = sorted({rng.randrange(1, len(data)) for _ in range(rng.randrange(1, 4))})
        return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]

    def cut(self) -> tuple[bool, int] | None:
        if not self.cuts or self._rng.random() >= self.cuts:
            return None
        # As many cuts are among the few octets of the dialogue as are in long messages.
        return self._rng.random() < 0.6, int(exp(self._rng.uniform(0.0, 9.0)))

    def notice(self) -> float | None:
        return None if self._rng.random() < self.silent else self._rng.uniform(0.0, 20.0)

    def meets_nobody(self) -> bool:
        return bool(self.lost_calls) and self._rng.random() < self.lost_calls


class Network:
    """``down`` are addresses of machines that are off: nobody answers there, not even with a refusal."""

    def __init__(self, weather: Storm, trace: Callable[[str, str], None], on_over: Callable[[Wire], None]) -> None:
        self.weather = weather
        self._trace = trace
        self._on_over = on_over
        self.listening: dict[Place, tuple[Owner, Any]] = {}
        self.down: set[str] = set()
        self.wires: list[Wire] = []  #: those that are not over
        self.calls = self.cuts = 0
        self._port = FIRST_PORT

    def trace(self, wire: Wire, what: str) -> None:
        self._trace(f"wire {wire.number}", what)

    def was_cut(self, wire: Wire, why: str) -> None:
        self.cuts += why == "cut"

    def is_over(self, wire: Wire) -> None:
        self.wires.remove(wire)
        self._on_over(wire)

    def connect(self, caller: Owner, address: str, to: Place, build: Callable[[IPv4Address], Any]) -> Wire | None:
        """None: nobody listens there now. ``build`` makes the caller's protocol."""
        found = self.listening.get(to)
        if found is None:
            return None
        callee, factory = found
        self.calls += 1
        self._port += 1
        here = address, self._port
        wire = Wire(self.calls, self.weather, (caller, here), (callee, to), self)
        self.wires.append(wire)
        wire.trace(f"{here[0]} calls {to[0]}:{to[1]}")
        wire.callee.protocol = factory.buildProtocol(IPv4Address("TCP", *here))
        wire.caller.protocol = build(IPv4Address("TCP", *to))
        wire.callee.protocol.makeConnection(wire.callee)
        wire.caller.protocol.makeConnection(wire.caller)
        return wire

    def of(self, owner: Owner) -> list[Wire]:
        return [wire for wire in self.wires if any(end.owner is owner for end in wire.ends)]


@implementer(IListeningPort)
class ListeningPort:
    def __init__(self, network: Network, place: Place) -> None:
        self._network = network
        self._place = place

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", *self._place)

    def startListening(self) -> None:
        """It does already."""

    def stopListening(self) -> Deferred[None]:
        self._network.listening.pop(self._place, None)
        return succeed(None)


@implementer(IConnector)
class CallToSomebody:
    """A call that is being made."""

    def __init__(self, reactor: Reactor, to: Place, factory: Any, timeout: float) -> None:
        self._reactor = reactor
        self._to = to
        self._factory = factory
        self._call: Call | None = None
        self._wire: Wire | None = None
        network, owner = reactor.network, reactor.owner
        factory.doStart()
        factory.startedConnecting(self)
        if to[0] in network.down or network.weather.meets_nobody():
            self._call = owner.later(timeout, self._fail, TimeoutError())
        else:
            self._call = owner.later(network.weather.delay(), self._connect)

    def _connect(self) -> None:
        self._call = None
        network = self._reactor.network
        if self._to[0] in network.down:
            self._fail(TimeoutError())
            return
        wire = network.connect(self._reactor.owner, self._reactor.address, self._to, self._factory.buildProtocol)
        if wire is None:
            self._fail(ConnectionRefusedError())
        self._wire = wire

    def _fail(self, error: Exception) -> None:
        self._call = None
        self._factory.clientConnectionFailed(self, Failure(error))

    def stopConnecting(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def disconnect(self) -> None:
        if self._wire is not None:
            self._wire.caller.loseConnection()
        else:
            self.stopConnecting()

    def connect(self) -> None:
        """It does already."""

    def getDestination(self) -> IPv4Address:
        return IPv4Address("TCP", *self._to)


@implementer(IReactorTime, IReactorTCP)
class Reactor:
    """What one process of one machine sees of the world."""

    running = True

    def __init__(self, owner: Owner, network: Network, address: str) -> None:
        self.owner = owner
        self.network = network
        self.address = address
        self.seconds = owner.seconds

    def callLater(self, delay: float, function: Callable[..., object], *args: Any, **kw: Any) -> Call:
        if kw:
            return self.owner.later(delay, lambda: function(*args, **kw))
        return self.owner.later(delay, function, *args)

    def getDelayedCalls(self) -> list[Call]:
        raise NotImplementedError("nobody asks")

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> ListeningPort:
        place = (self.address, port)
        self.network.listening[place] = self.owner, factory
        factory.doStart()
        return ListeningPort(self.network, place)

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> CallToSomebody:
        return CallToSomebody(self, (host, port), factory, timeout)
