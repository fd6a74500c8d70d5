"""SEND, SOML, SAML and TURN of RFC 821, which RFC 5321 appendix F has put to rest."""

from __future__ import annotations

from collections.abc import Awaitable

from mailstack.intake.envelope import on_mail
from mailstack.intake.greeting import on_rejected
from mailstack.intake.session import Session
from mailstack.intake.waiting import on_atrn
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events

_TERMINALS = "is obsolete: it was for terminals, which are gone; use MAIL"

#: Why it is gone, and what has replaced it.
GONE = {
    "SEND": Reply(502, "5.5.1", f"SEND {_TERMINALS}"),
    "SOML": Reply(502, "5.5.1", f"SOML {_TERMINALS}"),
    "SAML": Reply(502, "5.5.1", f"SAML {_TERMINALS}"),
    "TURN": Reply(
        502, "5.5.1", "TURN is obsolete: it gave mail to whoever said a name; use ETRN, or ATRN after log-in"
    ),
}


def on_obsolete(session: Session, event: events.Obsolete) -> Reply | Awaitable[Reply]:
    """With ``[smtp] rfc821``, for our own people: SOML (send or mail) and SAML (send and mail) are MAIL where nobody
    has a terminal; SEND is no mail, so its recipients are refused one by one (RFC 821 §3.4); TURN is ATRN."""
    if not knows(session, event.verb):
        return on_rejected(session, events.Rejected(GONE[event.verb]))
    if isinstance(event.instead, events.Rejected):
        return on_rejected(session, event.instead)
    if isinstance(event.instead, events.Atrn):
        return on_atrn(session, event.instead)
    reply = on_mail(session, event.instead)
    if session.transaction is not None:
        session.transaction.for_terminals = event.verb == "SEND"
    return reply


def knows(session: Session, verb: str) -> bool:
    """An address is not enough for TURN: it could be anybody's in that network."""
    return session.rfc821 and (verb != "TURN" or session.visitor.user is not None)
