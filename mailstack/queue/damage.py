"""The postmaster hears of damaged letters: one notice for all of a moment, and not another one for an hour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from attrs import Factory, define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailstack.message.notice import Damage, damage_notice
from mailstack.message.voice import Voice
from mailstack.model.address import Address

GATHER = 30.0  # seconds until the first notice: where one thing is damaged, others are
PAUSE = 3600.0  # seconds between two notices

Send = Callable[[Callable[[str, Voice], bytes]], Awaitable[bool]]


@define
class DamageNotices:
    send: Send
    hostname: str
    postmaster: Address
    clock: IReactorTime
    now: Callable[[], float]
    _found: dict[str, str] = Factory(dict)
    _timer: IDelayedCall | None = field(init=False, default=None)
    _last: float = field(init=False, default=-PAUSE)

    def add(self, faults: Mapping[str, str]) -> None:
        """What is wrong, by queue id, or by what else has a name."""
        self._found.update(faults)
        if self._found and self._timer is None:
            delay = max(GATHER, self._last + PAUSE - self.clock.seconds())
            self._timer = self.clock.callLater(delay, self._tell)

    def stop(self) -> None:
        """What was not told is in the log, and ``mailstack queue fsck`` finds it again."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _tell(self) -> None:
        self._timer, self._last = None, self.clock.seconds()
        damage = Damage(dict(self._found), self.now(), self.hostname, self.postmaster)
        self._found.clear()

        def message(id: str, voice: Voice) -> bytes:
            return damage_notice(damage, id, voice)

        async def send() -> None:
            if not await self.send(message):
                self.add(damage.faults)  # with the next one

        Deferred.fromCoroutine(send())
