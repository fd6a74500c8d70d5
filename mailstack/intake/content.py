"""DATA: the content, its verdict, and the moment at which a letter becomes ours."""

from __future__ import annotations

from mailstack.intake.session import Session
from mailstack.intake.transaction import Transaction
from mailstack.message.trace import Hop
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events

GO_AHEAD = Reply(354, "", "End data with <CR><LF>.<CR><LF>")


def on_data(session: Session, event: events.Data) -> Reply:
    around, visitor = session.around, session.visitor
    hostname = session.settings.server.hostname
    transaction = session.begun
    protocol = visitor.protocol_of(transaction.mail.smtputf8)
    hop = Hop(visitor.hello.name, visitor.place, hostname, protocol, visitor.tls, visitor.name)
    transaction.begin(around.spool, around.new_id(), hop, around.now())
    return GO_AHEAD


def take(session: Session, chunk: bytes) -> None:
    """Octets of the message. What goes wrong is told at its end."""
    transaction = session.transaction
    if transaction is None:
        return
    try:
        transaction.body(chunk)
    except Exception as error:
        transaction.give_up(session.record.trouble(transaction.id, error))


async def on_body_end(session: Session, event: events.BodyEnd) -> Reply:
    transaction = session.begun
    try:
        refusal = transaction.verdict(event.stray)
        if refusal is not None:
            return session.record.refused("DATA", refusal, transaction.sender)
        return await _accept(session, transaction)
    finally:
        session.forget()


async def _accept(session: Session, transaction: Transaction) -> Reply:
    letter = transaction.letter()
    assert transaction.content is not None, "a message without content was refused"
    await session.around.spool.add(letter, transaction.content)
    # From here on the letter is ours: the 250 must leave, or the client sends it again.
    session.errors = 0
    if transaction.charge is not None:
        transaction.charge.keep()
    try:
        session.record.accepted(letter, transaction.header.message_id)
        session.around.wake(letter)
    except Exception as error:
        session.record.trouble(letter.id, error)
    return Reply(250, "2.0.0", f"Ok: queued as {letter.id}")
