"""Letters on a connection that the other side has opened to fetch them: ATRN, RFC 2645."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from mailstack.delivery.connection import Connection
from mailstack.delivery.courier import OPENING
from mailstack.delivery.parcel import Parcel, outcomes, packed
from mailstack.interfaces.delivery import Outcomes
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool
from mailstack.interfaces.waiting import Errand, ILine
from mailstack.model.letter import Due
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_client import SmtpClient
from mailstack.protocol.smtp_dialogue import Patience
from mailstack.protocol.smtp_opening import Manner

LONGEST = 12 * 3_600.0  #: seconds until no letter is begun any more: a line may be slow, and much may wait for it
#: For recipients that the last letter of a session leaves over.


@implementer(ILine)
class Line(Connection):
    """TLS is as it was before the roles were turned; ``errand`` begins when the connection is ours."""

    def __init__(self, clock: IReactorTime, hostname: str, spool: ISpool, log: IEventLog, errand: Errand) -> None:
        super().__init__(clock, SmtpClient(Manner(hostname, tls="none"), Patience()), None, OPENING)
        self._spool = spool
        self._log = log
        self._errand = errand

    # ---- The connection

    def connectionMade(self) -> None:
        peer = self._transport.getPeer()
        # As Postfix writes hosts whose name it does not know.
        self.relay = f"unknown[{getattr(peer, 'host', 'local')}]:{getattr(peer, 'port', 0)}"
        handle = self._transport.getHandle() if hasattr(self.transport, "getHandle") else None
        if hasattr(handle, "get_cipher_name"):
            self.client.trust()
        super().connectionMade()
        Deferred.fromCoroutine(self._run()).addErrback(self._bug)

    async def _run(self) -> None:
        await self._errand(self)
        if self.client.unfit is not None:
            self._log.warn("queue", relay=self.relay, what=f"the client took no mail: {self.client.unfit}")

    def _bug(self, failure: Failure) -> None:
        self._log.warn("queue", what=f"a bug, so the line is cut: {failure.getErrorMessage()}")
        self.abort()

    # ---- The errand

    async def opened(self) -> bool:
        await self.settled()
        return self.usable()

    def usable(self) -> bool:
        return super().usable() and self._clock.seconds() - self.made < LONGEST

    async def deliver(self, dues: Sequence[Due]) -> Sequence[Outcomes]:
        return [await self._deliver(due) for due in dues]

    async def _deliver(self, due: Due) -> Outcomes:
        if not self.usable():
            raise CancelledError
        parcel = packed(self._spool, self._log, due.letter, due.pending)
        if isinstance(parcel, Reply):
            return outcomes(dict.fromkeys([each.number for each in due.pending], parcel))
        with parcel:
            answers = await self._answers(parcel)
        # Nothing is said of where such mail goes otherwise, so nobody is unreachable.
        action = "" if self.client.next_hop_reports else "relayed"
        return outcomes(answers, self.relay, action=action, conn_use=self.letters)

    async def _answers(self, parcel: Parcel) -> Mapping[int, Reply]:
        """Of one transaction: who takes few recipients at a time gets the others in the next one."""
        await parcel.hand_to(self)
        if self.aborted:
            raise CancelledError
        return self.client.answers
