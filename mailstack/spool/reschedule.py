"""When attempts are to be made, changed for many letters at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import TypeVar

from mailstack.model.letter import ASKED
from mailstack.spool.batch import TOLERANCE, Batch, Corrected, Hastened
from mailstack.spool.commit import GroupCommit, InThread
from mailstack.spool.reader import Reader

T = TypeVar("T")

AT_ONCE = 1_000  # rows changed in one transaction, which the reactor waits for


class Reschedule:
    """What the methods of the same names in :class:`mailstack.interfaces.spool.ISpool` promise."""

    def __init__(
        self,
        reader: Reader,
        commit: GroupCommit,
        in_thread: InThread,
        visible: Callable[[Iterable[str]], Collection[str]],
    ) -> None:
        """``visible``: which of these letters are ours."""
        self._reader = reader
        self._commit = commit
        self._in_thread = in_thread
        self._visible = visible

    async def hasten(self, domain: str, destination: str, subdomains: bool) -> int:
        """``destination``: where mail for the domain goes."""
        waiting = await self._in_thread(self._reader.waiting, domain, destination, subdomains)
        visible = self._visible(id for id, _, _ in waiting)
        later = [Hastened(id, number, ASKED) for id, number, _ in waiting if id in visible]
        await self._in_pieces(later, lambda batch: batch.hastened)
        return len(visible)

    async def hurry(self, destination: str, since: float, after: float, now: float, limit: int) -> float | None:
        later = await self._in_thread(self._reader.later, destination, since, max(after, now), limit)
        if not later:
            return None
        hastened = [Hastened(id, number, now) for id, number, _ in later]
        await self._in_pieces(hastened, lambda batch: batch.hastened)
        last: float = later[-1][2]
        return last

    async def rectify(self, now: float, longest: float) -> int:
        future = await self._in_thread(self._reader.from_the_future, now + TOLERANCE)
        corrected = [Corrected.now(id, came, before, wish, now) for id, came, before, wish in future]
        await self._in_pieces(corrected, lambda batch: batch.corrected)
        late = await self._in_thread(self._reader.unbelievable, now + longest)
        hastened = [Hastened(id, number, now) for id, number in late]
        await self._in_pieces(hastened, lambda batch: batch.hastened)
        return len({each.id for each in corrected} | {each.id for each in hastened})

    async def _in_pieces(self, rows: Sequence[T], place: Callable[[Batch], list[T]]) -> None:
        """One batch after the other; ``place`` says where in it they belong."""

        def add(piece: Sequence[T], batch: Batch) -> None:
            place(batch).extend(piece)

        for start in range(0, len(rows), AT_ONCE):
            await self._commit.join(partial(add, rows[start : start + AT_ONCE]))
