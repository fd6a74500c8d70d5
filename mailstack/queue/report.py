"""After an attempt: does the sender have to be told? RFC 3464 reports, at most one a letter and moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import IIncoming, ISpool, Lagging, Result
from mailstack.message.report import MAX_RETURNED, status_report
from mailstack.message.report_occasion import Fate, Occasion
from mailstack.message.voice import Voice
from mailstack.model.address import Address, path
from mailstack.model.letter import Due, Letter, Recipient
from mailstack.queue.gathering import Gathering
from mailstack.queue.mailer import Mailer
from mailstack.queue.schedule import Schedule

#: Seconds to wait for other recipients of a letter that are being tried at this moment, or are in line.
GATHER = 10.0

#: Of several actions the gravest names the report in the log, in Postfix's words.
_KINDS = {
    "failed": "sender non-delivery notification",
    "delayed": "sender delay warning",
    "delivered": "sender delivery status notification",
    "relayed": "sender delivery status notification",
    "expanded": "sender delivery status notification",
}

Wake = Callable[[Letter], None]
#: Until when a recipient of a letter is tried, Unix time; None: it waits to be fetched, which is no delay.
Until = Callable[[Letter, Recipient], float | None]


@define
class Reporter:
    spool: ISpool
    mailer: Mailer
    schedule: Schedule
    until: Until
    voice: Callable[[], Voice]
    postmaster: Address
    log: IEventLog
    now: Callable[[], float]
    clock: IReactorTime
    _gathering: dict[str, Gathering] = field(init=False, factory=dict)
    _refused: set[str] = field(init=False, factory=set)  #: letters whose reports the disk has not taken
    put_off: bool = field(init=False, default=False)  #: some report could not be written
    _hurried: bool = field(init=False, default=False)

    async def report(self, due: Due, results: Sequence[Result], wake: Wake) -> None:
        """Tell of what nobody was told of, and of a delay when its time has come. While other recipients of the letter
        are being tried, that waits for them, up to ``GATHER`` seconds; what it comes to is in the spool meanwhile."""
        letter = due.letter
        if not self._concerns(due, results):
            return
        try:
            await self._join(letter, wake)
            self._refused.discard(letter.id)
        except OSError as error:
            # What was not reported stays so, and so due: a sweep comes back here.
            self.put_off = True
            if letter.id not in self._refused:
                self._refused.add(letter.id)
                self.log.warn(letter.id, what=f"cannot write the report to the sender yet: {error}")

    async def _join(self, letter: Letter, wake: Wake) -> None:
        gathering = self._gathering.get(letter.id)
        if gathering is not None:
            gathering.again = True
            if not await self._more_to_come(letter.id):
                gathering.end()
            return
        gathering = self._gathering[letter.id] = Gathering(self.clock)
        try:
            await self._gather(gathering, letter, wake)
        finally:
            del self._gathering[letter.id]

    def hurry(self) -> None:
        """The server stops: wait for nobody, from now on."""
        self._hurried = True
        for gathering in list(self._gathering.values()):
            gathering.end()

    def _concerns(self, due: Due, results: Sequence[Result]) -> bool:
        """Without a look at the spool, for most attempts have nothing to tell."""
        if due.unreported or any(result.state not in ("sent", "deferred", "reported") for result in results):
            return True
        delayed = any(result.state == "deferred" and not result.waits for result in results)
        return delayed and due.letter.sender is not None and self._earned(due.letter) > due.warned

    def _earned(self, letter: Letter) -> int:
        return self.schedule.warnings(letter.released, self.now())

    async def _more_to_come(self, id: str) -> bool:
        return (await self.spool.lagging(id, self.now())).trying

    async def _gather(self, gathering: Gathering, letter: Letter, wake: Wake) -> None:
        gathering.again = True
        while gathering.again:
            if not self._hurried and await self._more_to_come(letter.id):
                await gathering.wait(GATHER)
            gathering.again = False
            await self._tell(letter, wake)

    async def _tell(self, letter: Letter, wake: Wake) -> None:
        untold = await self.spool.unreported(letter.id)
        lagging = await self.spool.lagging(letter.id, self.now())
        final = [Fate(letter.recipients[number], outcome) for number, outcome in untold.items()]
        delayed = self._delayed(letter, lagging)
        if final or delayed:  # or the administrator has dropped it, or another part of it was told of before
            warned = self._earned(letter) if delayed else lagging.warned
            await self._send(letter, [*final, *delayed], tuple(untold), warned, wake)

    def _delayed(self, letter: Letter, lagging: Lagging) -> list[Fate]:
        """All that have to wait, also those whose turn is not now: this is the one warning for a while."""
        if letter.sender is None or self._earned(letter) <= lagging.warned:
            return []
        late = [(letter.recipients[number], outcome) for number, outcome in lagging.late.items()]
        fates = [Fate(one, outcome, self.until(letter, one)) for one, outcome in late if one.reports_delay]
        return [fate for fate in fates if fate.until is not None]

    async def _send(self, letter: Letter, fates: Sequence[Fate], told: Sequence[int], warned: int, wake: Wake) -> None:
        """``told`` are the numbers of those whose fate is final with it."""
        report, content = self._compose(letter, fates, await self._start_of(letter))
        # The report is durable before the mark that it was made: it may come twice, but is never lost.
        await self.spool.report(letter.id, told, report, content, warned)
        if report is not None:
            kind = next(kind for action, kind in _KINDS.items() if any(fate.action == action for fate in fates))
            self.log.event(letter.id, what=f"{kind}: {report.id}")
            wake(report)

    def _compose(
        self, letter: Letter, fates: Sequence[Fate], original: bytes
    ) -> tuple[Letter | None, IIncoming | None]:
        recipients = self._recipients(letter)
        if not recipients:
            return None, None
        now = self.now()

        def message(id: str) -> bytes:
            occasion = Occasion(id, self.mailer.hostname, self.postmaster, letter, now)
            return status_report(self.voice(), occasion, fates, original)

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

    async def _start_of(self, letter: Letter) -> bytes:
        """Nothing of a file that is damaged: what stands there now may be somebody else's."""
        try:
            if await self.spool.faults([letter]):
                return b""
            with self.spool.open(letter.id) as file:
                file.seek(letter.relay_offset)
                return file.read(MAX_RETURNED + 1)
        except OSError:
            return b""
