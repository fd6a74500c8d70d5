"""SEND, SOML, SAML and TURN of RFC 821, which RFC 5321 appendix F has put to rest."""

from __future__ import annotations

from mailstack.intake.envelope import on_mail
from mailstack.intake.greeting import on_rejected
from mailstack.intake.session import Session
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events

_TERMINALS = "is obsolete: it was for terminals, which are gone; use MAIL"

#: Why it is gone, and what has replaced it.
GONE = {
    "SEND": Reply(502, "5.5.1", f"SEND {_TERMINALS}"),
    "SOML": Reply(502, "5.5.1", f"SOML {_TERMINALS}"),
    "SAML": Reply(502, "5.5.1", f"SAML {_TERMINALS}"),
    "TURN": Reply(502, "5.5.1", "TURN is obsolete: it gives mail to whoever says a name; use ETRN"),
}


def on_obsolete(session: Session, event: events.Obsolete) -> Reply:
    """With ``[smtp] rfc821``, for our own people: SOML (send or mail) and SAML (send and mail) are MAIL where nobody
    has a terminal; SEND is no mail, so its recipients are refused one by one (RFC 821 §3.4)."""
    if event.verb == "TURN" or not session.rfc821:
        return on_rejected(session, events.Rejected(GONE[event.verb]))
    if isinstance(event.instead, events.Rejected):
        return on_rejected(session, event.instead)
    reply = on_mail(session, event.instead)
    if session.transaction is not None:
        session.transaction.for_terminals = event.verb == "SEND"
    return reply
