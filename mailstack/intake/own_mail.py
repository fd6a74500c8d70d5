"""XDROP: our users take back what they have sent, as long as it waits in the queue. The verb is ours alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mailstack.intake.envelope import LOGIN_FIRST
from mailstack.intake.session import Session
from mailstack.interfaces.waiting import Dropped
from mailstack.model import moment
from mailstack.model.entry import Entry
from mailstack.model.reply import Reply
from mailstack.model.selection import WAITING
from mailstack.protocol import smtp_events as events

NOT_HERE = Reply(502, "5.5.1", "Letters are taken back on the submission ports")
#: The same whether there is no such letter, or it is somebody else's.
NOT_YOURS = Reply(550, "5.5.4", "No letter of yours with that id waits here")
NONE = Reply(250, "2.0.0", "No letter of yours waits here")
LISTED = 20  #: letters that are named, the latest first
OLDER = "and older ones"


def offers_xdrop(session: Session) -> bool:
    return session.around.submission and session.visitor.user is not None


async def on_take_back(session: Session, event: events.TakeBack) -> Reply:
    if not session.around.submission:
        return session.error(NOT_HERE)
    user = session.visitor.user
    if user is None:
        return LOGIN_FIRST
    own = session.around.own_mail
    try:
        if not event.id:
            return _listed(await own.waiting(user, LISTED + 1), session.around.now())
        dropped = await own.drop(user, event.id)
    except OSError as error:
        return session.record.trouble(session.id, error)
    if dropped is None:
        return session.error(session.record.denied("XDROP", NOT_YOURS))
    return session.record.asked("XDROP", Reply(250, "2.0.0", _words(event.id, dropped)))


def _words(id: str, dropped: Dropped) -> str:
    recipients = f"{dropped.recipients} recipient{'s' * (dropped.recipients != 1)}"
    words = f"{id} dropped for {recipients} who had not got it yet"
    if dropped.under_way:
        words += "; but it was just being sent, and that attempt may succeed"
    return words


def _listed(entries: Sequence[Entry], now: float) -> Reply:
    lines = list(_lines(entries[:LISTED], now)) + [OLDER] * (len(entries) > LISTED)
    return Reply(250, "2.0.0", "\n".join(["These letters of yours wait here", *lines])) if lines else NONE


def _lines(entries: Sequence[Entry], now: float) -> Iterator[str]:
    for entry in entries:
        waiting = list(dict.fromkeys(each.original for each in entry.recipients if each.state in WAITING))
        if not waiting:
            continue  # the last one has got it meanwhile
        # No client has asked for UTF-8 in replies.
        first = str(waiting[0]).encode("ascii", "backslashreplace").decode()
        more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        yield f"{entry.id} to {first}{more}, {_when(entry, now)}"


def _when(entry: Entry, now: float) -> str:
    if entry.next_attempt is None or entry.next_attempt <= now:
        return "due now"
    held = entry.not_before > now
    return f"{'held until' if held else 'next try'} {moment.written(entry.next_attempt)}"
