"""Next attempts at another time than the schedule's: asked for, or because the clock was wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from attrs import frozen

from mailstack.model.letter import ASKED
from mailstack.spool.batch import TOLERANCE, Batch, Corrected, Hastened
from mailstack.spool.commit import InThread
from mailstack.spool.reader import Reader

T = TypeVar("T")

AT_ONCE = 1_000  # rows changed in one transaction, which the reactor waits for


@frozen
class Times:
    """What ISpool promises under the same names."""

    reader: Reader
    in_thread: InThread
    join: Callable[[Callable[[Batch], object]], Awaitable[None]]

    async def hasten(self, domain: str, subdomains: bool, visible: Callable[[Iterable[str]], set[str]]) -> int:
        waiting = await self.in_thread(self.reader.waiting, domain, subdomains)
        seen = visible([id for id, _, _ in waiting])
        later = [Hastened(id, number, ASKED) for id, number, _ in waiting if id in seen]
        await self._in_pieces(later, lambda batch: batch.hastened)
        return len(seen)

    async def hurry(self, destination: str, since: float, after: float, now: float, limit: int) -> float | None:
        later = await self.in_thread(self.reader.later, destination, since, max(after, now), limit)
        if not later:
            return None
        hastened = [Hastened(id, number, now) for id, number, _ in later]
        await self._in_pieces(hastened, lambda batch: batch.hastened)
        last: float = later[-1][2]
        return last

    async def rectify(self, now: float, longest: float) -> int:
        future = await self.in_thread(self.reader.from_the_future, now + TOLERANCE)
        corrected = [Corrected.now(id, came, before, wish, now) for id, came, before, wish in future]
        await self._in_pieces(corrected, lambda batch: batch.corrected)
        late = await self.in_thread(self.reader.unbelievable, now + longest)
        hastened = [Hastened(id, number, now) for id, number in late]
        await self._in_pieces(hastened, lambda batch: batch.hastened)
        return len({each.id for each in corrected} | {each.id for each in hastened})

    async def _in_pieces(self, rows: Sequence[T], place: Callable[[Batch], list[T]]) -> None:
        """One batch after the other; ``place`` says where in it they belong."""

        def add(piece: Sequence[T], batch: Batch) -> None:
            place(batch).extend(piece)

        for start in range(0, len(rows), AT_ONCE):
            await self.join(partial(add, rows[start : start + AT_ONCE]))
