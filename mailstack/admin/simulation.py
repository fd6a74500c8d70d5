"""The queue at work on one letter, with the server's own code, on a clock that is turned forward.

Only the spool is one in memory, and the way out a script: it answers, or it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from random import Random
from time import monotonic, time
from zlib import crc32

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from mailstack.accounts.directory import Directory
from mailstack.admin.quiet_log import QuietLog
from mailstack.config.settings import Settings
from mailstack.delivery.remote import WAITS
from mailstack.delivery.route import FETCH, destination
from mailstack.interfaces.delivery import ITransport, Outcomes
from mailstack.interfaces.spool import IIncoming
from mailstack.model.address import Address
from mailstack.model.ids import Ids
from mailstack.model.letter import Due, Letter, Recipient
from mailstack.model.outcome import Delayed, Delivered, Outcome
from mailstack.model.reply import Reply
from mailstack.outbound import dispatcher
from mailstack.queue.dispatch import Dispatcher
from mailstack.queue.mailer import Mailer
from mailstack.queue.schedule import RETURN, TRY, WARNING
from mailstack.queue.wording import Voices
from mailstack.spool.memory import MemorySpool

NOTE, DELIVERED = "note", "delivered"

_SILENCE = Reply(451, "4.4.1", "No answer")
_TAKEN = Reply(250, "2.0.0", "Ok")
_CONTENT = b"Subject: a simulation\n\n"


@frozen
class Step:
    at: float  #: Unix time
    event: str  #: TRY, WARNING, RETURN, DELIVERED or NOTE
    text: str


@frozen
class Question:
    sender: Address | None
    recipient: Address
    down: float = inf  #: seconds, from the letter's arrival on, in which the destination does not answer


@frozen
class _Log(QuietLog):
    """What would be a warning about the letter is worth a line."""

    id: str
    note: Callable[[str, str], None]

    def warn(self, id: str, **fields: object) -> None:
        if id == self.id:
            self.note(NOTE, str(fields.get("what", "")))

    def failure(self, id: str, note: str) -> None:
        raise RuntimeError(f"{id}: {note}")


class _Spool(MemorySpool):
    """Sees what the sender of the letter is told."""

    def __init__(self, id: str, note: Callable[[str, str], None]) -> None:
        super().__init__()
        self._id = id
        self._note = note

    async def report(
        self, id: str, told: Sequence[int], bounce: Letter | None, content: IIncoming | None, warned: int
    ) -> None:
        if id == self._id and bounce is not None:
            self._note(RETURN if told else WARNING, "report to the sender" if told else "to the sender")
        await super().report(id, told, bounce, content, warned)


@implementer(ITransport)
@frozen
class _Script:
    """Answers for the destination of one letter; whatever else is sent arrives."""

    id: str
    outcome: Callable[[], Outcome]
    note: Callable[[str, str], None]

    async def deliver(self, dues: Sequence[Due]) -> Sequence[Outcomes | None]:
        return [{each.number: self._attempt(due) for each in due.pending} for due in dues]

    def _attempt(self, due: Due) -> Outcome:
        if due.letter.id != self.id:
            return Delivered(_TAKEN, "simulation")
        outcome = self.outcome()
        self.note(DELIVERED if isinstance(outcome, Delivered) else TRY, str(outcome.reply))
        return outcome


class Simulation:
    """``start`` is the Unix time at which the letter arrives; ``rng`` is for the schedule's jitter."""

    def __init__(self, settings: Settings, question: Question, start: float, rng: Random) -> None:
        self._clock = Clock()
        self._clock.advance(start)
        self._back = start + question.down
        self._steps: list[Step] = []
        new_id = Ids(self._clock.seconds, rng.getrandbits)
        self._letter = _letter(new_id(), question, start)
        self._spool = _Spool(self._letter.id, self._note)
        self._log = _Log(self._letter.id, self._note)
        self._directory = Directory(settings, monotonic, time, self._log)
        self._settings = settings
        self.destination = destination(settings, question.recipient.domain)
        self._queue = self._dispatcher(rng, new_id)

    def _dispatcher(self, rng: Random, new_id: Callable[[], str]) -> Dispatcher:
        settings, now, log = self._settings, self._clock.seconds, self._log
        script = _Script(self._letter.id, self._outcome, self._note)
        mailer = Mailer(settings.server.hostname, self._directory, self._spool, new_id)
        voices = Voices(settings.server.language, settings.server.templates, log)
        return dispatcher(
            settings,
            self._spool,
            script,
            script,
            partial(destination, settings),
            mailer,
            lambda: voices.voice,
            log,
            self._clock,
            now,
            rng,
            slow=settings.queue.concurrency,
        )

    def _note(self, event: str, text: str) -> None:
        self._steps.append(Step(self._clock.seconds(), event, text))

    def _outcome(self) -> Outcome:
        if self.destination == FETCH:
            return WAITS
        down = self._clock.seconds() < self._back
        return Delayed(_SILENCE, unreachable=True) if down else Delivered(_TAKEN, "simulation")

    def run(self) -> list[Step]:
        """All that happens to the letter until it is gone."""
        content = self._spool.receive(self._letter.id)
        content.write(_CONTENT)
        Deferred.fromCoroutine(self._spool.add(self._letter, content))
        self._queue.startService()
        self._queue.wake(self._letter)
        while self._letter.id in self._spool.stored:
            self._clock.advance(self._wait())
        self._queue.stopService()
        return self._steps

    def _wait(self) -> float:
        """Seconds until something can happen: as if everybody had slept, for the queue looks around every second."""
        now = self._clock.seconds()
        due = [row.next_attempt for stored in self._spool.stored.values() for row in stored.rows]
        calls = [call.getTime() for call in self._clock.getDelayedCalls()]
        return max(0.0, (min(due) if min(due) > now else min(calls)) - now)


def _letter(id: str, question: Question, start: float) -> Letter:
    return Letter(
        id,
        question.sender,
        (Recipient(question.recipient, question.recipient),),
        start,
        len(_CONTENT),
        _CONTENT.count(b"\n"),
        relay_offset=0,
        eight_bit=False,
        checksum=crc32(_CONTENT),
    )
