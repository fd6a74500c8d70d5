"""What an attempt comes to: a result for each recipient, and a line in the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from random import Random

from mailstack.interfaces.delivery import Outcomes
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import Result
from mailstack.model.address import path
from mailstack.model.letter import Due, Letter, Pending, Recipient
from mailstack.model.outcome import Delivered, Failed, Outcome, Waits
from mailstack.model.reply import Reply
from mailstack.queue.destination import SUSPENDED
from mailstack.queue.transports import Terms

#: Postfix's words for states that say more.
_STATUS = {"reported": "bounced", "delivered": "sent", "relayed": "sent"}
_DELAYS = "%.2f/%.2f/%.2f/%.2f"
Fields = Mapping[str, object]


class Verdict:
    """``terms`` are those of a domain; ``now`` is Unix time, of which the schedule is made; ``rng`` is for its
    jitter."""

    def __init__(self, terms: Callable[[str], Terms], log: IEventLog, now: Callable[[], float], rng: Random) -> None:
        self._terms = terms
        self._log = log
        self._now = now
        self._rng = rng

    def results(self, due: Due, outcomes: Outcomes, started: float) -> list[Result]:
        """``started`` is the time at which the attempt began. Who has no outcome had no turn in it."""
        now = self._now()
        tried = [each for each in due.pending if each.number in outcomes]
        results = [self._judge(due.letter, each, outcomes[each.number], now) for each in tried]
        self._tell(due, tried, outcomes, results, started)
        return results

    def _judge(self, letter: Letter, pending: Pending, outcome: Outcome, now: float) -> Result:
        if isinstance(outcome, Delivered):
            state = _success(letter, pending.recipient, outcome)
            return Result(pending.number, state, outcome.reply, outcome.relay, at=now)
        result = partial(Result, pending.number, reply=outcome.reply, relay=outcome.relay, at=now)
        failure = "bounced" if pending.recipient.reports_failure else "reported"
        if isinstance(outcome, Failed):
            return result(state=failure)
        waits = isinstance(outcome, Waits)
        # An attempt that calls nobody only looks whether the route is another one now.
        schedule = self._terms(pending.recipient.address.domain).schedule
        attempt = schedule.slowest if waits else pending.attempts + 1
        following = schedule.next_attempt(
            letter.released, letter.sender is None, attempt, now, self._rng.random(), pending.planned
        )
        if following is None:
            self._log.event(letter.id, from_=path(letter.sender), status="expired, returned to sender")
            reply = outcome.expired if isinstance(outcome, Waits) else outcome.reply
            return result(state=failure, reply=reply)
        return result(state="deferred", next_attempt=following, waits=waits)

    def _tell(
        self, due: Due, tried: Sequence[Pending], outcomes: Outcomes, results: Sequence[Result], started: float
    ) -> None:
        """A line for each recipient. What is the same for several in a row is put into words once."""
        told = [
            (each.recipient, (outcomes[each.number], result.state, result.reply))
            for each, result in zip(tried, results, strict=True)
            if not (result.waits and each.attempts)  # as the log has it already
        ]
        for (outcome, state, reply), group in groupby(told, itemgetter(1)):
            self._note(due, [_to(recipient) for recipient, _ in group], outcome, state, reply, started)

    def _note(
        self, due: Due, several: Sequence[Fields], outcome: Outcome, state: str, reply: Reply, started: float
    ) -> None:
        """Lines that pflogsumm and the postmaster look for. ``delays``: receiving, waiting, connecting, sending."""
        arrived = due.letter.arrived
        entered = arrived if due.entered is None else due.entered
        times = [entered - arrived, started - entered, outcome.setup, self._now() - started - outcome.setup]
        if min(times) < 0:  # the clock was set back
            times = [max(0.0, each) for each in times]
        self._log.each(
            due.letter.id,
            several,
            relay=outcome.relay,
            conn_use=outcome.conn_use if outcome.conn_use > 1 else None,
            delay=f"{sum(times):.2f}",
            delays=_DELAYS % tuple(times),
            dsn=reply.full_status,
            status=f"{_STATUS.get(state, state)} ({_words(reply)})",
        )


def _to(recipient: Recipient) -> Fields:
    address, original = recipient.address, recipient.original
    return {"to": path(address), "orig_to": None if original == address else path(original)}


def _success(letter: Letter, recipient: Recipient, outcome: Delivered) -> str:
    """``sent``, unless the sender is to hear of it, and from us: RFC 3461 §5.2.2, §5.2.3."""
    told = recipient.reports_success and letter.sender is not None and outcome.action
    return outcome.action if told else "sent"


def _words(reply: Reply) -> str:
    """As a server has said them; of a letter that no server has heard of, Postfix's words alone."""
    return reply.text if reply.text.startswith(SUSPENDED) else str(reply)
