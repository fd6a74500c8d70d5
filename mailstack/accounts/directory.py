"""Who exists: accounts and aliases of the local domains, from files that may change at any time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from zope.interface import implementer

from mailstack.accounts import aliases, users
from mailstack.accounts.aliases import Aliases
from mailstack.accounts.book import Book, dangling
from mailstack.accounts.names import login_key
from mailstack.accounts.users import Users
from mailstack.accounts.watched import MAX_REPORTS, Watched
from mailstack.config.settings import Settings
from mailstack.interfaces.accounts import IDirectory, Resolution
from mailstack.interfaces.log import IEventLog
from mailstack.model.address import Address
from mailstack.model.letter import Recipient
from mailstack.model.maildir_name import below_mail
from mailstack.model.reply import Reply

UNKNOWN = Reply(550, "5.1.1", "No such user here")
UNSURE = Reply(451, "4.3.0", "The list of our users cannot be used now, try again later")

NO_ALIASES = Aliases({})
MAX_KNOWN = 1_000  # addresses of one recipient that are remembered, as long as the files do not change


@implementer(IDirectory)
class Directory:
    """``now`` in seconds; ``wall`` is Unix time, as files have it. ``users`` is shared with the log-in."""

    def __init__(self, settings: Settings, now: Callable[[], float], wall: Callable[[], float], log: IEventLog) -> None:
        domains = settings.server.domains
        named = settings.accounts.aliases
        read_users, read_aliases = partial(users.read, domains=domains), partial(aliases.read, domains=domains)
        self.users: Watched[Users] = Watched(settings.accounts.users, read_users, now, wall, log)
        self._aliases: Watched[Aliases] | None = Watched(named, read_aliases, now, wall, log) if named else None
        self._settings = settings
        self._log = log
        self._book = Book(settings, None, None)
        self._known: dict[Address, Resolution] = {}

    def is_local(self, domain: str) -> bool:
        return domain in self._settings.server.domains

    def resolve(self, address: Address) -> Resolution:
        book = self.book()
        known = self._known.get(address)
        if known is not None:
            return known
        found = self._follow(book, address)
        if len(found.recipients) == 1:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[address] = found
        return found

    def _follow(self, book: Book, address: Address) -> Resolution:
        targets: dict[Address, None] = {}
        rules: set[str] = set()
        for step in book.steps(address):
            rules.add(step.rule)
            if step.rule in ("account", "elsewhere"):
                targets[step.targets[0]] = None
        # Rather later than to some of them only: the postmaster has been told in the log.
        if rules & {"unsure", "too many"} or ("loop" in rules and not targets):
            return Resolution(refusal=UNSURE)
        if not targets:
            return Resolution(refusal=UNSURE if self._in_doubt else UNKNOWN)
        return Resolution(tuple(Recipient(target, address) for target in targets))

    def rule(self, address: Address) -> str:
        book = self.book()
        rule = book.look_up(address, 0, mailbox_only=False).rule
        # An account may have an alias in the file that cannot be read.
        if book.aliases is None or (rule == "unknown" and self._in_doubt):
            return "unsure"
        return "alias" if rule == "postmaster" else rule

    @property
    def _in_doubt(self) -> bool:
        return self.users.in_doubt or (self._aliases is not None and self._aliases.in_doubt)

    def mailbox(self, address: Address) -> str | None:
        book = self.book()
        # With no list to look at, a letter that was accepted earlier is delivered rather than bounced.
        if not book.has_mailbox(address) and (book.users is not None or not self.is_local(address.domain)):
            return None
        try:
            return below_mail(address)
        except ValueError:
            return None

    def accounts(self) -> Sequence[Address]:
        known = self.users.value()
        return sorted(account.address for account in known.accounts.values()) if known else ()

    def account(self, name: str) -> Address | None:
        known = self.users.value()
        found = known.accounts.get(login_key(name, self._settings.server.domains)) if known else None
        return found.address if found else None

    def reload(self) -> None:
        """Read the files the next time they are needed, changed or not."""
        self.users.reload()
        if self._aliases is not None:
            self._aliases.reload()

    def book(self) -> Book:
        """The files as they are now."""
        known, named = self.users.value(), self._aliases.value() if self._aliases else NO_ALIASES
        if known is not self._book.users or named is not self._book.aliases:
            self._book, self._known = Book(self._settings, known, named), {}
            for line in list(dangling(self._book))[:MAX_REPORTS]:
                self._log.warn("accounts", note=str(line))
        return self._book
