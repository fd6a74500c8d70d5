"""The limit on what one account sends strikes: the client, the log and the postmaster are told."""

from __future__ import annotations

from functools import partial

from mailstack.intake.rate import SendingRate
from mailstack.intake.session import Session
from mailstack.message.notice import Excess, excess_notice
from mailstack.model.reply import Reply


def full(session: Session, recipients: int) -> Reply | None:
    """Count more recipients for the user who is logged in; the refusal when the hour is full."""
    charge = session.begun.charge
    if charge is None:
        return None
    now = session.around.now()
    if charge.take(session.visitor.address, now, recipients):
        return None
    session.struck("recipients_per_hour")
    rate = charge.rate
    if rate.earns_line(now):
        session.record.too_much(rate.limit, rate.pause(now))
    if rate.earns_notice(now):
        session.around.notify(partial(excess_notice, _excess(session, rate, now)))
    minutes = int(rate.pause(now) // 60) + 1
    text = f"You have sent to {rate.limit} recipients within an hour, the limit here: room again in {minutes} minutes"
    return Reply(450, "4.7.1", text)


def _excess(session: Session, rate: SendingRate, now: float) -> Excess:
    server = session.settings.server
    clients = tuple(rate.recent_clients(now))
    return Excess(rate.account, rate.count(now), rate.since(now), now, clients, server.hostname, server.postmaster)
