"""What people call themselves when they log in."""

from __future__ import annotations

from collections.abc import Sequence

from mailstack.accounts.saslprep import prepared
from mailstack.model.address import Address


def login_key(name: str, domains: Sequence[str]) -> str:
    """The one form of a name, however it was written: :attr:`Address.key`, if it can be an address at all. Where there
    is one domain, it may be left out."""
    name = prepared(name)
    if "@" not in name and len(domains) == 1:
        name = f"{name}@{domains[0]}"
    try:
        return Address.parse(name).key
    except ValueError:
        return name
