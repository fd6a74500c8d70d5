"""DNS of the world: who is where, when it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from mailstack.interfaces.delivery import IResolver
from mailstack.model.reply import Reply
from tests.delivery.memory_dns import MemoryResolver
from tests.simulation.clock import Owner

SILENCE = 10.0  # seconds until we believe that nobody answers
NO_ANSWER = Reply(451, "4.4.3", "DNS does not answer")


class Names:
    """``zone`` may change while others ask."""

    def __init__(self, zone: dict[tuple[str, str], list[str]], rng: Random) -> None:
        self.resolver = MemoryResolver(zone)
        self.rng = rng
        self.failing = 0.0  #: how likely a question is lost
        self.slow = 0.0  #: how likely an answer takes seconds

    def of(self, owner: Owner) -> Resolver:
        return Resolver(self, owner)


@implementer(IResolver)
class Resolver:
    """DNS as one machine sees it."""

    def __init__(self, names: Names, owner: Owner) -> None:
        self._names = names
        self._owner = owner

    async def mail_exchangers(self, domain: str) -> Sequence[tuple[int, str]] | Reply:
        found: Sequence[tuple[int, str]] | Reply = await self._ask(self._names.resolver.mail_exchangers, domain)
        return found

    async def addresses(self, host: str) -> Sequence[str] | Reply:
        found: Sequence[str] | Reply = await self._ask(self._names.resolver.addresses, host)
        return found

    async def _ask(self, question: Callable[[str], Awaitable[Any]], name: str) -> Any:
        rng, names = self._names.rng, self._names
        lost = names.failing and rng.random() < names.failing
        slow = names.slow and rng.random() < names.slow
        wait = SILENCE if lost else rng.uniform(0.5, SILENCE) if slow else rng.uniform(0.0, 0.05)
        gate: Deferred[None] = Deferred()
        self._owner.later(wait, gate.callback, None)
        await gate
        return NO_ANSWER if lost else await question(name)
