"""IP addresses as text."""

from __future__ import annotations

from ipaddress import ip_address


def is_address(host: str) -> bool:
    """Whether a host is given by its IPv4 or IPv6 address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether what is sent there stays on this machine; a path of a socket does too."""
    return address.startswith("/") or ip_address(address).is_loopback
