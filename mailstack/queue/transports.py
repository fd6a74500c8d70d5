"""The ways out of the queue, and which recipients of a letter go together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import frozen

from mailstack.interfaces import ITransport
from mailstack.model.address import Address
from mailstack.model.letter import Pending

LOCAL = "local"  # the key of our own Maildirs


@frozen
class Transports:
    """Where letters go. ``destination`` names the next hop of a foreign address: letters to one share its limit."""

    local: ITransport
    remote: ITransport
    is_local: Callable[[str], bool]
    destination: Callable[[Address], str]

    def groups(self, pending: Iterable[Pending]) -> dict[str, list[Pending]]:
        found: dict[str, list[Pending]] = {}
        for each in pending:
            address = each.recipient.address
            key = LOCAL if self.is_local(address.domain) else self.destination(address)
            found.setdefault(key, []).append(each)
        return found
