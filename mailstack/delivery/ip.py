"""IP addresses: what they mean, and which are our own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import AF_INET, AF_INET6, SOCK_DGRAM, socket

from attrs import frozen

SELF6 = ip_network("::/127")  #: unspecified and loopback
#: Where no server of another domain can be: RFC 6890. Private networks are missing, for mail goes on in them, too.
NOWHERE = (
    *map(ip_network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")),
    *map(ip_network, ("fe80::/10", "ff00::/8")),
    SELF6,
)
#: IPv4 in the dress of IPv6: mapped, compatible, and as NAT64 has it (RFC 6052 §2.1).
DRESSES = tuple(map(ip_network, ("::ffff:0:0/96", "::/96", "64:ff9b::/96")))
ANY_PORT = 9  #: discard: nothing is sent there


def is_address(host: str) -> bool:
    """Whether a host is given by its IPv4 or IPv6 address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether what is sent there stays on this machine; a path of a socket does too."""
    return address.startswith("/") or undressed(address).is_loopback


def undressed(address: str) -> IPv4Address | IPv6Address:
    """The address that is meant."""
    found = ip_address(address)
    if found in SELF6 or not any(found in dress for dress in DRESSES):
        return found
    return IPv4Address(int(found) & 0xFFFF_FFFF)


def is_nowhere(address: str) -> bool:
    """Whether a foreign domain's server cannot be there: this machine itself, everybody at once, or nobody."""
    found = undressed(address)
    return any(found in block for block in NOWHERE)


def source(address: str) -> str | None:
    """The address of ours from which we would talk to that one; None: there is no way there. Nothing is sent."""
    try:
        with socket(AF_INET6 if ":" in address else AF_INET, SOCK_DGRAM) as probe:
            probe.connect((address, ANY_PORT))
            name: str = probe.getsockname()[0]
            return name
    except OSError:
        return None


@frozen
class Here:
    """What this machine has. ``ports``: the addresses and ports where we listen for mail."""

    ports: Callable[[], Collection[tuple[str, int]]] = tuple
    source: Callable[[str], str | None] = source

    def is_ours(self, address: str, port: int) -> bool:
        """Whether it is ourselves who listen there."""
        listening = [undressed(own) for own, number in self.ports() if number == port]
        if not listening:
            return False
        meant, talking = undressed(address), self.source(address)
        own = meant.is_loopback or meant.is_unspecified or (talking is not None and undressed(talking) == meant)
        return own and any(each.is_unspecified or each == meant or meant.is_unspecified for each in listening)

    def reaches(self, address: str) -> bool:
        """Whether there is a way: a machine without IPv6 has none to its addresses."""
        return self.source(address) is not None
