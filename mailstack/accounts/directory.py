"""Who exists: accounts and aliases of the local domains, from files that may change at any time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from attrs import Factory, frozen
from zope.interface import implementer

from mailstack.accounts import aliases, users
from mailstack.accounts.aliases import Aliases
from mailstack.accounts.book import Book, dangling
from mailstack.accounts.names import Names
from mailstack.accounts.returns import returns
from mailstack.accounts.users import Users
from mailstack.accounts.watched import MAX_REPORTS, Watched
from mailstack.config.settings import Settings
from mailstack.interfaces.accounts import IDirectory, Resolution
from mailstack.interfaces.log import IEventLog
from mailstack.model.address import Address
from mailstack.model.letter import Recipient
from mailstack.model.maildir_name import below_mail
from mailstack.model.reply import Reply
from mailstack.protocol.srs import Fault, Srs

UNKNOWN = Reply(550, "5.1.1", "No such user here")
NOT_GIVEN_OUT = Reply(550, "5.1.1", "That is no return address that we gave out")
EXPIRED = Reply(550, "5.1.1", "That return address has expired")
UNSURE = Reply(451, "4.3.0", "The list of our users cannot be used now, try again later")

FAULTS = {"forged": NOT_GIVEN_OUT, "expired": EXPIRED}

NO_ALIASES = Aliases({})
#: Seconds for which nobody looks whether the files are others now: it would be eighty times for twenty recipients.
MOMENT = 0.05
MAX_KNOWN = 1_000  # addresses of one recipient, and mailboxes, that are remembered as long as the files do not change


@frozen
class _Version:
    """The files at one moment, and what was found out of them: so no thread keeps what it has found of others."""

    book: Book
    known: dict[Address, Resolution] = Factory(dict)
    mailboxes: dict[Address, str] = Factory(dict)


@implementer(IDirectory)
class Directory:
    """``now`` in seconds; ``wall`` is Unix time, as files have it. ``users`` is shared with the log-in. Any thread may
    ask."""

    def __init__(self, settings: Settings, now: Callable[[], float], wall: Callable[[], float], log: IEventLog) -> None:
        domains = settings.server.domains
        named = settings.accounts.aliases
        read_users, read_aliases = partial(users.read, domains=domains), partial(aliases.read, domains=domains)
        self.users: Watched[Users] = Watched(settings.accounts.users, read_users, now, wall, log)
        self._aliases: Watched[Aliases] | None = Watched(named, read_aliases, now, wall, log) if named else None
        self._settings = settings
        self._now = now
        self._asked = -MOMENT
        self._names = Names(domains, settings.accounts.recipient_delimiter)
        self._log = log
        self._wall = wall
        self._srs: Srs | None = None
        self._version = _Version(Book(settings, None, None, self._origin))

    def remember(self, key: bytes) -> None:
        """What return addresses are signed with. Before, none is given out, and none is known."""
        self._srs = returns(self._settings, key)

    def is_local(self, domain: str) -> bool:
        return domain in self._settings.server.domains

    def resolve(self, address: Address) -> Resolution:
        version = self._now_in_use()
        known = version.known.get(address)
        if known is not None:
            return known
        found = self._follow(version.book, address)
        # A return address grows old.
        if len(found.recipients) == 1 and not found.bounces_only:
            if len(version.known) >= MAX_KNOWN:
                version.known.clear()
            version.known[address] = found
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
            known = next((FAULTS[rule] for rule in FAULTS if rule in rules), UNKNOWN)
            return Resolution(refusal=UNSURE if self._in_doubt else known)
        return Resolution(tuple(Recipient(target, address) for target in targets), bounces_only="return" in rules)

    def return_address(self, sender: Address, domain: str, when: float) -> Address:
        if self._srs is None or self.is_local(sender.domain):
            return sender
        return self._srs.outward(sender, domain, when) or sender

    def _origin(self, address: Address) -> Address | Fault | None:
        return self._srs.homeward(address, self._wall()) if self._srs else None

    def rule(self, address: Address) -> str:
        book = self.book()
        rule = book.look_up(address, 0, mailbox_only=False).rule
        rule = "unknown" if rule in FAULTS else rule
        # An account may have an alias in the file that cannot be read.
        if book.aliases is None or (rule == "unknown" and self._in_doubt):
            return "unsure"
        return "alias" if rule == "postmaster" else rule

    @property
    def _in_doubt(self) -> bool:
        return self.users.in_doubt or (self._aliases is not None and self._aliases.in_doubt)

    def mailbox(self, address: Address) -> str | None:
        version = self._now_in_use()
        known = version.mailboxes.get(address)
        if known is not None:
            return known
        found = self._mailbox(version.book, address)
        if found is not None:
            if len(version.mailboxes) >= MAX_KNOWN:
                version.mailboxes.clear()
            version.mailboxes[address] = found
        return found

    def _mailbox(self, book: Book, address: Address) -> str | None:
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
        found = self._names.find(known.accounts, name).account if known else None
        return found.address if found else None

    def saves_sent(self, account: Address) -> bool:
        known = self.users.value()
        found = known.accounts.get(account.key) if known else None
        own = found.save_sent if found else None
        return self._settings.submission.save_sent if own is None else own

    def reload(self) -> None:
        """Read the files the next time they are needed, changed or not."""
        self._asked = -MOMENT
        self.users.reload()
        if self._aliases is not None:
            self._aliases.reload()

    def book(self) -> Book:
        """The files as they are now."""
        return self._now_in_use().book

    def _now_in_use(self) -> _Version:
        now = self._now()
        if 0 <= now - self._asked < MOMENT:
            return self._version
        known, named = self.users.value(), self._aliases.value() if self._aliases else NO_ALIASES
        version = self._version
        if known is not version.book.users or named is not version.book.aliases:
            version = self._version = _Version(Book(self._settings, known, named, self._origin))
            for line in list(dangling(version.book))[:MAX_REPORTS]:
                self._log.warn("accounts", note=str(line))
        self._asked = now
        return version
