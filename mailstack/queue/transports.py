"""The ways out of the queue, and which recipients of a letter go together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from attrs import evolve, frozen

from mailstack.config.settings import Queue, Route, Settings
from mailstack.interfaces.delivery import ITransport
from mailstack.model.letter import Due, Letter, Pending, Recipient
from mailstack.queue.schedule import Schedule

REMEMBERED = 10_000  # domains


@frozen
class Terms:
    """What holds for mail to one domain."""

    schedule: Schedule
    concurrency: int  #: the most attempts at a time
    fetched: bool = False  #: it waits until somebody comes for it

    @classmethod
    def of(cls, settings: Queue, route: Route | None = None) -> Terms:
        """[queue], and what is different on a route."""
        schedule, most = Schedule(settings), settings.concurrency_per_destination
        if route is None:
            return cls(schedule, most)
        most = most if route.concurrency is None else route.concurrency
        return cls(schedule.for_route(route), most, route.kind == "fetch")


class TermsByDomain:
    """By [queue], [routes] and which domains are ours; remembered for many of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.of = lru_cache(REMEMBERED)(self._of)

    def _of(self, domain: str) -> Terms:
        local = domain in self._settings.server.domains
        return Terms.of(self._settings.queue, None if local else self._settings.route(domain))

    @property
    def longest(self) -> float:
        """Seconds; no pause is longer, wherever a letter goes."""
        queue, routes = self._settings.queue, self._settings.routes
        terms = [Terms.of(queue), *(Terms.of(queue, each) for _, each in routes)]
        return max(each.schedule.longest for each in terms)

    def until(self, letter: Letter, recipient: Recipient) -> float | None:
        """Until when a recipient is tried, Unix time; None: it waits to be fetched, which is no delay."""
        terms = self.of(recipient.address.domain)
        return None if terms.fetched else letter.released + terms.schedule.lifetime(bounce=letter.sender is None)


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
