"""After an attempt: does the sender have to be told? RFC 3464 reports, at most one a letter and moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import IIncoming, ISpool, Result
from mailstack.message.report import octets_wanted, status_report
from mailstack.message.report_occasion import Fate, Occasion
from mailstack.model.address import Address, path
from mailstack.model.letter import Due, Letter, Recipient
from mailstack.model.outcome import Delayed
from mailstack.queue.mailer import Mailer
from mailstack.queue.schedule import Schedule

#: Of several actions the gravest names the report in the log, in Postfix's words.
_KINDS = {
    "failed": "sender non-delivery notification",
    "delayed": "sender delay warning",
    "delivered": "sender delivery status notification",
    "relayed": "sender delivery status notification",
    "expanded": "sender delivery status notification",
}

Wake = Callable[[Letter], None]


@frozen
class Reporter:
    spool: ISpool
    mailer: Mailer
    schedule: Schedule
    postmaster: Address
    log: IEventLog
    now: Callable[[], float]

    async def report(self, due: Due, results: Sequence[Result], wake: Wake) -> None:
        """Tell of what nobody was told of, and of a delay when its time has come."""
        letter, warned = due.letter, due.warned
        if due.unreported or any(result.state not in ("sent", "deferred", "reported") for result in results):
            untold = await self.spool.unreported(letter.id)
            fates = [Fate(letter.recipients[number], outcome) for number, outcome in untold.items()]
            if fates:  # or the administrator has dropped it
                await self._send(letter, fates, tuple(untold), warned, wake)
        late = [
            (letter.recipients[each.number], each) for each in results if each.state == "deferred" and not each.waits
        ]
        delayed = [Fate(one, Delayed(each.reply, each.relay)) for one, each in late if one.reports_delay]
        if not delayed or letter.sender is None:
            return
        earned = self.schedule.warnings(letter.released, self.now())
        if earned > warned:
            await self._send(letter, delayed, (), earned, wake)

    async def _send(self, letter: Letter, fates: Sequence[Fate], told: Sequence[int], warned: int, wake: Wake) -> None:
        """``told`` are the numbers of those whose fate is final with it."""
        try:
            report, content = self._compose(letter, fates)
            # The report is durable before the mark that it was made: it may come twice, but is never lost.
            await self.spool.report(letter.id, told, report, content, warned)
        except OSError as error:
            # What was not reported stays so, and so due: the next sweep comes back here.
            self.log.warn(letter.id, what=f"cannot write the report to the sender yet: {error}")
            return
        if report is not None:
            kind = next(kind for action, kind in _KINDS.items() if any(fate.action == action for fate in fates))
            self.log.event(letter.id, what=f"{kind}: {report.id}")
            wake(report)

    def _compose(self, letter: Letter, fates: Sequence[Fate]) -> tuple[Letter | None, IIncoming | None]:
        recipients = self._recipients(letter)
        if not recipients:
            return None, None
        now = self.now()
        until = letter.released + self.schedule.lifetime(bounce=False)

        def message(id: str) -> bytes:
            occasion = Occasion(id, self.mailer.hostname, self.postmaster, letter, now, until)
            return status_report(occasion, fates, self._start_of(letter, octets_wanted(occasion, fates)))

        # RFC 8689 §5: the report is protected as the letter was, as far as that can be.
        return self.mailer.compose(recipients, message, now, require_tls=letter.require_tls)

    def _recipients(self, letter: Letter) -> tuple[Recipient, ...]:
        if letter.sender is None:
            # RFC 5321 §6.1: nobody is left to be told, and a bounce of a bounce would never end.
            self.log.warn(letter.id, what="a bounce that cannot be delivered is dropped")
            return ()
        recipients = self.mailer.recipients(letter.sender)
        if not recipients:
            self.log.warn(letter.id, what=f"nobody to report to: {path(letter.sender)} does not exist here")
        return recipients

    def _start_of(self, letter: Letter, octets: int) -> bytes:
        try:
            with self.spool.open(letter.id) as file:
                file.seek(letter.relay_offset)
                return file.read(octets)
        except OSError:
            return b""
