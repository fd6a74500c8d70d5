"""MAIL and RCPT: from whom, for whom. Relaying is decided here, by :mod:`mailstack.intake.relay`."""

from __future__ import annotations

from mailstack.intake.relay import RELAYING_DENIED
from mailstack.intake.session import Session
from mailstack.intake.transaction import TOO_BIG, Transaction
from mailstack.interfaces import Resolution
from mailstack.model.address import Address
from mailstack.model.letter import Recipient
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events

SENDER_OK = Reply(250, "2.1.0", "Ok")
RECIPIENT_OK = Reply(250, "2.1.5", "Ok")
LOGIN_FIRST = Reply(530, "5.7.0", "Log in first: this port is for our users")
NOT_YOURS = Reply(553, "5.7.1", "That sender address is not yours")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients, send the rest in another message")


def on_mail(session: Session, event: events.Mail) -> Reply:
    if session.around.submission and session.visitor.user is None:
        return session.record.refused("MAIL", LOGIN_FIRST, event.sender)
    if event.size > session.settings.limits.message_size:
        return session.record.refused("MAIL", TOO_BIG, event.sender)
    if session.visitor.user is not None and not owns(session, event.sender):
        return session.record.refused("MAIL", NOT_YOURS, event.sender)
    session.transaction = Transaction(event.sender, session.settings.limits.message_size)
    return SENDER_OK


def owns(session: Session, sender: Address | None) -> bool:
    """Our users send as themselves, or as an alias that reaches them."""
    user, directory = session.visitor.user, session.around.directory
    if sender is None or (user is not None and sender.key == user.key):
        return True
    if not directory.is_local(sender.domain):
        return False
    return any(target.address == user for target in directory.resolve(sender).recipients)


def on_rcpt(session: Session, event: events.Rcpt) -> Reply:
    transaction = session.begun
    if len(transaction.recipients) >= session.settings.limits.recipients:
        return TOO_MANY_RECIPIENTS
    recipient = event.recipient
    if not recipient.domain:
        recipient = Address(recipient.local, session.settings.server.domains[0])
    found = _resolve(session, recipient)
    if found.refusal is not None:
        return session.record.refused("RCPT", found.refusal, transaction.sender, recipient)
    transaction.add(found.recipients)
    return RECIPIENT_OK


def _resolve(session: Session, recipient: Address) -> Resolution:
    around, visitor = session.around, session.visitor
    if around.directory.is_local(recipient.domain):
        return around.directory.resolve(recipient)
    if around.rule.permits(recipient, visitor.address, visitor.user):
        return Resolution((Recipient(recipient, recipient),))
    return Resolution(refusal=RELAYING_DENIED)
