"""Who is connected: the limits of [limits] connections and connections_per_client."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Protocol

from attrs import frozen
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime

from mailstack.config.settings import Network
from mailstack.eager import Burst
from mailstack.interfaces.log import ILimitCounts
from mailstack.model.networks import lies_in, source, unmapped

#: Of all connections; when more are in use, we wait for a command only STRESS_TIMEOUT seconds. Postfix under stress:
#: smtpd_timeout = ${stress?{10}:{300}}s.
STRESS = 3 / 4
STRESS_TIMEOUT = 10.0


@frozen
class Peer:
    """The other end of a connection; ``address`` is ``""`` for a UNIX socket, or if a proxy does not know it."""

    address: str
    loopback: bool  #: nobody can listen in between, so passwords may go without TLS

    @property
    def source(self) -> str:
        """What it counts as."""
        return source(self.address)


LOCAL = Peer("", loopback=True)


def peer_of(address: IAddress) -> Peer:
    """The client that Twisted names; behind ``haproxy:`` that is the real one."""
    return peer_at(address.host) if isinstance(address, IPv4Address | IPv6Address) else LOCAL


@lru_cache(maxsize=1024)
def peer_at(host: str) -> Peer:
    """The one at an IP address; at ``""``, nobody knows where."""
    if not host:
        return Peer("", loopback=False)
    address = unmapped(host)
    return Peer(str(address), address.is_loopback)


class Spare(Protocol):
    """Whether there are descriptors for one more connection: :class:`mailstack.server.files.Descriptors`."""

    def scarce(self) -> bool: ...

    def given_back(self) -> None: ...


class Session(Protocol):
    """What is counted."""

    peer: Peer

    def flush(self) -> None: ...

    def stop(self) -> None: ...

    def abort(self) -> None: ...


class Connections:
    """The open connections of one service, and how many more there may be. ``counts`` hears of every limit that strikes
    one of them."""

    def __init__(
        self,
        total: int,
        per_client: int,
        counts: ILimitCounts,
        proxies: tuple[Network, ...] = (),
        spare: Spare | None = None,
    ) -> None:
        """``proxies`` come with other people's connections, and may have ``total``."""
        self._spare = spare
        self.counts = counts
        self._total = total
        self._per_client = per_client
        self._proxies = proxies
        self._clients: Counter[str] = Counter()
        self._open: set[Session] = set()
        self._burst: Burst | None = None
        self._closed: Deferred[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, session: Session) -> bool:
        """Count one more; every call needs its :meth:`leave`. False: too many, say so and hang up."""
        peer = session.peer
        self._open.add(session)
        self._clients[peer.source] += 1
        if self._spare is not None and self._spare.scarce():
            return False
        if len(self._open) > self._total:
            self.counts.struck("connections", peer.address)
            return False
        if self._clients[peer.source] <= self._per_client or lies_in(peer.address, self._proxies):
            return True
        self.counts.struck("connections_per_client", peer.address)
        return False

    @property
    def stressed(self) -> bool:
        """So many are here that there may soon be no place for others."""
        return len(self._open) > self._total * STRESS

    def recount(self, session: Session, peer: Peer) -> bool:
        """Count a session for another client, whom a proxy has named; the answer is as of :meth:`enter`."""
        self._forget_client(session)
        session.peer = peer
        return self.enter(session)

    def leave(self, session: Session) -> None:
        self._open.discard(session)
        self._forget_client(session)
        if self._spare is not None:
            self._spare.given_back()
        if not self._open and self._closed is not None:
            closed, self._closed = self._closed, None
            closed.callback(None)

    def _forget_client(self, session: Session) -> None:
        client = session.peer.source
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]

    def flush_soon(self, session: Session, clock: IReactorTime) -> None:
        """Let its answers leave with those of the others."""
        if self._burst is None:
            self._burst = Burst(clock)
        self._burst.add(session.flush)

    async def stop(self) -> None:
        """Let every session finish what it is at; returns when the last one is gone."""
        if self._open:
            closed = self._closed = Deferred()
            for session in list(self._open):
                session.stop()
            await closed

    def abort(self) -> None:
        """Cut those that are left."""
        for session in list(self._open):
            session.abort()
