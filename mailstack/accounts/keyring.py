"""What SCRAM needs of an account, and of one that does not exist: nobody can tell which is which."""

from __future__ import annotations

import hmac

from mailstack.accounts import passwords
from mailstack.accounts.saslprep import octets
from mailstack.accounts.users import Account
from mailstack.accounts.verifiers import ITERATIONS, SALT_SIZE
from mailstack.protocol.scram import Verifier, derive


class Keyring:
    """``secret`` is random and nobody else's; ``name`` is what the client calls the account, in its one form."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def salt(self, account: Account | None, name: str) -> tuple[bytes, int]:
        """Salt and iterations. Quick. Made up where there are no keys, and the same each time."""
        keys = account.keys if account else None
        return (keys.salt, keys.iterations) if keys else (self._made_up("salt", name)[:SALT_SIZE], ITERATIONS)

    def keys(self, account: Account | None, name: str) -> Verifier:
        """Takes as long for every account, and for none; nobody has a password that fits the keys of the latter."""
        salt = self._made_up("salt", name)[:SALT_SIZE]
        clear = passwords.clear(account.password) if account else None
        derived = derive(octets(clear or ""), salt, ITERATIONS)
        if account and account.keys:
            return account.keys
        if clear:
            return derived
        return Verifier(ITERATIONS, salt, self._made_up("stored", name), self._made_up("server", name))

    def _made_up(self, what: str, name: str) -> bytes:
        return hmac.digest(self._secret, f"{what} {name}".encode("utf-8", "surrogateescape"), "sha256")
