"""All there is to know of one letter in the queue, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from math import inf

from mailstack.admin.forecast import Forecast
from mailstack.admin.letters import coloured, summary
from mailstack.admin.moments import wall_clock, when
from mailstack.admin.output import clean, count, size, utc
from mailstack.model.address import path
from mailstack.model.entry import Entry, EntryRecipient, Moment

_INDENT = 15  # columns of the names
_NAMED = 3  #: recipients of one moment of the history that are named

Forecasts = Mapping[int, Forecast]


def sheet(entry: Entry, history: Sequence[Moment], future: Forecasts, now: float) -> Iterator[str]:
    yield f"{'Letter:':<{_INDENT}}{entry.id}"
    yield f"{'State:':<{_INDENT}}{coloured(entry.state)}"
    for name, value in _facts(entry, future, now):
        yield f"{name + ':':<{_INDENT}}{clean(value)}"
    yield "Recipients:"
    for recipient in entry.recipients:
        yield from _recipient(recipient, future.get(recipient.number), now, _same_end(future))
    if history:
        yield "History:"
        for _, moments in groupby(history, key=lambda each: (each.at, each.state, each.reply, each.by)):
            yield from _moments(entry, list(moments))


def _facts(entry: Entry, future: Forecasts, now: float) -> Iterator[tuple[str, str]]:
    yield "Sender", path(entry.sender)
    if entry.account:
        yield "Account", entry.account
    yield "Size", f"{size(entry.size)}{' octets' if entry.size < 1024 else ''}"
    yield "Arrived", when(entry.arrived, now)
    if entry.not_before:
        yield "Not before", when(entry.not_before, now)
    wishes = _wishes(entry)
    if wishes:
        yield "Asked for", wishes
    if entry.next_attempt is not None:
        yield "Next try", _soon(entry.next_attempt, now)
    if future:
        yield "Delay warning", _warning(entry, future, now)
        yield ("Return" if entry.sender else "Dropped"), _end(future, now)


def _soon(at: float, now: float) -> str:
    return "now" if at <= now else when(at, now)


def _wishes(entry: Entry) -> str:
    flags = [name for name, given in (("SMTPUTF8", entry.smtputf8), ("REQUIRETLS", entry.require_tls)) if given]
    values = [f"{name}={value}" for name, value in (("RET", entry.ret), ("ENVID", entry.envid)) if value]
    return " ".join(flags + values)


def _warning(entry: Entry, future: Forecasts, now: float) -> str:
    sent = f" ({count(entry.warned, 'warning')} sent)" if entry.warned else ""
    moment = min((each.warning for each in future.values() if each.warning is not None), default=None)
    return f"{'no more' if entry.warned else 'none'}{sent}" if moment is None else f"{when(moment, now)}{sent}"


def _same_end(future: Forecasts) -> bool:
    """Pauses vary, so not to the second."""
    return (
        max((each.end for each in future.values()), default=0) - min((each.end for each in future.values()), default=0)
        < 1
    )


def _end(future: Forecasts, now: float) -> str:
    first = min(each.end for each in future.values())
    return when(first, now) + ("" if _same_end(future) else ", the others later")


def _recipient(recipient: EntryRecipient, future: Forecast | None, now: float, same_end: bool) -> Iterator[str]:
    yield f"  {summary(recipient)}"
    if recipient.last_reply:
        yield f"      {clean(recipient.last_reply)}"
    if recipient.destination:
        yield f"      goes to {clean(recipient.destination)}"
    if recipient.notify:
        yield f"      NOTIFY={clean(','.join(sorted(recipient.notify)))}"
    if recipient.next_attempt is not None:
        yield f"      next try {_soon(recipient.next_attempt, now)}"
    if future is not None and not same_end:
        yield f"      given up {when(future.end, now)}"


def _moments(entry: Entry, moments: Sequence[Moment]) -> Iterator[str]:
    """Recipients who fared alike at one time stand together."""
    first = moments[0]
    addresses = {each.number: str(each.address) for each in entry.recipients}
    names = [addresses.get(each.number, "?") for each in moments]
    more = f" and {count(len(names) - _NAMED, 'more recipient')}" if len(names) > _NAMED else ""
    who = f"by {first.by}, the administrator" if first.administrator else f"by {first.by}"
    said = "" if first.by == "none" else f", {clean(who)}"
    yield f"  {wall_clock(first.at)}  {coloured(first.state)}{said}"
    yield f"      {clean(', '.join(names[:_NAMED]))}{more}"
    if first.reply:
        yield f"      {clean(first.reply)}"


def further(entry: Entry, history: Sequence[Moment], future: Forecasts) -> dict[str, object]:
    """What the object of ``queue show --json`` has beside that of the list."""
    warning = min((each.warning for each in future.values() if each.warning is not None), default=None)
    end = min((each.end for each in future.values()), default=inf)
    return {
        "account": entry.account,
        "smtputf8": entry.smtputf8,
        "requiretls": entry.require_tls,
        "ret": entry.ret,
        "envid": entry.envid,
        "not_before": utc(entry.not_before) if entry.not_before else None,
        "warned": entry.warned,
        "next_warning": utc(warning),
        "return": utc(end) if future else None,
        "notify": {str(each.address): sorted(each.notify) for each in entry.recipients if each.notify},
        "history": [_moment_object(entry, each) for each in history],
    }


def _moment_object(entry: Entry, moment: Moment) -> dict[str, object]:
    address = next((str(each.address) for each in entry.recipients if each.number == moment.number), None)
    return {
        "time": utc(moment.at),
        "recipient": address,
        "state": moment.state,
        "reply": moment.reply,
        "by": moment.by,
        "administrator": moment.administrator,
    }
