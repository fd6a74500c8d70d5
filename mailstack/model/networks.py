"""Addresses and the networks that they lie in."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IPV6_PREFIX = 64  # one subscriber has a whole /64


def lies_in(address: str, networks: Collection[IPv4Network | IPv6Network]) -> bool:
    """Whether an IP address does; ``""``, which is none, lies nowhere."""
    if not (address and networks):
        return False
    parsed = _parsed(address)
    return any(parsed in network for network in networks)


@lru_cache(maxsize=1024)
def _parsed(address: str) -> IPv4Address | IPv6Address:
    return ip_address(address)


def unmapped(text: str) -> IPv4Address | IPv6Address:
    """The address without its zone; IPv4 also where it comes in the clothes of IPv6. ValueError: it is none."""
    address = ip_address(text.partition("%")[0])
    inside = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return inside or address


@lru_cache(maxsize=1024)
def source(client: str) -> str:
    """What counts as one client: an IPv4 address, a /64 of IPv6; a UNIX socket ("") as it is."""
    try:
        address = unmapped(client)
    except ValueError:
        return client
    return str(ip_network((int(address), IPV6_PREFIX), strict=False)) if address.version == 6 else str(address)
