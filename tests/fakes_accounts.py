"""Accounts in memory: small providers that pass the same contracts as the real ones (tests/accounts/contract.py)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence

from zope.interface import implementer

from mailstack.interfaces.accounts import Bindings, IAuthenticator, Identity, IDirectory, Resolution
from mailstack.model.address import Address
from mailstack.model.letter import Recipient
from mailstack.model.reply import Reply
from mailstack.protocol import sasl, scram
from mailstack.protocol.sasl_steps import Lookup, Opening, Proof
from mailstack.protocol.srs import Fault, Srs

UNKNOWN = Reply(550, "5.1.1", "No such user here")
WRONG = Reply(535, "5.7.8", "The name or the password is wrong")
TOO_OFTEN = Reply(454, "4.7.0", "Too many failed log-ins from your address")
NOT_FOR_OTHERS = Reply(535, "5.7.8", "You cannot act for somebody else")
UNBOUND = Reply(535, "5.7.8", "Not the same channel")

#: As in the example of RFC 7677 §3.
NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
ITERATIONS = 4096


def meanings(name: str) -> list[tuple[str, str]]:
    """A name, and what it is without a folder, each with the folder."""
    head, _, folder = name.partition("/")
    local, at, domain = name.partition("@")
    base, _, detail = local.partition("+")
    return [(name, ""), (head, folder), (f"{base}{at}{domain}", detail)]


@implementer(IDirectory)
class MemoryDirectory:
    """``aliases`` by key (``local@domain``) have their final targets. A ``+`` begins a sub-address. Return addresses
    are those of ``srs``, of which all are made, and read, on the first day."""

    def __init__(
        self,
        accounts: Sequence[str],
        aliases: Mapping[str, Sequence[str]] = {},
        domains: Sequence[str] = ("office.test",),
        srs: Srs | None = None,
    ) -> None:
        self._srs = srs
        self.savers: set[str] = set()  #: keys of the accounts whose Sent folders get copies
        self._accounts = {address.key: address for address in map(Address.parse, accounts)}
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
        origin = self._origin(address)
        if isinstance(origin, Address):
            return Resolution((Recipient(origin, address),), bounces_only=True)
        return Resolution(refusal=UNKNOWN)

    def return_address(self, sender: Address, domain: str, when: float) -> Address:
        if self._srs is None or self.is_local(sender.domain):
            return sender
        return self._srs.outward(sender, domain, 0.0) or sender

    def _origin(self, address: Address) -> Address | Fault | None:
        return self._srs.homeward(address, 0.0) if self._srs else None

    def rule(self, address: Address) -> str:
        base = Address(address.local.partition("+")[0], address.domain)
        for key in (address.key, base.key):
            if key in self._aliases:
                return "alias"
            if key in self._accounts:
                return "account"
        return "return" if isinstance(self._origin(address), Address) else "unknown"

    def mailbox(self, address: Address) -> str | None:
        known = address.key in self._accounts or address.key == self._postmaster.key
        return f"{address.domain}/{address.local}" if known else None

    def accounts(self) -> Sequence[Address]:
        return sorted(self._accounts.values())

    def account(self, name: str) -> Address | None:
        for each, _ in meanings(name):
            whole = f"{each}@{self._domains[0]}" if "@" not in each and len(self._domains) == 1 else each
            if whole.lower() in self._accounts:
                return self._accounts[whole.lower()]
        return None

    def saves_sent(self, account: Address) -> bool:
        return account.key in self.savers


@implementer(IAuthenticator)
class MemoryAuthenticator:
    """``passwords`` by address. Ten failures block a client for ever. SCRAM only with ``scram``, and with one NONCE."""

    def __init__(self, passwords: Mapping[str, str], scram: bool = True) -> None:
        self.scram = scram
        self._passwords = passwords
        self._failures: dict[str, int] = {}

    def mechanisms(self, bindings: Bindings) -> Sequence[str]:
        return sasl.possible(self.scram, self.scram and bool(bindings()))

    async def login(self, name: str, password: str, client: str, authzid: str = "") -> Identity | Reply:
        if self.blocked(client):
            return TOO_OFTEN
        key, folder = self._key(name)
        return self._answer(key, folder, self._passwords.get(key) == password, client, authzid)

    def look_up(self, lookup: Lookup, bindings: Bindings, client: str) -> Reply | None:
        if self.blocked(client):
            return TOO_OFTEN
        bound = lookup.flag not in ("n", "y")
        if (lookup.flag == "y" and bindings()) or (bound and lookup.flag not in bindings()):
            return UNBOUND
        lookup.supply(Opening(NONCE, SALT, ITERATIONS, bindings()[lookup.flag] if bound else b""))
        return None

    async def prove(self, proof: Proof, client: str) -> Identity | Reply:
        if self.blocked(client):
            return TOO_OFTEN
        if not proof.bound:
            return UNBOUND
        key, folder = self._key(proof.name)
        keys = scram.derive(self._passwords.get(key, "\0").encode(), SALT, ITERATIONS)
        signature = scram.signature(keys, proof)
        proof.supply(signature or b"")
        return self._answer(key, folder, signature is not None, client, proof.authzid)

    def blocked(self, client: str) -> bool:
        return self._failures.get(client, 0) >= 10

    def _key(self, name: str) -> tuple[str, str]:
        domains = {key.rpartition("@")[2] for key in self._passwords}
        for each, folder in meanings(name):
            key = each.lower() if "@" in each else f"{each.lower()}@{min(domains)}"
            if key in self._passwords:
                return key, folder
        return name.lower(), ""

    def _answer(self, key: str, folder: str, right: bool, client: str, authzid: str) -> Identity | Reply:
        if not right:
            self._failures[client] = self._failures.get(client, 0) + 1
            return WRONG
        if authzid and self._key(authzid)[0] != key:
            return NOT_FOR_OTHERS
        return Identity(Address.parse(key), folder)


class HandClock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
