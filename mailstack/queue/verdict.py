"""What an attempt comes to: a result for each recipient, and a line in the log."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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
        for each, result in zip(tried, results, strict=True):
            self._note(due, each, outcomes[each.number], result, started)
        return results

    def _judge(self, letter: Letter, pending: Pending, outcome: Outcome, now: float) -> Result:
        result = partial(Result, pending.number, reply=outcome.reply, relay=outcome.relay, at=now)
        if isinstance(outcome, Delivered):
            return result(state=_success(letter, pending.recipient, outcome))
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

    def _note(self, due: Due, pending: Pending, outcome: Outcome, result: Result, started: float) -> None:
        """The line that pflogsumm and the postmaster look for. ``delays``: receiving, waiting, connecting, sending."""
        if result.waits and pending.attempts:
            return  # as the log has it already
        address, original = pending.recipient.address, pending.recipient.original
        arrived = due.letter.arrived
        entered = arrived if due.entered is None else due.entered
        times = (entered - arrived, started - entered, outcome.setup, self._now() - started - outcome.setup)
        self._log.event(
            due.letter.id,
            to=path(address),
            orig_to=None if original == address else path(original),
            relay=outcome.relay,
            conn_use=outcome.conn_use if outcome.conn_use > 1 else None,
            delay=_seconds(sum(times)),
            delays="/".join(map(_seconds, times)),
            dsn=result.reply.full_status,
            status=f"{_STATUS.get(result.state, result.state)} ({_words(result.reply)})",
        )


def _success(letter: Letter, recipient: Recipient, outcome: Delivered) -> str:
    """``sent``, unless the sender is to hear of it, and from us: RFC 3461 §5.2.2, §5.2.3."""
    told = recipient.reports_success and letter.sender is not None and outcome.action
    return outcome.action if told else "sent"


def _words(reply: Reply) -> str:
    """As a server has said them; of a letter that no server has heard of, Postfix's words alone."""
    return reply.text if reply.text.startswith(SUSPENDED) else str(reply)


def _seconds(interval: float) -> str:
    """As in the log; a clock set back does not make it negative."""
    return f"{max(0.0, interval):.2f}"
