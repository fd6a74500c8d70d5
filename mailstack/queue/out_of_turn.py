"""An attempt that somebody has asked for, by a way of their own: mail that is fetched (ATRN)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from attrs import frozen
from twisted.internet.defer import CancelledError

from mailstack.interfaces.delivery import ITransport, Outcomes
from mailstack.interfaces.spool import ISpool, Result
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
        due = await self.spool.ahead_of_time(id, domains)
        if due is None or due.letter.not_before > self.now():
            return
        part = Part(self.telling.of(due), due, key=" ".join(domains))
        part.active.keys.add(part.key)
        started = self.now()
        try:
            outcomes = await self.attempts.outcomes(transport, [due])
        except CancelledError:
            self.release(part, [])
            return
        await self.settle([part], outcomes, started)
