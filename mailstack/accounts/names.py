"""What people call themselves when they log in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from mailstack.accounts.saslprep import prepared
from mailstack.accounts.users import Account
from mailstack.model.address import MAX_NAME, Address, address_domain, short_name
from mailstack.model.maildir_name import MAX_LOCAL_PART

#: Characters of a name that are looked at: an address, and a folder as long as file systems take it.
LONGEST = MAX_NAME + 256


@frozen
class Named:
    """Whom a name means. ``key`` is the one form of it, without a folder, also if there is no such account: so that a
    guesser sees no difference."""

    key: str
    account: Account | None
    folder: str  #: as it was written; "" for the inbox


@frozen
class Names:
    """``delimiter`` is [accounts] recipient_delimiter."""

    domains: Sequence[str]
    delimiter: str

    def find(self, accounts: Mapping[str, Account], name: str) -> Named:
        """``accounts`` are by :attr:`Address.key`."""
        if len(name) > LONGEST:
            return Named(short_name(name), None, "")
        key, folder = "", ""
        for key, folder in self._meanings(prepared(name)):
            if key in accounts:
                return Named(key, accounts[key], folder)
        return Named(short_name(key), None, folder)

    def _meanings(self, name: str) -> Iterator[tuple[str, str]]:
        """The key of an account, and a folder, in the order in which they count: the whole name, what stands before a
        slash, what stands before a delimiter, the longest first. No account's name has a slash."""
        yield self._key(name), ""
        head, slash, folder = name.partition("/")
        at = domain = ""
        if "@" not in head:
            rest, at, domain = folder.rpartition("@")
            if at and self._is_ours(domain):  # alice/Junk@office.test
                folder = rest
            elif slash:
                at = domain = ""
        else:
            head, at, domain = head.rpartition("@")
        if slash:
            yield self._key(f"{head}{at}{domain}"), folder
        if at and not self._is_ours(domain):
            return  # nobody's, and every further look at it costs
        for place in self._delimiters(head):
            below = f"{head[place + 1 :]}{slash}{folder}"
            yield self._key(f"{head[:place]}{at}{domain}"), below

    def _delimiters(self, local: str) -> Iterator[int]:
        """Where the name of an account may end, the last place first."""
        places = range(min(len(local), MAX_LOCAL_PART + 1) - 1, 0, -1)
        return (place for place in places if local[place] == self.delimiter)

    def _is_ours(self, domain: str) -> bool:
        try:
            return address_domain(domain) in self.domains
        except ValueError:
            return False

    def _key(self, name: str) -> str:
        """The one form of a name, however it was written: :attr:`Address.key`, if it can be an address at all. Where
        there is one domain, it may be left out."""
        if "@" not in name and len(self.domains) == 1:
            name = f"{name}@{self.domains[0]}"
        try:
            return Address.parse(name).key
        except ValueError:
            return name
