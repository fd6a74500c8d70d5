"""Letters whose file or rows are damaged are taken out of the queue: on hold, and told of.

What has just been accepted is not looked at. All else is, before it is delivered, relayed or returned: a disk, or
somebody, may have changed it since.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from attrs import define, field

from mailstack.interfaces.log import IEventLog
from mailstack.model.letter import Letter
from mailstack.spool.batch import Batch
from mailstack.spool.commit import InThread
from mailstack.spool.content import fault
from mailstack.spool.files import Files

TOGETHER = 1 << 20  #: octets read in one call of the disk's thread, so that syncs need not wait for many
ROWS = "what the queue database says of it makes no sense"


Join = Callable[[Callable[[Batch], object]], Awaitable[None]]


@define
class Custody:
    files: Files
    in_thread: InThread
    seconds: Callable[[], float]  #: of a clock
    log: IEventLog
    #: told of each letter once, by id: what is wrong
    on_damage: Callable[[Mapping[str, str]], object] = lambda faults: None
    _told: set[str] = field(init=False, factory=set)

    async def faults(self, letters: Iterable[Letter]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        now = self.seconds()
        stale = [letter for letter in letters if not self.files.is_fresh(letter.id, now)]
        for group in _groups(stale):
            found |= await self.in_thread(self._look, group)
        return found

    def _look(self, letters: Sequence[Letter]) -> dict[str, str]:
        looked = {each.id: fault(self.files.path(each.id), each.size, each.checksum) for each in letters}
        return {id: f"its file {wrong}" for id, wrong in looked.items() if wrong}

    async def quarantine(self, join: Join, faults: Mapping[str, str]) -> None:
        await join(lambda batch: batch.quarantined.extend(faults.items()))
        new = {id: wrong for id, wrong in faults.items() if id not in self._told}
        self._told.update(new)
        for id, wrong in new.items():
            self.log.warn(id, what=f"damaged: {wrong}; on hold, see: mailstack queue fsck")
        if new:
            self.on_damage(new)


def _groups(letters: Sequence[Letter]) -> list[list[Letter]]:
    """Small ones together."""
    groups: list[list[Letter]] = []
    octets = TOGETHER
    for letter in letters:
        if octets + letter.size > TOGETHER:
            groups.append([])
            octets = 0
        groups[-1].append(letter)
        octets += letter.size
    return groups
