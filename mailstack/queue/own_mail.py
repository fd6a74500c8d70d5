"""Users take back what they have sent: the same deed on the same rows as the administrator's, from inside of us."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Any

from zope.interface import implementer

from mailstack.interfaces.spool import IQueueDesk
from mailstack.interfaces.waiting import Dropped, IOwnMail
from mailstack.model.address import Address
from mailstack.model.deed import DROP, Deed
from mailstack.model.entry import Entry
from mailstack.model.selection import STATES, Selection


@implementer(IOwnMail)
class OwnMail:
    """``desk`` opens one for each question; ``recall`` makes the queue see that a letter was dropped, and says whether
    an attempt at it goes on."""

    def __init__(
        self,
        desk: Callable[[], IQueueDesk],
        in_thread: Callable[..., Awaitable[Any]],
        recall: Callable[[str], Awaitable[bool]],
        now: Callable[[], float],
    ) -> None:
        """``now`` is Unix time."""
        self._desk = desk
        self._in_thread = in_thread
        self._recall = recall
        self._now = now

    async def waiting(self, user: Address, limit: int) -> Sequence[Entry]:
        found: Sequence[Entry] = await self._in_thread(self._read, _of(user), limit)
        return found

    def _read(self, selection: Selection, limit: int) -> list[Entry]:
        # One statement for all of them, who may be many; then the few that are shown.
        desk = self._desk()
        latest = islice(reversed(list(desk.choose(DROP, selection))), limit)
        return [entry for id in latest if (entry := desk.entry(id)) is not None]

    async def drop(self, user: Address, id: str) -> Dropped | None:
        deed = Deed(DROP, str(user), self._now(), own=True)
        changed = await self._in_thread(self._desk().change, deed, [id], _of(user))
        if not changed.ids:
            return None
        try:
            under_way = await self._recall(id)
        except OSError:
            under_way = True  # perhaps; nobody can tell now
        return Dropped(changed.recipients, under_way, changed.unsure)


def _of(user: Address) -> Selection:
    """Not those of whom the sender is still to be told: that report is on its way."""
    return Selection(account=str(user), states=STATES)
