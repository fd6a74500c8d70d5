"""Letters whose senders may have to be told: one report for each letter and moment."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailstack.interfaces.log import IEventLog
from mailstack.model.letter import Due, Letter
from mailstack.queue.active import Active
from mailstack.queue.report import Reporter

#: Seconds for which what there is to tell waits for other parts of the letter, which may have more to tell.
GATHER = 60.0


class Telling:
    """The letters in memory, by id: each stays until all its parts have ended and its sender knows what there is."""

    def __init__(
        self,
        reporter: Reporter,
        log: IEventLog,
        clock: IReactorTime,
        wake: Callable[[Letter], None],
        follow: Callable[[Deferred[None]], None],
    ) -> None:
        """``wake`` is for reports; ``follow`` is told of all work that a stop has to wait for."""
        self._reporter = reporter
        self._log = log
        self._clock = clock
        self._wake = wake
        self._follow = follow
        self._later: dict[Active, IDelayedCall] = {}
        self.letters: dict[str, Active] = {}

    def of(self, due: Due) -> Active:
        active = self.letters.get(due.letter.id)
        if active is None:
            active = self.letters[due.letter.id] = Active.of(due)
        return active

    def consider(self, active: Active) -> None:
        """A part has ended, or there was none: tell, wait, or let go."""
        if active.telling:
            return
        if active.dropped:
            active.untold.clear()
            active.unreported = False
        news = active.unreported or any(result.state != "sent" for result in active.untold)
        if not active.keys:
            if news:
                self._tell(active)
            elif self.letters.get(active.letter.id) is active:
                del self.letters[active.letter.id]
        elif news and active not in self._later:
            self._later[active] = self._clock.callLater(GATHER, self._tell, active)

    def _tell(self, active: Active) -> None:
        if (timer := self._later.pop(active, None)) is not None and timer.active():
            timer.cancel()
        if not active.telling:
            active.telling = True
            self._follow(Deferred.fromCoroutine(self._report(active)))

    def stop(self) -> None:
        """What was to be told is found at the next start."""
        for timer in self._later.values():
            if timer.active():
                timer.cancel()
        self._later.clear()

    async def _report(self, active: Active) -> None:
        due = Due(active.letter, (), warned=active.warned, unreported=active.unreported)
        results, active.untold, active.unreported = active.untold, [], False
        try:
            await self._reporter.report(due, results, self._wake)
        except CancelledError:
            pass
        except Exception as error:
            self._log.failure(active.letter.id, repr(error))
        active.telling = False
        self.consider(active)
