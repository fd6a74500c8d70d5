"""``[tls] policy = required``: what goes before TLS, and what does not. RFC 3207 §4."""

from __future__ import annotations

from mailstack.intake.session import Session
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events

TLS_FIRST = Reply(530, "5.7.0", "Must issue a STARTTLS command first")

#: ``Rejected`` has its answer already.
BEFORE_TLS: frozenset[type[events.Event]] = frozenset(
    {
        events.Hello,
        events.Reset,
        events.Noop,
        events.Quit,
        events.Help,
        events.StartTls,
        events.Rejected,
    }
)


def allowed(session: Session, event: events.Event) -> events.Event:
    """The event, or what it comes to where TLS is missing."""
    if not session.lacks_tls or type(event) in BEFORE_TLS:
        return event
    if isinstance(event, events.Mail):
        session.record.refused("MAIL", TLS_FIRST, event.sender)
    return events.Rejected(TLS_FIRST)
