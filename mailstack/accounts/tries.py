"""One try to log in: checked in a thread, counted while it is in flight, answered when its time has come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from mailstack.accounts.failures import Failures
from mailstack.accounts.pace import Pace
from mailstack.interfaces.log import IEventLog, ILimitCounts
from mailstack.model.reply import Reply

WRONG = Reply(535, "5.7.8", "The name or the password is wrong")
TOO_OFTEN = Reply(454, "4.7.0", "Too many failed log-ins from your address, try again in a minute")
NOT_NOW = Reply(454, "4.7.0", "Passwords cannot be checked now, try again later")


class InTurn(Protocol):
    """Runs a check outside of the reactor, in one of a few threads, when its turn has come: friends go first, then each
    party once."""

    def __call__(self, check: Callable[[], float | None], /, party: str, friend: bool) -> Awaitable[float | None]: ...


class Pause(Protocol):
    """Lets time pass, while others are served."""

    def __call__(self, seconds: float, /) -> Awaitable[object]: ...


class Tries:
    """``client`` is an address, ``account`` the one form of the name that it gives. ``now`` in seconds."""

    def __init__(
        self,
        limit: int,
        now: Callable[[], float],
        in_turn: InTurn,
        pause: Pause,
        log: IEventLog,
        counts: ILimitCounts,
        pace: Pace,
    ) -> None:
        """``limit`` is that of failures a minute from one address."""
        self._failures = Failures(limit, now)
        self._pace = pace
        self._now = now
        self._in_turn = in_turn
        self._pause = pause
        self._log = log
        self._counts = counts

    def blocked(self, client: str) -> bool:
        blocked = self._failures.blocked(client)
        if blocked:
            self._struck(client)
        return blocked

    def _struck(self, client: str) -> None:
        self._counts.struck("auth_failures_per_minute", client)

    async def known(self, client: str, account: str) -> None:
        """No try, as the password was right a moment ago. It waits all the same: or whoever is not answered at once
        would know that the guess was wrong."""
        await self._wait(self._failures.delay(client, account))

    async def check(self, client: str, account: str, check: Callable[[], bool]) -> Reply | None:
        """The refusal; None: it was right. ``check`` may be slow, and raise MemoryError."""
        begun, right = self._now(), False

        def counted() -> float | None:
            """The moment at which the answer may go."""
            nonlocal right
            seconds = self._failures.begin(client, account)
            if seconds is None:
                return None
            failed = False
            try:
                right, soonest = self._pace.timed(check)
                failed = not right
            finally:
                if not failed:  # or the check itself went wrong, which is not the client's fault
                    self._failures.take_back(client, account)
            # From the beginning: how long the check took must not show.
            return begun + seconds if right else max(begun + seconds, soonest)

        try:
            moment = await self._in_turn(
                counted, self._failures.party(client), self._failures.familiar(client, account)
            )
        except MemoryError as error:
            self._log.warn("accounts", note=f"no memory to check a password: {error}")
            return NOT_NOW
        if moment is None:
            self._struck(client)
            return TOO_OFTEN
        await self._wait(moment - self._now())
        if not right:
            return WRONG
        self._failures.welcome(client, account)
        return None

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            await self._pause(seconds)
