"""Who is connected: the limits of [limits] connections and connections_per_client."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address

from attrs import frozen
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress


@frozen
class Peer:
    """The other end of a connection; ``address`` is ``""`` for a UNIX socket."""

    address: str

    @property
    def loopback(self) -> bool:
        """Nobody can listen in between, so passwords may go without TLS."""
        return not self.address or ip_address(self.address).is_loopback


def peer_of(address: IAddress) -> Peer:
    """The client that Twisted names; behind ``haproxy:`` that is the real one."""
    if not isinstance(address, IPv4Address | IPv6Address):
        return Peer("")
    host = ip_address(address.host.partition("%")[0])
    mapped = getattr(host, "ipv4_mapped", None)
    return Peer(str(mapped or host))


class Connections:
    """Counts connections of one service, in all and by client address."""

    def __init__(self, total: int, per_client: int) -> None:
        self._total = total
        self._per_client = per_client
        self._clients: Counter[str] = Counter()
        self._count = 0

    def admit(self, peer: Peer) -> bool:
        """Count one more; every call needs its :meth:`leave`. False: too many, say so and hang up."""
        self._clients[peer.address] += 1
        self._count += 1
        return self._count <= self._total and self._clients[peer.address] <= self._per_client

    def leave(self, peer: Peer) -> None:
        self._count -= 1
        self._clients[peer.address] -= 1
        if not self._clients[peer.address]:
            del self._clients[peer.address]
