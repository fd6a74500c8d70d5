"""Who may log in: name and password against the users file, without telling a guesser anything."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from zope.interface import implementer

from mailstack.accounts import passwords, saslprep
from mailstack.accounts.keyring import Keyring
from mailstack.accounts.names import Named, Names
from mailstack.accounts.pace import Pace
from mailstack.accounts.schemes import UnusablePassword
from mailstack.accounts.tries import NOT_NOW, TOO_OFTEN, InTurn, Pause, Tries
from mailstack.accounts.users import Account, Users
from mailstack.accounts.verified import Verified
from mailstack.config.settings import Settings
from mailstack.interfaces.accounts import Bindings, IAuthenticator, Identity
from mailstack.interfaces.log import IEventLog, ILimitCounts
from mailstack.model.reply import Reply
from mailstack.protocol import sasl, scram
from mailstack.protocol.sasl_steps import Lookup, Opening, Proof

NOT_FOR_OTHERS = Reply(535, "5.7.8", "You cannot act for somebody else")
UNBOUND = Reply(535, "5.7.8", "Your channel is not ours: somebody may be in between")
NO_BINDING = Reply(535, "5.7.8", "This kind of channel binding cannot be had here")

NONCE_SIZE = 18  # octets of chance in our part of a nonce, as many as PostgreSQL has


def new_nonce() -> str:
    """Our part of a nonce."""
    return secrets.token_urlsafe(NONCE_SIZE)


@implementer(IAuthenticator)
class Login:
    """``users`` gives the accounts of the moment, None when the file was never readable; ``now`` in seconds."""

    def __init__(
        self,
        settings: Settings,
        users: Callable[[], Users | None],
        now: Callable[[], float],
        in_turn: InTurn,
        pause: Pause,
        log: IEventLog,
        counts: ILimitCounts,
        nonce: Callable[[], str] = new_nonce,
    ) -> None:
        saslprep.load()
        self._names = Names(settings.server.domains, settings.accounts.recipient_delimiter)
        self._users = users
        self._nonce = nonce
        limit = settings.limits.auth_failures_per_minute
        self._tries = Tries(limit, now, in_turn, pause, log, counts, Pace(now, _nobody))
        self._verified = Verified(secrets.token_bytes(32), now)
        self._keyring = Keyring(secrets.token_bytes(32))

    def remember(self, secret: bytes) -> None:
        """From now on what is made up for accounts that do not exist is made of this. It must be the same after a
        restart, or what has changed would tell who does not exist."""
        self._keyring = Keyring(secret)

    def mechanisms(self, bindings: Bindings) -> Sequence[str]:
        users = self._users()
        keys = users is not None and users.scram
        return sasl.possible(keys, keys and bool(bindings()))

    # ---- With a password

    async def login(self, name: str, password: str, client: str, authzid: str = "") -> Identity | Reply:
        users = self._open_to(client)
        if isinstance(users, Reply):
            return users
        named = self._names.find(users.accounts, name)
        account = named.account
        if account and (account, password) in self._verified:
            await self._tries.known(client, named.key)
        else:
            refusal = await self._tries.check(client, named.key, lambda: _fits(account, password))
            if refusal is not None:
                return refusal
            assert account is not None, "nobody has the password of nobody"
            self._verified.add(account, password)
        return self._as(users, named, authzid)

    # ---- With SCRAM

    def look_up(self, lookup: Lookup, bindings: Bindings, client: str) -> Reply | None:
        users = self._open_to(client)
        if isinstance(users, Reply):
            return users
        binding = b""
        if lookup.flag == "y" and "SCRAM-SHA-256-PLUS" in self.mechanisms(bindings):
            return UNBOUND  # RFC 5802 §6: somebody has taken it out of the list that the client saw
        if lookup.flag not in ("n", "y"):
            binding = bindings().get(lookup.flag, b"")
            if not binding:
                return NO_BINDING
        named = self._names.find(users.accounts, lookup.name)
        salt, iterations = self._keyring.salt(named.account, named.key)
        lookup.supply(Opening(self._nonce(), salt, iterations, binding))
        return None

    async def prove(self, proof: Proof, client: str) -> Identity | Reply:
        users = self._open_to(client)
        if isinstance(users, Reply):
            return users
        if not proof.bound:
            return UNBOUND
        named = self._names.find(users.accounts, proof.name)

        def check() -> bool:
            ours = scram.signature(self._keyring.keys(named.account, named.key), proof)
            if ours is not None:
                proof.supply(ours)
            return ours is not None

        refusal = await self._tries.check(client, named.key, check)
        if refusal is not None:
            return refusal
        return self._as(users, named, proof.authzid)

    # ---- Common to both

    def _open_to(self, client: str) -> Users | Reply:
        # Before anything is looked at: a blocked guesser must not learn even from the cache.
        if self._tries.blocked(client):
            return TOO_OFTEN
        return self._users() or NOT_NOW

    def _as(self, users: Users, named: Named, authzid: str) -> Identity | Reply:
        """RFC 4616 §2: whoever wants to act for somebody else may not. It may name a folder where the name does not."""
        assert named.account is not None, "nobody has the password, or the keys, of nobody"
        wished = self._names.find(users.accounts, authzid) if authzid else named
        if wished.key != named.key:
            return NOT_FOR_OTHERS
        return Identity(named.account.address, named.folder or wished.folder)


def _fits(account: Account | None, password: str) -> bool:
    if account is not None:
        try:
            return passwords.verify(account.password, password)
        except UnusablePassword:
            pass  # told when the file was read
    return passwords.verify(passwords.DUMMY, password)


def _nobody() -> bool:
    return _fits(None, "")
