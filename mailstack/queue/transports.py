"""The ways out of the queue, and which recipients of a letter go together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import evolve, frozen

from mailstack.interfaces.delivery import ITransport
from mailstack.model.letter import Due, Pending

LOCAL = "local"  # the key of our own Maildirs


@frozen
class Transports:
    """Where letters go. ``destination`` names the next hop of a domain, LOCAL for ours."""

    local: ITransport
    remote: ITransport
    destination: Callable[[str], str]

    def groups(self, dues: Iterable[Due]) -> dict[str, list[Due]]:
        """By key of the destination, what each of the letters has for it."""
        found: dict[str, list[Due]] = {}
        for due in dues:
            parts = self._parts(due)
            for key, pending in parts.items():
                found.setdefault(key, []).append(due if len(parts) == 1 else evolve(due, pending=tuple(pending)))
        return found

    def _parts(self, due: Due) -> dict[str, list[Pending]]:
        parts: dict[str, list[Pending]] = {}
        for each in due.pending:
            parts.setdefault(self.destination(each.recipient.address.domain), []).append(each)
        return parts

    def stays_here(self, due: Due) -> bool:
        """All of it is for our own Maildirs."""
        return all(self.destination(each.recipient.address.domain) == LOCAL for each in due.pending)
