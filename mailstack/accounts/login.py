"""Who may log in: name and password against the users file, without telling a guesser anything."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Protocol

from zope.interface import implementer

from mailstack.accounts import passwords
from mailstack.accounts.failures import Failures
from mailstack.accounts.schemes import UnusablePassword
from mailstack.accounts.users import Account, Users
from mailstack.accounts.verified import Verified
from mailstack.config.settings import Settings
from mailstack.interfaces import IAuthenticator, IEventLog
from mailstack.model.address import Address
from mailstack.model.reply import Reply

WRONG = Reply(535, "5.7.8", "The name or the password is wrong")
TOO_OFTEN = Reply(454, "4.7.0", "Too many failed log-ins from your address, try again in a minute")
NOT_NOW = Reply(454, "4.7.0", "Passwords cannot be checked now, try again later")


class Verdict(Protocol):
    """Runs a check outside of the reactor, in one of a few threads."""

    def __call__(self, check: Callable[[], bool | None], /) -> Awaitable[bool | None]: ...


@implementer(IAuthenticator)
class Login:
    """``users`` gives the accounts of the moment, None when the file was never readable; ``now`` in seconds."""

    def __init__(
        self,
        settings: Settings,
        users: Callable[[], Users | None],
        now: Callable[[], float],
        in_thread: Verdict,
        log: IEventLog,
    ) -> None:
        self._domains = settings.server.domains
        self._users = users
        self._in_thread = in_thread
        self._log = log
        self._failures = Failures(settings.limits.auth_failures_per_minute, now)
        self._verified = Verified(secrets.token_bytes(32), now)

    async def login(self, name: str, password: str, client: str) -> Address | Reply:
        # Before anything is looked at: a blocked guesser must not learn even from the cache.
        if self._failures.blocked(client):
            return TOO_OFTEN
        users = self._users()
        if users is None:
            return NOT_NOW
        account = self._account(users, name)
        if account and (account, password) in self._verified:
            return account.address
        try:
            right = await self._in_thread(lambda: self._check(account, password, client))
        except MemoryError as error:
            self._log.warn("accounts", note=f"no memory to check a password: {error}")
            return NOT_NOW
        if right is None:
            return TOO_OFTEN
        if account is None or not right:
            return WRONG
        self._verified.add(account, password)
        return account.address

    def _account(self, users: Users, name: str) -> Account | None:
        if "@" not in name and len(self._domains) == 1:
            name = f"{name}@{self._domains[0]}"
        try:
            return users.accounts.get(Address.parse(name).key)
        except ValueError:
            return None

    def _check(self, account: Account | None, password: str, client: str) -> bool | None:
        """In a thread; None: too many failures meanwhile. Somebody unknown takes as long as somebody known."""
        if not self._failures.begin(client):
            return None
        failed = False
        try:
            failed = not _fits(account, password)
        finally:
            if not failed:  # or the check itself went wrong, which is not the client's fault
                self._failures.succeeded(client)
        return not failed


def _fits(account: Account | None, password: str) -> bool:
    if account is not None:
        try:
            return passwords.verify(account.password, password)
        except UnusablePassword:
            pass  # told when the file was read
    return passwords.verify(passwords.DUMMY, password)
