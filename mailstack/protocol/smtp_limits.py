"""The LIMITS extension: how many recipients a server takes at once, how many messages in a session. RFC 9422 §4."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mailstack.model.address import Address

_LIMIT = re.compile(r"[1-9][0-9]{0,5}")


def limits(parameters: str) -> dict[str, int]:
    """``RCPTMAX=100 …`` by name; what makes no sense is no limit."""
    pairs = (word.upper().partition("=") for word in parameters.split())
    return {name: int(value) for name, _, value in pairs if _LIMIT.fullmatch(value)}


def within(parameters: str, recipients: Mapping[int, Address]) -> list[int]:
    """Those recipients, by number, that can be given in one transaction: the first ones. At least one, if there is
    one."""
    if not parameters:
        return list(recipients)
    found = limits(parameters)
    most = found.get("RCPTMAX", len(recipients))
    domains: set[str] = set()
    chosen: list[int] = []
    for number, address in recipients.items():
        if len(chosen) == most:
            break
        if address.domain in domains or len(domains) < found.get("RCPTDOMAINMAX", len(recipients)):
            domains.add(address.domain)
            chosen.append(number)
    return chosen
