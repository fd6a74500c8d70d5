"""``[tls] policy = required``: what goes before TLS, and what does not. RFC 3207 §4."""

from __future__ import annotations

from mailstack.intake.session import Session
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events

STARTTLS_FIRST = Reply(530, "5.7.0", "Must issue a STARTTLS command first")

#: ``Rejected`` and ``Hopeless`` have their answer already.
BEFORE_TLS: frozenset[type[events.Event]] = frozenset(
    {
        events.Hello,
        events.Reset,
        events.Noop,
        events.Quit,
        events.Help,
        events.StartTls,
        events.Rejected,
        events.Hopeless,
    }
)


def allowed(session: Session, event: events.Event) -> events.Event:
    """The event, or what it comes to where TLS is missing."""
    if not session.lacks_tls or type(event) in BEFORE_TLS:
        return event
    if isinstance(event, events.Mail):
        session.record.refused("MAIL", STARTTLS_FIRST, event.sender)
    return events.Rejected(STARTTLS_FIRST)
