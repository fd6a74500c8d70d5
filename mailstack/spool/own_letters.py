"""What users may do with the letters that they have sent, as far as an attempt is still to come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mailstack.interfaces.log import IEventLog
from mailstack.model.address import Address
from mailstack.model.deed import DROP, Deed
from mailstack.model.entry import Entry
from mailstack.model.selection import WAITING, Selection
from mailstack.spool.batch import Order
from mailstack.spool.changes import words
from mailstack.spool.commit import GroupCommit, InThread
from mailstack.spool.reader import Reader


class OwnLetters:
    """What the methods of the same names in :class:`mailstack.interfaces.spool.ISpool` promise."""

    def __init__(
        self,
        reader: Reader,
        commit: GroupCommit,
        in_thread: InThread,
        hidden: Callable[[], set[str]],
        log: IEventLog,
    ) -> None:
        """``hidden``: letters that are not ours yet, or not any more."""
        self._reader = reader
        self._commit = commit
        self._in_thread = in_thread
        self._hidden = hidden
        self._log = log

    async def of_account(self, account: Address, limit: int) -> Sequence[Entry]:
        found: Sequence[Entry] = await self._in_thread(self._reader.of_account, str(account), limit, self._hidden())
        return [entry for entry in found if entry.id not in self._hidden()]

    async def drop(self, id: str, account: Address, at: float) -> int:
        if id in self._hidden():
            return 0
        deed = Deed(DROP, str(account), at, own=True)
        order = Order(deed, id, Selection(account=deed.by, states=WAITING))
        try:
            await self._commit.join(lambda batch: batch.orders.append(order))
        finally:
            if order.changed.ids:  # though it may not be durable
                self._log.event(id, what=words(deed), by=deed.by)
        return order.changed.recipients
