"""How much of the public Internet ``[relay] networks`` let in: when it is too much, the server is an open relay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import TypeVar

from mailstack.config.settings import Network

#: Addresses in all. A /8 is the largest block of IPv4 that was given out in one piece, a /20 of IPv6 is what very large
#: providers get; the few who hold more do not relay for all of it. Whoever names more names other people's networks.
MOST_IPV4 = 2 ** (32 - 8)
MOST_IPV6 = 2 ** (128 - 20)

#: More than most sites have for themselves: a /16 of IPv4, a /32 of IPv6, which is what a provider gets.
MANY_IPV4 = 2 ** (32 - 16)
MANY_IPV6 = 2 ** (128 - 32)

#: IPv4 from which no stranger calls: RFC 6890 and RFC 5771, disjoint.
PRIVATE_IPV4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # behind a provider's NAT
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local
            "172.16.0.0/12",
            "192.0.2.0/24",  # documentation, as the next two
            "198.51.100.0/24",
            "203.0.113.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "224.0.0.0/3",  # multicast and reserved
        ),
    )
)

#: All that IANA gives out of IPv6 (RFC 4291 §2.4); loopback, unique local and link-local addresses lie elsewhere.
PUBLIC_IPV6 = IPv6Network("2000::/3")

#: The whole of IPv4, written as IPv6: mapped (RFC 4291 §2.5.5.2) and behind a translator (RFC 6052 §2.1).
DRESSED_IPV4 = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))

N = TypeVar("N", IPv4Network, IPv6Network)


def too_open(networks: Iterable[Network]) -> str | None:
    """What makes an open relay of the server; None when the networks are small enough to be our own."""
    public4, public6 = _public(networks)
    if public4 > MOST_IPV4:
        counted = f"{public4:,} public IPv4 addresses (IPv6 forms counted)"
        return f"the networks hold {counted}, more than a whole /8 ({MOST_IPV4:,})"
    if public6 > MOST_IPV6:
        return f"the networks hold {public6 / MOST_IPV6:,.1f} times as many IPv6 addresses as a whole /20 has"
    return None


def many(networks: Iterable[Network]) -> str | None:
    """Whom the networks let in when they are larger than most sites are; None when they are not."""
    public4, public6 = _public(networks)
    if public4 > MANY_IPV4:
        return f"{public4:,} public IPv4 addresses"
    return f"{public6 // MANY_IPV6:,} times a /32 of IPv6" if public6 > MANY_IPV6 else None


def _public(networks: Iterable[Network]) -> tuple[int, int]:
    """How many addresses of IPv4, also in the forms that IPv6 has for them, and of IPv6 they hold."""
    plain: list[IPv4Network] = []
    long: list[IPv6Network] = []
    for network in networks:
        if isinstance(network, IPv4Network):
            plain.append(network)
        else:
            long.append(network)
            plain += _undressed(network)
    public4 = sum(map(_public_ipv4, collapse_addresses(plain)))
    public6 = sum(_common(network, PUBLIC_IPV6) for network in collapse_addresses(long))
    return public4, public6


def _undressed(network: IPv6Network) -> Iterator[IPv4Network]:
    """The IPv4 networks that an IPv6 network holds."""
    for dress in DRESSED_IPV4:
        if dress.subnet_of(network):
            yield IPv4Network("0.0.0.0/0")
        elif network.subnet_of(dress):
            offset = int(network.network_address) - int(dress.network_address)
            yield IPv4Network((offset, network.prefixlen - dress.prefixlen))


def _public_ipv4(network: IPv4Network) -> int:
    return network.num_addresses - sum(_common(network, private) for private in PRIVATE_IPV4)


def _common(one: N, other: N) -> int:
    """How many addresses two networks share: one of them holds the other, or they share none."""
    return min(one.num_addresses, other.num_addresses) if one.overlaps(other) else 0
