"""Answers one SMTP client: what is taken, for whom, from whom. Nothing else lets mail in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import field, frozen
from zope.interface import implementer

from mailstack.config.settings import Settings
from mailstack.intake.record import NO_ID, Record
from mailstack.intake.relay import RELAYING_DENIED, RelayRule
from mailstack.intake.teaching import help_on
from mailstack.intake.transaction import TOO_BIG, Transaction
from mailstack.intake.visitor import Visitor
from mailstack.interfaces import IAuthenticator, IDirectory, IEventLog, IReception, ISpool, Resolution
from mailstack.message.trace import Hop
from mailstack.model.address import Address
from mailstack.model.letter import Letter, Recipient
from mailstack.model.reply import Reply
from mailstack.protocol import smtp_events as events
from mailstack.protocol.sasl import MECHANISMS

OK = Reply(250, "2.0.0", "Ok")
SENDER_OK = Reply(250, "2.1.0", "Ok")
RECIPIENT_OK = Reply(250, "2.1.5", "Ok")
GO_AHEAD = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
LOGIN_FIRST = Reply(530, "5.7.0", "Log in first: this port is for our users")
ENCRYPT_FIRST = Reply(538, "5.7.11", "Passwords only over TLS: say STARTTLS first")
NO_LOGIN_HERE = Reply(502, "5.5.1", "No log-in on this port: it takes mail from other servers")
NOT_FOR_OTHERS = Reply(535, "5.7.8", "You cannot act for somebody else")
NOT_YOURS = Reply(553, "5.7.1", "That sender address is not yours")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients, send the rest in another message")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors, good bye")
CANNOT_VERIFY = Reply(252, "2.0.0", "Strangers are not told, but RCPT tells whether mail is taken")


@frozen
class Surroundings:
    """What every reception of one listener shares."""

    settings: Settings
    directory: IDirectory
    authenticator: IAuthenticator
    spool: ISpool
    log: IEventLog
    wake: Callable[[Letter], None]  #: tells the queue of a letter that just became ours
    new_id: Callable[[], str]
    now: Callable[[], float]
    submission: bool  #: for our users, who log in; else for other servers
    tls: bool  #: STARTTLS can be had
    rule: RelayRule = field(init=False)

    @rule.default
    def _rule_of_the_settings(self) -> RelayRule:
        return RelayRule.of(self.settings.relay)


@implementer(IReception)
class Reception:
    """One connection."""

    def __init__(self, around: Surroundings, client: str, loopback: bool) -> None:
        """``client`` is an IP address, ``""`` for a UNIX socket; from ``loopback`` passwords may come in plain."""
        self._around = around
        self._settings = around.settings
        self._visitor = Visitor(client, loopback)
        self._record = Record(around.log, self._visitor)
        self._mechanism = ""
        self._transaction: Transaction | None = None
        self._errors = 0

    def greeting(self) -> Reply:
        return Reply(220, "", f"{self._settings.server.hostname} ESMTP mailstack")

    def secured(self, tls: str) -> None:
        self._forget()
        self._visitor.secured(tls)

    def closed(self) -> None:
        if self._transaction is not None and self._transaction.content is not None:
            self._record.lost(self._transaction.id)
        self._forget()

    def body(self, chunk: bytes) -> None:
        transaction = self._transaction
        if transaction is None:
            return
        try:
            transaction.body(chunk)
        except Exception as error:
            transaction.give_up(self._record.trouble(transaction.id, error))

    def decide(self, event: events.Event) -> Reply | Awaitable[Reply]:
        id = self._transaction.id if self._transaction else NO_ID
        try:
            decision = DECISIONS[type(event)](self, event)
        except Exception as error:
            # Whatever went wrong, the client must hear that it keeps the message, and the next one is served.
            return self._record.trouble(id, error)
        return decision if isinstance(decision, Reply) else self._decide_later(id, decision)

    async def _decide_later(self, id: str, decision: Awaitable[Reply]) -> Reply:
        try:
            return await decision
        except Exception as error:
            return self._record.trouble(id, error)

    # ---- Greetings and small talk

    def _on_hello(self, event: events.Hello) -> Reply:
        self._forget()
        self._visitor.hello = event
        words = [f"{self._settings.server.hostname} greets {event.name}"]
        if event.extended:
            size = self._settings.limits.message_size
            words += [keyword.format(size=size) for keyword, offered in EXTENSIONS if offered(self)]
        return Reply(250, "", "\n".join(words))

    def _on_reset(self, event: events.Reset) -> Reply:
        self._forget()
        return OK

    def _on_noop(self, event: events.Noop) -> Reply:
        return OK

    def _on_quit(self, event: events.Quit) -> Reply:
        return Reply(221, "2.0.0", f"{self._settings.server.hostname} closing, good bye")

    def _on_help(self, event: events.Help) -> Reply:
        return help_on(event.topic)

    def _on_verify(self, event: events.Verify) -> Reply:
        return CANNOT_VERIFY

    def _on_challenge(self, event: events.Challenge) -> Reply:
        return event.reply

    def _on_rejected(self, event: events.Rejected) -> Reply:
        self._errors += 1
        if self._errors < self._settings.limits.errors:
            return event.reply
        self._record.too_many_errors()
        return TOO_MANY_ERRORS

    def _forget(self) -> None:
        if self._transaction is not None:
            self._transaction.discard()
            self._transaction = None

    # ---- TLS and log-in

    @property
    def offers_tls(self) -> bool:
        return self._around.tls and not self._visitor.tls

    @property
    def offers_login(self) -> bool:
        """Where a log-in can succeed, and nowhere else."""
        return self._around.submission and self._visitor.user is None and self._visitor.confidential

    def _on_start_tls(self, event: events.StartTls) -> Reply:
        if self._visitor.tls:
            return Reply(503, "5.5.1", "TLS is up already")
        if not self._around.tls:
            return Reply(502, "5.5.1", "TLS is not on offer here")
        return Reply(220, "2.0.0", "Ready to start TLS")

    def _on_auth(self, event: events.Auth) -> Reply:
        if not self._around.submission:
            return NO_LOGIN_HERE
        if self._visitor.user is not None:
            return Reply(503, "5.5.1", "You are logged in already")
        if not self._visitor.confidential:
            return ENCRYPT_FIRST
        if event.mechanism not in MECHANISMS:
            return Reply(504, "5.5.4", "Mechanism not known; EHLO lists ours")
        self._mechanism = event.mechanism
        return Reply(334, "", "")

    async def _on_credentials(self, event: events.Credentials) -> Reply:
        answer = await self._around.authenticator.login(event.name, event.password, self._visitor.address)
        if isinstance(answer, Reply):
            return self._record.not_logged_in(self._mechanism, event.name, answer)
        if event.authzid.lower() not in ("", event.name.lower(), str(answer)):
            return self._record.not_logged_in(self._mechanism, event.name, NOT_FOR_OTHERS)
        self._visitor.user = answer
        return Reply(235, "2.7.0", "Logged in")

    # ---- The envelope

    def _on_mail(self, event: events.Mail) -> Reply:
        if self._around.submission and self._visitor.user is None:
            return self._record.refused("MAIL", LOGIN_FIRST, event.sender)
        if event.size > self._settings.limits.message_size:
            return self._record.refused("MAIL", TOO_BIG, event.sender)
        if self._visitor.user is not None and not self._owns(event.sender):
            return self._record.refused("MAIL", NOT_YOURS, event.sender)
        self._transaction = Transaction(event.sender, self._settings.limits.message_size)
        return SENDER_OK

    def _owns(self, sender: Address | None) -> bool:
        """Our users send as themselves, or as an alias that reaches them."""
        user = self._visitor.user
        if sender is None or (user is not None and sender.key == user.key):
            return True
        if not self._around.directory.is_local(sender.domain):
            return False
        return any(target.address == user for target in self._around.directory.resolve(sender).recipients)

    def _on_rcpt(self, event: events.Rcpt) -> Reply:
        transaction = self._transaction
        assert transaction is not None, "the protocol has no RCPT before MAIL"
        if len(transaction.recipients) >= self._settings.limits.recipients:
            return TOO_MANY_RECIPIENTS
        recipient = event.recipient
        if not recipient.domain:
            recipient = Address(recipient.local, self._settings.server.domains[0])
        found = self._resolve(recipient)
        if found.refusal is not None:
            return self._record.refused("RCPT", found.refusal, transaction.sender, recipient)
        transaction.add(found.recipients)
        return RECIPIENT_OK

    def _resolve(self, recipient: Address) -> Resolution:
        if self._around.directory.is_local(recipient.domain):
            return self._around.directory.resolve(recipient)
        if self._around.rule.permits(recipient, self._visitor.address, self._visitor.user):
            return Resolution((Recipient(recipient, recipient),))
        return Resolution(refusal=RELAYING_DENIED)

    # ---- The content

    def _on_data(self, event: events.Data) -> Reply:
        transaction = self._transaction
        assert transaction is not None, "the protocol has no DATA before RCPT"
        around, visitor = self._around, self._visitor
        hostname = self._settings.server.hostname
        hop = Hop(visitor.hello.name, visitor.address, hostname, visitor.protocol, visitor.tls)
        transaction.begin(around.spool, around.new_id(), hop, around.now())
        return GO_AHEAD

    async def _on_body_end(self, event: events.BodyEnd) -> Reply:
        transaction = self._transaction
        assert transaction is not None, "the protocol has no end of data before DATA"
        try:
            refusal = transaction.verdict(event.stray)
            if refusal is not None:
                return self._record.refused("DATA", refusal, transaction.sender)
            return await self._accept(transaction)
        finally:
            self._forget()

    async def _accept(self, transaction: Transaction) -> Reply:
        letter = transaction.letter()
        assert transaction.content is not None, "a message without content was refused"
        await self._around.spool.add(letter, transaction.content)
        # From here on the letter is ours: the 250 must leave, or the client sends it again.
        self._errors = 0
        try:
            self._record.accepted(letter, transaction.header.message_id)
            self._around.wake(letter)
        except Exception as error:
            self._record.trouble(letter.id, error)
        return Reply(250, "2.0.0", f"Ok: queued as {letter.id}")


#: What EHLO offers, and where. ``{size}`` is filled in.
EXTENSIONS: tuple[tuple[str, Callable[[Reception], bool]], ...] = (
    ("PIPELINING", lambda reception: True),
    ("SIZE {size}", lambda reception: True),
    ("8BITMIME", lambda reception: True),
    ("ENHANCEDSTATUSCODES", lambda reception: True),
    ("HELP", lambda reception: True),
    ("STARTTLS", lambda reception: reception.offers_tls),
    ("AUTH " + " ".join(MECHANISMS), lambda reception: reception.offers_login),
)

DECISIONS: dict[type[events.Event], Callable[[Reception, Any], Reply | Awaitable[Reply]]] = {
    events.Hello: Reception._on_hello,
    events.Mail: Reception._on_mail,
    events.Rcpt: Reception._on_rcpt,
    events.Data: Reception._on_data,
    events.BodyEnd: Reception._on_body_end,
    events.Reset: Reception._on_reset,
    events.Noop: Reception._on_noop,
    events.Quit: Reception._on_quit,
    events.Help: Reception._on_help,
    events.Verify: Reception._on_verify,
    events.StartTls: Reception._on_start_tls,
    events.Auth: Reception._on_auth,
    events.Challenge: Reception._on_challenge,
    events.Credentials: Reception._on_credentials,
    events.Rejected: Reception._on_rejected,
}
