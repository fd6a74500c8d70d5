"""For those whose mail waits here: ETRN starts it, ATRN hands it over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from zope.interface import implementer

from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool
from mailstack.interfaces.waiting import Errand, ILine, ITurn, IWaitingMail

PAUSE = 60.0  # seconds between two starts for one domain, or anybody could keep us busy with a dead host

OutOfTurn = Callable[[str, Sequence[str], ILine], Awaitable[None]]


@implementer(IWaitingMail)
class WaitingMail:
    """``run`` makes the queue look, ``out_of_turn`` attempts one letter on a line that ``lines`` makes; ``seconds``
    only counts."""

    def __init__(
        self,
        spool: ISpool,
        run: Callable[[], None],
        out_of_turn: OutOfTurn,
        lines: Callable[[Errand], ILine],
        log: IEventLog,
        seconds: Callable[[], float],
    ) -> None:
        self._spool = spool
        self._run = run
        self._out_of_turn = out_of_turn
        self._lines = lines
        self._log = log
        self._seconds = seconds
        self._started: dict[tuple[str, bool], float] = {}

    async def start(self, domain: str, subdomains: bool) -> int | None:
        key, moment = (domain, subdomains), self._seconds()
        if moment - self._started.get(key, -PAUSE) < PAUSE:
            return None
        # With its sub-domains, the domain is started too; but not the other way round.
        self._started |= {key: moment, (domain, False): moment}
        try:
            count = await self._spool.hasten(domain, subdomains)
        except OSError:
            # Another start of the domain may have failed meanwhile, and has taken both away.
            for failed in (key, (domain, False)):
                self._started.pop(failed, None)
            raise
        self._log.event("queue", what=f"started for {'@' * subdomains}{domain}, letters={count}")
        if count:
            self._run()
        return count

    async def fetch(self, domains: Sequence[str]) -> ITurn | None:
        ids = await self._spool.waiting(domains)
        if not ids:
            return None
        return self._lines(partial(self._hand_over, domains, ids))

    async def _hand_over(self, domains: Sequence[str], ids: Sequence[str], line: ILine) -> None:
        """One after the other; those that are not reached stay as they are."""
        if await line.opened():
            self._log.event("queue", what=f"handing over to {', '.join(domains)}, letters={len(ids)}")
            for id in ids:
                await self._out_of_turn(id, domains, line)
                if not line.usable():
                    break
        line.quit()
        # Of these letters, recipients elsewhere may have come due.
        self._run()
