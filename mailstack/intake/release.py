"""When a submitted letter may first be tried: as its sender wishes (FUTURERELEASE, RFC 4865), and not before the pause
in which it can be taken back."""

from __future__ import annotations

from mailstack.intake.session import Session
from mailstack.model import moment
from mailstack.model.hold import MAX_INTERVAL, Hold
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_events import Mail

NOT_OFFERED = Reply(555, "5.5.4", "HOLDFOR and HOLDUNTIL are not to be had here")
PAST = Reply(501, "5.5.4", "HOLDUNTIL is not in the future")


def offers_future_release(session: Session) -> bool:
    return session.around.submission and session.settings.submission.future_release > 0


def bounds(session: Session) -> str:
    """What EHLO says behind FUTURERELEASE: the longest interval, and the latest moment."""
    longest = session.settings.submission.future_release
    return f"{longest:.0f} {moment.written(session.around.now() + longest)}"


def not_held(session: Session, hold: Hold) -> Reply | None:
    """Why that wish cannot be granted; None: it can."""
    if not offers_future_release(session):
        return NOT_OFFERED
    now, longest = session.around.now(), session.settings.submission.future_release
    pause = hold.released(now) - now
    if pause <= 0:
        return PAST
    if pause > min(longest, MAX_INTERVAL):
        text = f"That is too far in the future: {longest:.0f} seconds at most, until {moment.written(now + longest)}"
        return Reply(501, "5.5.4", text)
    return None


def not_before(session: Session, mail: Mail) -> float:
    """Unix time of the first attempt, of a letter that is accepted now; 0.0: at once."""
    now = session.around.now()
    wished = mail.hold.released(now) if mail.hold is not None else 0.0
    undo = session.settings.submission.undo
    # A letter without a sender is a report or an answer by a program: nobody is there to regret it.
    if undo and session.ours and mail.sender is not None:
        return max(wished, now + undo)
    return wished
