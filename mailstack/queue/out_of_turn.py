"""An attempt that somebody has asked for, by a way of their own: mail that is fetched (ATRN)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError

from mailstack.interfaces.delivery import ITransport, Outcomes
from mailstack.interfaces.spool import ISpool, Result
from mailstack.model.letter import Due
from mailstack.queue.active import Part
from mailstack.queue.attempts import Attempts
from mailstack.queue.lines import Line, Lines
from mailstack.queue.telling import Telling
from mailstack.queue.transports import Transports


@frozen
class OutOfTurn:
    """Beside the lines, but not beside an attempt at the same letter. The last three are those of :class:`.Work`."""

    spool: ISpool
    transports: Transports
    lines: Lines
    telling: Telling
    attempts: Attempts
    now: Callable[[], float]
    settle: Callable[[Sequence[Part], Sequence[Outcomes | None], float], Awaitable[None]]
    release: Callable[[Part, Sequence[Result]], None]
    leave: Callable[[Line, str], None]

    async def __call__(self, id: str, domains: Sequence[str], transport: ITransport) -> None:
        """One attempt at what a letter has for these domains, if none of it is here already."""
        ways = self.transports
        lines = {self.lines.open(ways.destination(domain), ways.terms(domain)) for domain in domains}
        if any(id in line.ids for line in lines):
            for line in lines:
                self.lines.close(line)
            return
        # Here before it is looked up: so whatever else may take it either has ended before, or does not begin.
        for line in lines:
            self.lines.mark(line, id)
        try:
            await self._attempt(id, domains, transport)
        finally:
            for line in lines:
                self.leave(line, id)

    async def _attempt(self, id: str, domains: Sequence[str], transport: ITransport) -> None:
        """Those who have no turn in one transaction have the next one. It is asked anew who they are: the administrator
        may have held or dropped them meanwhile."""
        served = set[int]()
        while (due := await self.spool.ahead_of_time(id, domains)) and due.letter.not_before <= self.now():
            left = tuple(each for each in due.pending if each.number not in served)
            outcomes = await self._transact(evolve(due, pending=left), domains, transport) if left else {}
            if not outcomes:
                return
            served.update(outcomes)

    async def _transact(self, due: Due, domains: Sequence[str], transport: ITransport) -> Outcomes:
        """What it comes to, and is recorded; nothing, if nothing has happened."""
        # No line is called so: what is left goes into none.
        part = Part(self.telling.of(due), due, key=f"out of turn: {' '.join(domains)}")
        part.active.keys.add(part.key)
        started = self.now()
        try:
            (outcomes,) = await self.attempts.outcomes(transport, [due])
        except CancelledError:
            self.release(part, [])
            return {}
        await self.settle([part], [outcomes], started)
        return outcomes or {}
