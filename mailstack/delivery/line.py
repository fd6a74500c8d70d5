"""Letters on a connection that the other side has opened to fetch them: ATRN, RFC 2645."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from mailstack.delivery.connection import Connection
from mailstack.delivery.courier import wire_pieces
from mailstack.delivery.remote import envelope_of, open_letter, outcomes
from mailstack.interfaces.delivery import Outcomes
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool
from mailstack.interfaces.waiting import ILine
from mailstack.model.letter import Due
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_client import Action
from mailstack.protocol.smtp_dialogue import Patience
from mailstack.protocol.smtp_opening import Manner
from mailstack.protocol.smtp_series import SmtpSeries

LONGEST = 12 * 3_600.0  #: seconds: a dial-up line may be slow, and much may wait for it

Errand = Callable[[ILine], Awaitable[None]]


@implementer(ILine)
class Line(Connection):
    """TLS is as it was before the roles were turned; ``errand`` begins when the connection is ours."""

    client: SmtpSeries

    def __init__(self, clock: IReactorTime, hostname: str, spool: ISpool, log: IEventLog, errand: Errand) -> None:
        client = SmtpSeries(Manner(hostname, tls="none"), Patience())
        super().__init__(clock, client, self._content_of_letter, None, LONGEST)
        self._spool = spool
        self._log = log
        self._errand = errand
        self._letter: Callable[[bool], Iterator[bytes]] | None = None
        self._aborted = False
        self._waiter: Deferred[None] | None = None

    # ---- The connection

    def connectionMade(self) -> None:
        handle = self._transport.getHandle() if hasattr(self.transport, "getHandle") else None
        self.client.secure = hasattr(handle, "get_cipher_name")
        super().connectionMade()
        Deferred.fromCoroutine(self._run()).addErrback(self._bug)

    async def _run(self) -> None:
        await self._errand(self)
        if self.client.unfit is not None:
            self._log.warn("queue", relay=self._label, what=f"the client took no mail: {self.client.unfit}")

    def _bug(self, failure: Failure) -> None:
        self._log.warn("queue", what=f"a bug, so the line is cut: {failure.getErrorMessage()}")
        self.abort()

    def _do(self, actions: Sequence[Action]) -> None:
        super()._do(actions)
        self._tell()

    def abort(self) -> None:
        self._aborted = True
        super().abort()
        self._tell()

    def _tell(self) -> None:
        waiter = self._waiter
        if waiter is not None and (self.client.resting or self.finished.called):
            self._waiter = None
            waiter.callback(None)

    async def _rest(self) -> None:
        """Until the client has time for us, or all is over."""
        while not (self.client.resting or self.finished.called):
            self._waiter = Deferred()
            await self._waiter

    # ---- The errand

    async def opened(self) -> bool:
        await self._rest()
        return self.usable()

    def usable(self) -> bool:
        return self.client.resting and not self.finished.called

    def quit(self) -> None:
        if self.usable():
            self._do(self.client.quit())

    async def deliver(self, dues: Sequence[Due]) -> Sequence[Outcomes]:
        return [await self._deliver(due) for due in dues]

    async def _deliver(self, due: Due) -> Outcomes:
        if not self.usable():
            raise CancelledError
        envelope = envelope_of(due.letter, due.pending)
        file = open_letter(self._spool, self._log, due.letter)
        if isinstance(file, Reply):
            return outcomes(dict.fromkeys(envelope.recipients, file))
        answers: dict[int, Reply] = {}
        with file:
            self._letter = partial(wire_pieces, file, due.letter)
            # Who takes few recipients at a time gets the others in further transactions.
            while rest := {number: each for number, each in envelope.recipients.items() if number not in answers}:
                self._do(self.client.send(evolve(envelope, recipients=rest)))
                await self._rest()
                if self._aborted:
                    raise CancelledError
                answers |= self.client.answers
        return outcomes(answers, self._label, action="" if self.client.next_hop_reports else "relayed")

    def _content_of_letter(self, empty: bool) -> Iterator[bytes]:
        assert self._letter is not None, "only letters have content"
        return self._letter(empty)

    @property
    def _label(self) -> str:
        """As Postfix writes hosts whose name it does not know."""
        peer = self._transport.getPeer()
        return f"unknown[{getattr(peer, 'host', 'local')}]:{getattr(peer, 'port', 0)}"
