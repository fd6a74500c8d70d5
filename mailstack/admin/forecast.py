"""What will become of a letter that nobody takes, by the schedule that the server has."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from mailstack.config.settings import Settings
from mailstack.delivery.route import FETCH
from mailstack.model.entry import Entry, EntryRecipient
from mailstack.queue.schedule import RETURN, WARNING
from mailstack.queue.transports import TermsByDomain

_WAITING = ("active", "deferred")


@frozen
class Forecast:
    """Of one recipient; Unix times."""

    warning: float | None  #: when its sender is warned next
    end: float  #: when it is given up


def forecasts(settings: Settings, entry: Entry, now: float) -> Mapping[int, Forecast]:
    """Of the recipients who wait, by their number. What is on hold has no future."""
    terms = TermsByDomain(settings)
    return {each.number: _forecast(terms, entry, each, now) for each in entry.recipients if each.state in _WAITING}


def _forecast(terms: TermsByDomain, entry: Entry, recipient: EntryRecipient, now: float) -> Forecast:
    overdue = recipient.next_attempt is None or recipient.next_attempt < now
    events = terms.of(recipient.address.domain).schedule.forecast(
        entry.released,
        entry.sender is None,
        recipient.attempts,
        now if overdue else recipient.next_attempt,
        entry.warned,
        waits=recipient.destination == FETCH,
    )
    warning, end = None, entry.released
    for at, what in events:
        if what == WARNING and warning is None and recipient.reports_delay:
            warning = at
        if what == RETURN:
            end = at
    return Forecast(warning, end)
