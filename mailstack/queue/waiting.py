"""For those whose mail waits here: ETRN starts it."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from mailstack.interfaces import IEventLog, ISpool, IWaitingMail

PAUSE = 60.0  # seconds between two starts for one domain, or anybody could keep us busy with a dead host


@implementer(IWaitingMail)
class WaitingMail:
    """``run`` makes the queue look; ``now`` is Unix time, ``seconds`` only counts."""

    def __init__(
        self,
        spool: ISpool,
        run: Callable[[], None],
        log: IEventLog,
        now: Callable[[], float],
        seconds: Callable[[], float],
    ) -> None:
        self._spool = spool
        self._run = run
        self._log = log
        self._now = now
        self._seconds = seconds
        self._started: dict[tuple[str, bool], float] = {}

    async def start(self, domain: str, subdomains: bool) -> int | None:
        key, moment = (domain, subdomains), self._seconds()
        if key in self._started and moment - self._started[key] < PAUSE:
            return None
        self._started[key] = moment
        try:
            count = await self._spool.hasten(domain, subdomains, self._now())
        except OSError:
            del self._started[key]
            raise
        self._log.event("queue", what=f"started for {'@' * subdomains}{domain}: {count} letters")
        if count:
            self._run()
        return count
