"""The letters in memory, and the senders who may have to be told of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred

from mailstack.interfaces.delivery import Outcomes
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import Result
from mailstack.model.address import path
from mailstack.model.letter import Due, Letter
from mailstack.queue.active import Active, Part
from mailstack.queue.report import Reporter


class Telling:
    """Each letter stays until all its parts have ended, and what there was to tell of them is told."""

    def __init__(
        self,
        reporter: Reporter,
        log: IEventLog,
        wake: Callable[[Letter], None],
        follow: Callable[[Deferred[None]], object],
    ) -> None:
        """``wake`` is for reports; ``follow`` is told of all work that a stop has to wait for."""
        self._reporter = reporter
        self._log = log
        self._wake = wake
        self._follow = follow
        self.letters: dict[str, Active] = {}  #: by id

    def of(self, due: Due) -> Active:
        active = self.letters.get(due.letter.id)
        if active is None:
            active = self.letters[due.letter.id] = Active.of(due)
        return active

    def at_work(self, id: str) -> bool:
        """Whether something of a letter waits for its turn, is attempted, or is being recorded."""
        return id in self.letters and bool(self.letters[id].keys)

    def consider(self, active: Active, results: Sequence[Result] = ()) -> None:
        """A part has ended with these results, or there was none: tell, and let go of what is done with. That several
        parts are told of together is the reporter's business."""
        # A report may be waiting for the other parts: the last one has to say that it has ended, however it has.
        unreported, active.unreported = active.unreported or (active.telling > 0 and not active.keys), False
        if not active.dropped and (unreported or any(result.state != "sent" for result in results)):
            active.telling += 1
            self._follow(Deferred.fromCoroutine(self._report(active, results, unreported)))
        self._let_go(active)

    def _let_go(self, active: Active) -> None:
        if not (active.keys or active.telling) and self.letters.get(active.letter.id) is active:
            del self.letters[active.letter.id]

    async def _report(self, active: Active, results: Sequence[Result], unreported: bool) -> None:
        due = Due(active.letter, (), warned=active.warned, unreported=unreported)
        try:
            await self._reporter.report(due, results, self._wake)
        except CancelledError:
            pass
        except Exception as error:
            self._log.failure(active.letter.id, repr(error))
        active.telling -= 1
        self._let_go(active)

    def log_outlived(self, part: Part, outcomes: Outcomes) -> None:
        """What an attempt came to that went on while its letter was dropped: only the log is told."""
        for each in part.due.pending:
            outcome = outcomes.get(each.number)
            said = None if outcome is None else str(outcome.reply)
            to = path(each.recipient.address)
            self._log.event(part.id, what="was dropped during an attempt: nobody is told", to=to, note=said)

    def take_up(self) -> bool:
        """Whether something could not be told, which is to be tried again; asked once each time."""
        put_off, self._reporter.put_off = self._reporter.put_off, False
        return put_off

    def stop(self) -> None:
        """Nobody is waited for any more."""
        self._reporter.hurry()
