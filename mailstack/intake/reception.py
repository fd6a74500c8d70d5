"""Answers one SMTP client: what is taken, for whom, from whom. Nothing else lets mail in.

Each topic has a module of its own, with a function for each event; :data:`DECISIONS` says which.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from zope.interface import implementer

from mailstack.intake import (
    authentication,
    content,
    encryption,
    envelope,
    greeting,
    inquiry,
    obsolete,
    own_mail,
    teaching,
    waiting,
    xclient,
)
from mailstack.intake.session import Session
from mailstack.intake.surroundings import Surroundings
from mailstack.intake.visitor import Visitor
from mailstack.interfaces.accounts import Bindings, no_bindings
from mailstack.interfaces.reception import IReception
from mailstack.interfaces.sessions import Identity
from mailstack.interfaces.waiting import ITurn
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events
from mailstack.protocol.sasl_steps import Agreed, Lookup, Proof

#: The event has the type of its row.
Decide = Callable[[Session, Any], Reply | Awaitable[Reply]]

DECISIONS: dict[type[events.Event], Decide] = {
    events.Hello: greeting.on_hello,
    events.Reset: greeting.on_reset,
    events.Noop: greeting.on_noop,
    events.Quit: greeting.on_quit,
    events.Rejected: greeting.on_rejected,
    events.Hopeless: greeting.on_hopeless,
    events.Help: teaching.on_help,
    events.Verify: inquiry.on_verify,
    events.Obsolete: obsolete.on_obsolete,
    events.Etrn: waiting.on_etrn,
    events.Atrn: waiting.on_atrn,
    events.TakeBack: own_mail.on_take_back,
    events.StartTls: authentication.on_start_tls,
    events.XClient: xclient.on_xclient,
    events.Auth: authentication.on_auth,
    events.Challenge: authentication.on_challenge,
    events.Credentials: authentication.on_credentials,
    Lookup: authentication.on_lookup,
    Proof: authentication.on_proof,
    Agreed: authentication.on_agreed,
    events.Mail: envelope.on_mail,
    events.Rcpt: envelope.on_rcpt,
    events.Data: content.on_data,
    events.BodyEnd: content.on_body_end,
    events.Bdat: content.on_bdat,
    events.ChunkEnd: content.on_chunk_end,
}


@implementer(IReception)
class Reception:
    """One connection."""

    def __init__(self, around: Surroundings, client: str, loopback: bool, userid: int | None = None) -> None:
        """``client`` is an IP address, ``""`` for a UNIX socket; from ``loopback`` passwords may come in plain. With
        ``userid`` it is a user of this machine, who needs none."""
        self._session = Session(around, Visitor(client, loopback, userid=userid))

    def greeting(self) -> Reply:
        return greeting.greeting(self._session)

    def secured(self, tls: str, bindings: Bindings = no_bindings) -> None:
        self._session.forget()
        self._session.visitor.secured(tls, bindings)

    def who(self) -> Identity:
        visitor = self._session.visitor
        if visitor.user is not None:
            return Identity(visitor.address, str(visitor.user))
        return Identity(visitor.address, tried=self._session.tried)

    def turned(self) -> ITurn:
        turn = self._session.turn
        assert turn is not None, "ATRN was answered with yes"
        return turn

    def closed(self) -> None:
        transaction = self._session.transaction
        if transaction is not None and transaction.content is not None:
            self._session.record.lost(transaction.id)
        self._session.forget()

    def body(self, chunk: bytes, lines: int) -> None:
        content.take(self._session, chunk, lines)

    def decide(self, event: events.Event) -> Reply | Awaitable[Reply]:
        session = self._session
        id = session.id
        try:
            if session.around.tls_required:
                event = encryption.allowed(session, event)
            decision = DECISIONS[type(event)](session, event)
        except Exception as error:
            # Whatever went wrong, the client must hear that it keeps the message, and the next one is served.
            return session.record.trouble(id, error)
        return decision if isinstance(decision, Reply) else self._decide_later(id, decision)

    async def _decide_later(self, id: str, decision: Awaitable[Reply]) -> Reply:
        try:
            return await decision
        except Exception as error:
            return self._session.record.trouble(id, error)
