"""TLS and log-in. RFC 3207, RFC 4954."""

from __future__ import annotations

from mailstack.intake.session import Session
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events
from mailstack.protocol.sasl import MECHANISMS

ENCRYPT_FIRST = Reply(538, "5.7.11", "Passwords only over TLS: say STARTTLS first")
NO_LOGIN_HERE = Reply(502, "5.5.1", "No log-in on this port: it takes mail from other servers")
NOT_FOR_OTHERS = Reply(535, "5.7.8", "You cannot act for somebody else")


def offers_tls(session: Session) -> bool:
    return session.around.tls and not session.visitor.tls


def offers_login(session: Session) -> bool:
    """Where a log-in can succeed, and nowhere else."""
    return session.around.submission and session.visitor.user is None and session.visitor.confidential


def on_start_tls(session: Session, event: events.StartTls) -> Reply:
    if session.visitor.tls:
        return Reply(503, "5.5.1", "TLS is up already")
    if not session.around.tls:
        return Reply(502, "5.5.1", "TLS is not on offer here")
    return Reply(220, "2.0.0", "Ready to start TLS")


def on_auth(session: Session, event: events.Auth) -> Reply:
    if not session.around.submission:
        return NO_LOGIN_HERE
    if session.visitor.user is not None:
        return Reply(503, "5.5.1", "You are logged in already")
    if not session.visitor.confidential:
        return ENCRYPT_FIRST
    if event.mechanism not in MECHANISMS:
        return Reply(504, "5.5.4", "Mechanism not known; EHLO lists ours")
    session.mechanism = event.mechanism
    return Reply(334, "", "")


def on_challenge(session: Session, event: events.Challenge) -> Reply:
    return event.reply


async def on_credentials(session: Session, event: events.Credentials) -> Reply:
    visitor, record = session.visitor, session.record
    answer = await session.around.authenticator.login(event.name, event.password, visitor.address)
    if isinstance(answer, Reply):
        return record.not_logged_in(session.mechanism, event.name, answer)
    if event.authzid.lower() not in ("", event.name.lower(), str(answer)):
        return record.not_logged_in(session.mechanism, event.name, NOT_FOR_OTHERS)
    visitor.user = answer
    return Reply(235, "2.7.0", "Logged in")
