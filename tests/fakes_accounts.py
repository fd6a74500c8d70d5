"""Accounts in memory: small providers that pass the same contracts as the real ones (tests/accounts/contract.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zope.interface import implementer

from mailstack.interfaces import IAuthenticator, IDirectory, Resolution
from mailstack.model.address import Address
from mailstack.model.letter import Recipient
from mailstack.model.reply import Reply

UNKNOWN = Reply(550, "5.1.1", "No such user here")
WRONG = Reply(535, "5.7.8", "The name or the password is wrong")
TOO_OFTEN = Reply(454, "4.7.0", "Too many failed log-ins from your address")


@implementer(IDirectory)
class MemoryDirectory:
    """``aliases`` by key (``local@domain``) have their final targets. A ``+`` begins a sub-address."""

    def __init__(
        self,
        accounts: Sequence[str],
        aliases: Mapping[str, Sequence[str]] = {},
        domains: Sequence[str] = ("office.test",),
    ) -> None:
        self._accounts = {key: Address.parse(key) for key in accounts}
        self._aliases = {key: [Address.parse(target) for target in targets] for key, targets in aliases.items()}
        self._domains = domains
        for domain in domains:
            for name in ("postmaster", "abuse"):
                self._aliases.setdefault(f"{name}@{domain}", [Address("postmaster", domains[0])])
        self._postmaster = Address("postmaster", domains[0])

    def is_local(self, domain: str) -> bool:
        return domain in self._domains

    def resolve(self, address: Address) -> Resolution:
        base = Address(address.local.partition("+")[0], address.domain)
        for key in (address.key, base.key):
            found = self._aliases.get(key) or ([self._accounts[key]] if key in self._accounts else [])
            if found:
                return Resolution(tuple(Recipient(target, address) for target in found))
        return Resolution(refusal=UNKNOWN)

    def mailbox(self, address: Address) -> str | None:
        known = address.key in self._accounts or address.key == self._postmaster.key
        return f"{address.domain}/{address.local}" if known else None

    def accounts(self) -> Sequence[Address]:
        return sorted(self._accounts.values())


@implementer(IAuthenticator)
class MemoryAuthenticator:
    """``passwords`` by address. Ten failures block a client for ever."""

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._passwords = passwords
        self._failures: dict[str, int] = {}

    async def login(self, name: str, password: str, client: str) -> Address | Reply:
        if self._failures.get(client, 0) >= 10:
            return TOO_OFTEN
        domains = {key.rpartition("@")[2] for key in self._passwords}
        key = name.lower() if "@" in name else f"{name.lower()}@{min(domains)}"
        if key in self._passwords and self._passwords[key] == password:
            return Address.parse(key)
        self._failures[client] = self._failures.get(client, 0) + 1
        return WRONG


class HandClock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
