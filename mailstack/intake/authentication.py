"""TLS and log-in. RFC 3207, RFC 4954."""

from __future__ import annotations

from collections.abc import Sequence

from mailstack.intake.session import Session
from mailstack.model.address import short_name
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events
from mailstack.protocol.sasl_steps import Agreed, Lookup, Proof

ENCRYPT_FIRST = Reply(538, "5.7.11", "Passwords only over TLS: say STARTTLS first")
NO_AUTH = Reply(502, "5.5.1", "No log-in on this port: it takes mail from other servers")
CONTINUE = Reply(334, "", "")  # the exchange itself says the rest
LOGGED_IN = Reply(235, "2.7.0", "Logged in")


def offers_tls(session: Session) -> bool:
    return session.around.tls and not session.visitor.tls


def offers_login(session: Session) -> bool:
    """Where a log-in can succeed, and nowhere else."""
    visitor = session.visitor
    return session.around.submission and visitor.user is None and visitor.confidential and not session.lacks_tls


def mechanisms(session: Session) -> Sequence[str]:
    return session.around.authenticator.mechanisms(session.visitor.bindings)


def on_start_tls(session: Session, event: events.StartTls) -> Reply:
    if session.visitor.tls:
        return Reply(503, "5.5.1", "TLS is up already")
    if not session.around.tls:
        return Reply(502, "5.5.1", "TLS is not on offer here")
    return Reply(220, "2.0.0", "Ready to start TLS")


def on_auth(session: Session, event: events.Auth) -> Reply:
    refusal = _unwelcome(session, event)
    if refusal is not None:
        return session.error(refusal)
    session.mechanism, session.proven = event.mechanism, None
    return CONTINUE


def _unwelcome(session: Session, event: events.Auth) -> Reply | None:
    if not session.around.submission:
        return NO_AUTH
    if session.visitor.user is not None:
        return Reply(503, "5.5.1", "You are logged in already")
    if not session.visitor.confidential:
        return ENCRYPT_FIRST
    if event.mechanism not in mechanisms(session):
        return Reply(504, "5.5.4", "Mechanism not known; EHLO lists ours")
    return None


def on_challenge(session: Session, event: events.Challenge) -> Reply:
    return event.reply


async def on_credentials(session: Session, event: events.Credentials) -> Reply:
    visitor, authenticator = session.visitor, session.around.authenticator
    answer = await authenticator.login(event.name, event.password, visitor.address, event.authzid)
    if isinstance(answer, Reply):
        return _not_logged_in(session, event.name, answer)
    visitor.user = answer.account  # a folder is POP3's business
    session.record.logged_in(session.mechanism)
    return LOGGED_IN


def on_lookup(session: Session, event: Lookup) -> Reply:
    visitor = session.visitor
    refusal = session.around.authenticator.look_up(event, visitor.bindings, visitor.address)
    return CONTINUE if refusal is None else _not_logged_in(session, event.name, refusal)


async def on_proof(session: Session, event: Proof) -> Reply:
    """Not logged in before the client has seen our proof, and says so: it may still cancel."""
    answer = await session.around.authenticator.prove(event, session.visitor.address)
    if isinstance(answer, Reply):
        return _not_logged_in(session, event.name, answer)
    session.proven = answer.account
    return CONTINUE


def on_agreed(session: Session, event: Agreed) -> Reply:
    assert session.proven is not None, "the protocol has no end of SCRAM before a proof that was taken"
    session.visitor.user = session.proven
    session.record.logged_in(session.mechanism)
    return LOGGED_IN


def _not_logged_in(session: Session, name: str, refusal: Reply) -> Reply:
    session.tried = short_name(name)
    return session.counted(session.record.not_logged_in(session.mechanism, session.tried, refusal))
