"""What the spool on disk is asked: the part of ISpool that only reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve

from mailstack.interfaces.spool import Lagging, Wanted
from mailstack.model.letter import Due, Letter
from mailstack.model.outcome import Outcome
from mailstack.spool.commit import InThread
from mailstack.spool.custody import ROWS
from mailstack.spool.reader import Reader


class Questions(ABC):
    """Answered in the disk's thread; what is not to be seen yet, or not any more, is left out."""

    _reader: Reader
    _in_thread: InThread
    _destination: Callable[[str], str]

    def __init__(self) -> None:
        self._damaged: set[str] = set()

    @abstractmethod
    def _hidden_ids(self) -> set[str]:
        """Letters that nobody is to see now."""

    @abstractmethod
    async def quarantine(self, faults: Mapping[str, str]) -> None:
        """As ISpool has it."""

    async def destinations(
        self, now: float, limit: int, exclude: Iterable[str] = (), newest: bool = False
    ) -> Sequence[str]:
        found: Sequence[str] = await self._in_thread(self._reader.destinations, now, limit, list(exclude), newest)
        return found

    async def due(self, now: float, wanted: Sequence[Wanted]) -> Sequence[Sequence[Due]]:
        # Not asked for, or an answer with fewer than there was room for would seem to be all.
        hidden = self._hidden_ids()
        asked = [evolve(each, exclude=each.exclude | hidden) for each in wanted] if hidden else wanted
        found: Sequence[Sequence[Due]] = await self._without_damaged(self._reader.due, now, asked)
        return [self._seen(each) for each in found]

    async def untold(self, limit: int, after: str = "") -> Sequence[Due]:
        found: Sequence[Due] = await self._without_damaged(self._reader.untold, limit, after)
        return self._seen(found)

    async def _without_damaged(self, query: Callable[..., Any], *args: Any) -> Any:  # Any: as the query has it
        """Letters whose rows make no sense are on hold then, and for the same reason it is asked again without them.
        Until somebody has changed something nobody looks at them again; what could not be put on hold is looked at with
        the next question."""
        left = set[str]()
        while True:
            damaged = self._damaged | left
            found = await self._in_thread(query, *args, damaged)
            new = damaged - self._damaged - left
            if not new:
                return found
            try:
                await self.quarantine(dict.fromkeys(sorted(new), ROWS))
                self._damaged |= new
            except OSError:
                left |= new

    def _seen(self, dues: Sequence[Due]) -> Sequence[Due]:
        visible = self._visible(due.letter.id for due in dues)
        return [due for due in dues if due.letter.id in visible]

    def _visible(self, ids: Iterable[str]) -> set[str]:
        """Without those that are not ours yet, or not any more."""
        return set(ids) - self._hidden_ids()

    async def waiting(self, domains: Sequence[str]) -> Sequence[str]:
        found: set[str] = set()
        for domain in domains:
            rows = await self._in_thread(self._reader.waiting, domain, self._destination(domain))
            found.update(id for id, _, _ in rows)
        return sorted(self._visible(found))  # ids are in the order of time

    async def ahead_of_time(self, id: str, domains: Sequence[str]) -> Due | None:
        found: Due | None = await self._in_thread(self._reader.ahead_of_time, id, list(domains))
        return found

    async def unreported(self, id: str) -> Mapping[int, Outcome]:
        found: Mapping[int, Outcome] = await self._in_thread(self._reader.unreported, id)
        return found

    async def lagging(self, id: str, now: float) -> Lagging:
        found: Lagging = await self._in_thread(self._reader.lagging, id, now)
        return found

    async def unsaved(self, now: float, limit: int, exclude: Iterable[str] = ()) -> Sequence[Letter]:
        hidden = self._hidden_ids()
        found = await self._in_thread(self._reader.unsaved, now, limit, [*exclude, *hidden])
        return [letter for letter in found if letter.id not in self._hidden_ids()]

    async def next_due(self, after: float) -> float | None:
        found: float | None = await self._in_thread(self._reader.next_due, after)
        return found

    async def surviving(self, ids: Sequence[str]) -> Mapping[str, Collection[int]]:
        found: Mapping[str, Collection[int]] = await self._in_thread(self._reader.surviving, ids)
        return found
