"""Users see what they have sent and that waits, and take it back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from zope.interface import implementer

from mailstack.interfaces.spool import ISpool
from mailstack.interfaces.waiting import Dropped, IOwnMail
from mailstack.model.address import Address
from mailstack.model.entry import Entry


@implementer(IOwnMail)
class OwnMail:
    """``recall`` takes what was dropped out of the queue's hands, and says whether an attempt at it goes on; ``now`` is
    Unix time."""

    def __init__(self, spool: ISpool, recall: Callable[[str], Awaitable[bool]], now: Callable[[], float]) -> None:
        self._spool = spool
        self._recall = recall
        self._now = now

    async def waiting(self, user: Address, limit: int) -> Sequence[Entry]:
        return await self._spool.of_account(user, limit)

    async def drop(self, user: Address, id: str) -> Dropped | None:
        recipients = await self._spool.drop(id, user, self._now())
        if not recipients:
            return None
        try:
            under_way = await self._recall(id)
        except OSError:
            under_way = True  # perhaps; nobody can tell now
        return Dropped(recipients, under_way)
