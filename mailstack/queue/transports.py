"""The ways out of the queue, and which recipients of a letter go together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import evolve, frozen

from mailstack.config.settings import Queue, Route
from mailstack.interfaces.delivery import ITransport
from mailstack.model.letter import Due, Pending
from mailstack.queue.schedule import Schedule

LOCAL = "local"  # the key of our own Maildirs


@frozen
class Terms:
    """What holds for mail to one domain."""

    schedule: Schedule
    concurrency: int  #: the most attempts at a time

    @classmethod
    def of(cls, settings: Queue, route: Route | None = None) -> Terms:
        """[queue], and what is different on a route."""
        schedule, most = Schedule(settings), settings.concurrency_per_destination
        if route is None:
            return cls(schedule, most)
        return cls(schedule.for_route(route), most if route.concurrency is None else route.concurrency)


@frozen
class Transports:
    """Where letters go, by domain: ``destination`` names the next hop, LOCAL for our own; ``terms`` are what holds."""

    local: ITransport
    remote: ITransport
    destination: Callable[[str], str]
    terms: Callable[[str], Terms]

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
