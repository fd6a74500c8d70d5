"""DATA and BDAT: the content, its verdict, and the moment at which a letter becomes ours."""

from __future__ import annotations

from mailstack.intake.release import not_before
from mailstack.intake.session import Session
from mailstack.intake.submission import sent_by
from mailstack.intake.transaction import HEADER_TOO_BIG, LOOP, TOO_BIG, Transaction
from mailstack.message.loops import BEEN_HERE, been_here
from mailstack.message.trace import Hop
from mailstack.model import moment
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events

#: The limits that are seen in the content.
STRIKING = {TOO_BIG: "message_size", HEADER_TOO_BIG: "header_size", LOOP: "received"}
GO_AHEAD = Reply(354, "", "End data with <CR><LF>.<CR><LF>")


def on_data(session: Session, event: events.Data) -> Reply:
    _begin(session)
    return GO_AHEAD


def on_bdat(session: Session, event: events.Bdat) -> Reply:
    """A chunk comes. It is taken in any case, so this answer is not said; :func:`on_chunk_end` has the one that is."""
    transaction = session.begun
    if not transaction.receiving:
        try:
            _begin(session)
        except Exception as error:
            transaction.give_up(session.record.trouble(transaction.id, error))
    if transaction.refusal is None and event.size > session.settings.limits.message_size:
        transaction.give_up(TOO_BIG)
    return GO_AHEAD


def on_chunk_end(session: Session, event: events.ChunkEnd) -> Reply:
    """A message that was given up stays so: its other chunks hear the same (RFC 3030 §2)."""
    refusal = session.begun.refusal
    return _refused(session, refusal) if refusal else Reply(250, "2.0.0", f"{event.size} octets received")


def _begin(session: Session) -> None:
    around, visitor = session.around, session.visitor
    hostname = session.settings.server.hostname
    transaction = session.begun
    protocol = visitor.protocol_of(transaction.mail.smtputf8)
    hop = Hop(visitor.hello.name, visitor.place, hostname, protocol, visitor.tls, visitor.name, visitor.userid)
    transaction.begin(around.spool, around.new_id(), hop, around.now())


def take(session: Session, chunk: bytes, lines: int) -> None:
    """Octets of the message. What goes wrong is told at its end."""
    transaction = session.transaction
    if transaction is None:
        return
    try:
        transaction.body(chunk, lines)
    except Exception as error:
        transaction.give_up(session.record.trouble(transaction.id, error))


async def on_body_end(session: Session, event: events.BodyEnd) -> Reply:
    transaction = session.begun
    try:
        refusal = transaction.verdict(event.stray) or _goes_round(session, transaction)
        if refusal is not None:
            return _refused(session, refusal)
        return await _accept(session, transaction)
    finally:
        session.forget()


def _goes_round(session: Session, transaction: Transaction) -> Reply | None:
    """Whether nothing is to be done with the message but to forward it where it has been already. If others get it,
    too, those for whom it goes round are told of in a bounce, when it would be forwarded."""
    forwarded = [each for each in transaction.recipients if each.is_forwarded(session.around.directory.is_local)]
    if not forwarded or len(forwarded) < len(transaction.recipients):
        return None
    seen = been_here(transaction.header.octets, (each.original for each in forwarded))
    return BEEN_HERE if len(seen) == len({each.original for each in forwarded}) else None


def _refused(session: Session, refusal: Reply) -> Reply:
    """Logged and counted once, however many chunks the message has."""
    transaction = session.begun
    if not transaction.told:
        transaction.told = True
        # To several it was refused for none of them in particular.
        one = transaction.recipients[0].original if len(transaction.recipients) == 1 else None
        session.record.refused("DATA", refusal, transaction.sender, one)
        if refusal in STRIKING:
            session.struck(STRIKING[refusal])
    return refusal


async def _accept(session: Session, transaction: Transaction) -> Reply:
    saved_by = sent_by(session, transaction.sender)
    letter = transaction.letter(not_before(session, transaction.mail), saved_by, session.visitor.user)
    assert transaction.content is not None, "a message without content was refused"
    await session.around.spool.add(letter, transaction.content)
    # From here on the letter is ours: the 250 must leave, or the client sends it again.
    session.errors = session.refused = 0
    if transaction.charge is not None:
        transaction.charge.keep()
    try:
        session.record.accepted(letter, transaction.header.message_id)
        session.around.wake(letter)
    except Exception as error:
        session.record.trouble(letter.id, error)
    held = f"held until {moment.written(letter.not_before)}, " if letter.not_before else ""
    return Reply(250, "2.0.0", f"Ok: {held}queued as {letter.id}")
