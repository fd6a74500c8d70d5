"""After an attempt: does the sender have to be told? RFC 3464 reports, at most one a letter and moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mailstack.interfaces import IEventLog, IIncoming, ISpool, Result
from mailstack.message.report import Fate, Occasion, delay_report, failure_report
from mailstack.model.address import Address, path
from mailstack.model.letter import Due, Letter, Recipient
from mailstack.model.outcome import Delayed
from mailstack.queue.mailer import Mailer
from mailstack.queue.schedule import Schedule

#: Octets of the original that a report quotes at most.
MAX_QUOTED = 50_000

Write = Callable[[Occasion, Sequence[Fate], bytes], bytes]


class Reporter:
    def __init__(
        self,
        spool: ISpool,
        mailer: Mailer,
        schedule: Schedule,
        postmaster: Address,
        log: IEventLog,
        now: Callable[[], float],
    ) -> None:
        self._spool = spool
        self._mailer = mailer
        self._schedule = schedule
        self._postmaster = postmaster
        self._log = log
        self._now = now

    async def report(self, due: Due, results: Sequence[Result], wake: Callable[[Letter], None]) -> None:
        """Tell of failures that nobody was told of, and of a delay when its time has come."""
        letter, warned = due.letter, due.warned
        if due.unreported or any(result.state == "bounced" for result in results):
            failed = [Fate(recipient, outcome) for recipient, outcome in await self._spool.failures(letter.id)]
            if failed:  # or the administrator has dropped it
                await self._send(letter, failed, failure_report, warned, wake)
        delayed = [
            Fate(letter.recipients[result.number], Delayed(result.reply, result.relay))
            for result in results
            if result.state == "deferred"
        ]
        if not delayed or letter.sender is None:
            return
        earned = self._schedule.warnings(letter.arrived, self._now())
        if earned > warned:
            await self._send(letter, delayed, delay_report, earned, wake)

    async def _send(
        self, letter: Letter, fates: Sequence[Fate], write: Write, warned: int, wake: Callable[[Letter], None]
    ) -> None:
        try:
            report, content = self._compose(letter, fates, write)
            # The report is durable before the mark that it was made: it may come twice, but is never lost.
            await self._spool.report(letter.id, report, content, warned)
        except OSError as error:
            # What bounced stays bounced and not reported, and so due: the next sweep comes back here.
            self._log.warn(letter.id, what=f"cannot write the report to the sender yet: {error}")
            return
        if report is not None:
            kind = "delay warning" if write is delay_report else "non-delivery notification"
            self._log.event(letter.id, what=f"sender {kind}: {report.id}")
            wake(report)

    def _compose(self, letter: Letter, fates: Sequence[Fate], write: Write) -> tuple[Letter | None, IIncoming | None]:
        recipients = self._recipients(letter)
        if not recipients:
            return None, None
        now = self._now()
        until = letter.arrived + self._schedule.lifetime(bounce=False)
        start = self._start_of(letter)

        def message(id: str) -> bytes:
            return write(Occasion(id, self._mailer.hostname, self._postmaster, letter, now, until), fates, start)

        return self._mailer.compose(recipients, message, now)

    def _recipients(self, letter: Letter) -> tuple[Recipient, ...]:
        if letter.sender is None:
            # RFC 5321 §6.1: nobody is left to be told, and a bounce of a bounce would never end.
            self._log.warn(letter.id, what="a bounce that cannot be delivered is dropped")
            return ()
        recipients = self._mailer.recipients(letter.sender)
        if not recipients:
            self._log.warn(letter.id, what=f"nobody to report to: {path(letter.sender)} does not exist here")
        return recipients

    def _start_of(self, letter: Letter) -> bytes:
        try:
            with self._spool.open(letter.id) as file:
                file.seek(letter.relay_offset)
                return file.read(MAX_QUOTED)
        except OSError:
            return b""
