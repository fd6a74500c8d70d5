"""What is known of one session: the topics of :mod:`mailstack.intake` read and change it."""

from __future__ import annotations

from attrs import define, field

from mailstack.config.settings import Settings
from mailstack.intake.record import NO_ID, Record
from mailstack.intake.surroundings import Surroundings
from mailstack.intake.transaction import Transaction
from mailstack.intake.visitor import Visitor
from mailstack.interfaces.waiting import ITurn
from mailstack.model.address import Address
from mailstack.model.networks import lies_in
from mailstack.model.reply import Reply

TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors, good bye")


@define
class Session:
    """One client. ``transaction`` is there from MAIL to the end of the message."""

    around: Surroundings
    visitor: Visitor
    record: Record = field(init=False)
    transaction: Transaction | None = None
    mechanism: str = ""  #: of the AUTH exchange that goes on
    proven: Address | None = None  #: who has proved in it who they are, while they have not heard our own proof
    tried: str = ""  #: the name of the last log-in that failed; only of a whole exchange, or it might be a password
    errors: int = 0  #: since the last letter that was accepted
    refused: int = 0  #: recipients, since then
    turn: ITurn | None = None  #: who speaks after ATRN

    @record.default
    def _its_own_record(self) -> Record:
        return Record(self.around.log, self.visitor)

    @property
    def settings(self) -> Settings:
        return self.around.settings

    @property
    def ours(self) -> bool:
        """Whether this is one of our users: logged in, or at work on this machine."""
        return self.visitor.user is not None or self.visitor.userid is not None

    @property
    def trusted(self) -> bool:
        """Whether this is one of ours, or from ``[relay] networks``; encrypted where that is asked for."""
        if self.lacks_tls:
            return False
        return self.ours or self.around.rule.trusts(self.visitor.address)

    @property
    def must_log_in(self) -> bool:
        """A port for our users, and nobody is logged in yet."""
        return self.around.submission and self.visitor.user is None

    @property
    def rfc821(self) -> bool:
        """Whether SEND, SOML, SAML and TURN are known here, and to this client; TURN takes a log-in besides."""
        return self.settings.smtp.rfc821 and self.trusted

    @property
    def id(self) -> str:
        """The queue id, for the log."""
        return self.transaction.id if self.transaction else NO_ID

    def struck(self, limit: str) -> None:
        """Count a limit that this client has come up against."""
        self.around.counts.struck(limit, self.visitor.address)

    def error(self, reply: Reply) -> Reply:
        """Count an error that earns ``reply``; returns what to answer: with too many, good bye."""
        self.errors += 1
        if self.errors < self.settings.limits.errors:
            return reply
        self.struck("errors")
        self.record.too_many_errors()
        return TOO_MANY_ERRORS

    def counted(self, reply: Reply) -> Reply:
        """The same for any answer: a good one is no error, and what is put off is nobody's."""
        return self.error(reply) if reply.permanent else reply

    @property
    def begun(self) -> Transaction:
        """The transaction, where the protocol lets no event come without one."""
        assert self.transaction is not None, "the protocol has no such event before MAIL"
        return self.transaction

    @property
    def lacks_tls(self) -> bool:
        """TLS is required here, and is not up."""
        return self.around.tls_required and not self.visitor.tls

    @property
    def may_name_client(self) -> bool:
        """Whether this is a proxy that we believe, and one that has not spoken for a client yet. After that it may hand
        on what the client itself says."""
        if self.visitor.named or self.lacks_tls:
            return False
        return lies_in(self.visitor.address, self.settings.server.xclient)

    def forget(self) -> None:
        """Drop what was begun."""
        if self.transaction is not None:
            self.transaction.discard()
            if self.transaction.charge is not None:
                self.transaction.charge.give_back()
            self.transaction = None
