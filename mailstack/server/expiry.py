"""Removes what is older than ``[pop3] expire`` allows: what EXPIRE (RFC 2449 §6.7) tells the clients, as a service.

RFC 1939 §6 forbids that a session removes what its client did not mark, and many people never log in: so this happens
outside of sessions, some time after the days are over. Only the inbox is looked at. It is what a client with "leave
messages on the server" fills without end; other folders are where people put what they want to keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.mailboxes import IMailbox, IMailboxes, MailboxInUse
from mailstack.model.address import Address
from mailstack.server.fetched import letter_lines
from mailstack.server.pop3_policy import InThread

DAY = 86_400  # seconds
FIRST = 60.0  # seconds after the start: whoever waits for the server goes first
PAUSE = 6 * 3_600.0  # seconds between two rounds
LEAP = 3_600.0  # seconds by which the clock may be put forward between two rounds


@frozen
class Removed:
    count: int
    of: int  #: messages in the mailbox
    left: int  #: could not be removed
    letters: Sequence[dict[str, object]]  #: which ones, as fields of lines for the log


class Expiry(Service):
    """``accounts`` gives those of the moment. ``wall`` is Unix time, ``steady`` a clock that nobody puts forward."""

    name = "expiry"

    def __init__(
        self,
        days: int,
        accounts: Callable[[], Iterable[Address]],
        mailboxes: IMailboxes,
        in_thread: InThread,
        clock: IReactorTime,
        wall: Callable[[], float],
        steady: Callable[[], float],
        log: IEventLog,
    ) -> None:
        self._days = days
        self._accounts = accounts
        self._mailboxes = mailboxes
        self._in_thread = in_thread
        self._clock = clock
        self._wall = wall
        self._steady = steady
        self._log = log
        self._next: IDelayedCall | None = None
        self._round: Deferred[None] | None = None
        self._ahead: float | None = None  # by which wall was before steady at the last round

    def startService(self) -> None:
        Service.startService(self)
        self._next = self._clock.callLater(FIRST, self._begin)

    def stopService(self) -> Deferred[None] | None:
        """When the mailbox at hand is done."""
        Service.stopService(self)
        if self._next is not None:
            self._next.cancel()
            self._next = None
        return self._round

    def _begin(self) -> None:
        self._next = None
        self._round = Deferred.fromCoroutine(self._look_through()).addBoth(self._rest)

    def _rest(self, result: Any) -> None:
        if isinstance(result, Failure):
            self._log.warn("pop3", note=f"a bug, please report it: old messages are not removed: {result.value!r}")
        self._round = None
        if self.running:
            self._next = self._clock.callLater(PAUSE, self._begin)

    async def _look_through(self) -> None:
        if self._leapt():
            self._log.warn("pop3", note="the clock has leapt forward: no old messages are removed this time")
            return
        before = self._wall() - self._days * DAY
        for account in list(self._accounts()):
            if not self.running:
                return
            try:
                await self._clear(account, before)
            except OSError as error:
                self._log.warn("pop3", user=f"<{account}>", note=f"old messages are not removed: {error}")

    def _leapt(self) -> bool:
        """A clock that is put forward by years must not cost anybody his mail."""
        ahead, last = self._wall() - self._steady(), self._ahead
        self._ahead = ahead
        return last is not None and ahead - last > LEAP

    async def _clear(self, account: Address, before: float) -> None:
        try:
            removed = await self._in_thread(self._remove, account, before)
        except MailboxInUse:
            return  # next time
        if removed.count:
            counts = f"{removed.count}/{removed.of}"
            self._log.event("pop3", user=f"<{account}>", expired=counts, note=f"older than {self._days} days")
        for letters in removed.letters:
            self._log.detail("pop3", what="Expired:", user=f"<{account}>", **letters)
        if removed.left:
            self._log.warn("pop3", user=f"<{account}>", note=f"{removed.left} old messages could not be removed")

    def _remove(self, account: Address, before: float) -> Removed:
        """Blocking."""
        mailbox = self._mailboxes.open(account)
        try:
            old = expired(mailbox, before)
            left = set(mailbox.delete(old)) if old else set()
            letters = list(letter_lines(mailbox, [index for index in old if index not in left]))
            return Removed(len(old) - len(left), mailbox.count, len(left), letters)
        finally:
            mailbox.close()


def expired(mailbox: IMailbox, before: float) -> list[int]:
    """The indexes of what has arrived before a Unix time; never of what does not tell when it arrived."""
    times = ((index, mailbox.arrived(index)) for index in range(mailbox.count))
    return [index for index, arrived in times if arrived is not None and arrived < before]
