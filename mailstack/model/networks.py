"""Addresses and the networks that they lie in."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_address


def lies_in(address: str, networks: Collection[IPv4Network | IPv6Network]) -> bool:
    """Whether an IP address does; ``""``, which is none, lies nowhere."""
    if not (address and networks):
        return False
    parsed = ip_address(address)
    return any(parsed in network for network in networks)
