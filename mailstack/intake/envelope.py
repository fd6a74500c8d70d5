"""MAIL and RCPT: from whom, for whom. Relaying is decided here, by :mod:`mailstack.intake.relay`."""

from __future__ import annotations

import errno

from mailstack.config.limits import FREE_SPACE
from mailstack.intake.ownership import not_own
from mailstack.intake.ratelimit import full
from mailstack.intake.relay import RELAYING_DENIED
from mailstack.intake.release import not_held
from mailstack.intake.session import Session
from mailstack.intake.submission import SubmissionRule, completion
from mailstack.intake.transaction import TOO_BIG, Transaction
from mailstack.interfaces.accounts import Resolution
from mailstack.model.address import Address
from mailstack.model.letter import Recipient
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events
from mailstack.protocol.smtp_commands import RECIPIENT_NOT_ASCII

SENDER_OK = Reply(250, "2.1.0", "Ok")
RECIPIENT_OK = Reply(250, "2.1.5", "Ok")
LOGIN_FIRST = Reply(530, "5.7.0", "Log in first: this port is for our users")
#: RFC 8689 §2: the option is for sessions that have TLS themselves; without, it is not in EHLO.
NO_REQUIRETLS = Reply(530, "5.7.4", "REQUIRETLS only over TLS: say STARTTLS first")
NO_TERMINAL = Reply(450, "4.2.1", "The user has no session open in which a message could be shown; use MAIL")
#: Whoever has one of our return addresses must not be able to send mail to its owner through us.
BOUNCES_ONLY = Reply(550, "5.7.1", "A return address takes bounces only, from the null sender: MAIL FROM:<>")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients, send the rest in another message")


def on_mail(session: Session, event: events.Mail) -> Reply:
    return session.counted(_on_mail(session, event))


def _on_mail(session: Session, event: events.Mail) -> Reply:
    if session.around.submission and session.visitor.user is None:
        return session.record.refused("MAIL", LOGIN_FIRST, event.sender)
    if event.size > session.settings.limits.message_size:
        session.struck("message_size")
        return session.record.refused("MAIL", TOO_BIG, event.sender)
    if event.require_tls and not session.visitor.tls:
        return session.record.refused("MAIL", NO_REQUIRETLS, event.sender)
    # Not above SIZE: what is announced is no larger than message_size here.
    if session.around.free_space() < FREE_SPACE * session.settings.limits.message_size:
        session.struck("free_space")
        return session.record.trouble(session.id, OSError(errno.ENOSPC, "too little room for another letter"))
    unheld = not_held(session, event.hold) if event.hold is not None else None
    if unheld is not None:
        return session.record.refused("MAIL", unheld, event.sender)
    if session.visitor.user is not None:
        return _on_submission(session, event, session.visitor.user)
    edit = completion(session, event.sender) if session.ours else None
    session.transaction = Transaction(event, session.settings.limits, edit)
    return SENDER_OK


def _on_submission(session: Session, event: events.Mail, user: Address) -> Reply:
    """Our users send as themselves, or as nobody; their messages are completed, and counted."""
    sender = event.sender
    refusal = not_own(session, sender) if sender is not None else None
    if refusal is not None:
        return session.record.refused("MAIL", refusal, sender)
    edit = SubmissionRule(session, sender or user).edit
    charge = session.around.rates.charge(user)
    session.transaction = Transaction(event, session.settings.limits, edit, charge)
    return SENDER_OK


def on_rcpt(session: Session, event: events.Rcpt) -> Reply:
    transaction = session.begun
    if transaction.addressed >= session.settings.limits.recipients:
        session.struck("recipients")
        return TOO_MANY_RECIPIENTS
    recipient = event.recipient
    if event.utf8 and not transaction.mail.smtputf8:
        return session.record.refused("RCPT", RECIPIENT_NOT_ASCII, transaction.sender, recipient)
    if not recipient.domain:
        recipient = Address(recipient.local, session.settings.server.domains[0])
    found = _resolve(session, recipient, transaction.sender)
    if found.refusal is not None:
        session.record.refused("RCPT", found.refusal, transaction.sender, recipient)
        return _guessed(session, transaction, found.refusal)
    if transaction.for_terminals:
        return session.record.refused("RCPT", NO_TERMINAL, transaction.sender, recipient)
    over = full(session, len(found.recipients))
    if over is not None:
        return over
    transaction.add(found.recipients, event)
    return RECIPIENT_OK


def _guessed(session: Session, transaction: Transaction, refusal: Reply) -> Reply:
    """Refusals count as errors, or a dictionary of names could be tried out. But a mailing list always has a few names
    that are gone: one for each recipient who exists here is free, and our own trouble (4xx) is nobody's error."""
    if not refusal.permanent:
        return refusal
    session.refused += 1
    is_local = session.around.directory.is_local
    good = sum(is_local(recipient.original.domain) for recipient in transaction.recipients)
    return session.error(refusal) if session.refused > good else refusal


def _resolve(session: Session, recipient: Address, sender: Address | None) -> Resolution:
    around, visitor = session.around, session.visitor
    if around.directory.is_local(recipient.domain):
        found = around.directory.resolve(recipient)
        return Resolution(refusal=BOUNCES_ONLY) if found.bounces_only and sender is not None else found
    if around.rule.permits(recipient, visitor.address, session.ours):
        return Resolution((Recipient(recipient, recipient),))
    return Resolution(refusal=RELAYING_DENIED)
