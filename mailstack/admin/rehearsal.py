"""A server in memory: the real protocol and the real policy with a site's own rules, accounts and aliases. Nothing is
written to the disk, and nothing leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from sys import maxsize
from time import monotonic, time

from attrs import field, frozen
from zope.interface import implementer

from mailstack.accounts.directory import Directory
from mailstack.admin.exchange import TLS, Exchange, replies
from mailstack.admin.quiet_log import QuietLog
from mailstack.admin.trick_returns import KEY
from mailstack.config.settings import PortTls, Settings
from mailstack.intake.rate import SendingRates
from mailstack.intake.reception import Reception
from mailstack.intake.surroundings import Surroundings
from mailstack.interfaces.accounts import Bindings, IAuthenticator, Identity, IDirectory
from mailstack.interfaces.log import IEventLog, ILimitCounts
from mailstack.interfaces.spool import ILetterbox
from mailstack.interfaces.waiting import Dropped, IOwnMail, ITurn, IWaitingMail
from mailstack.model.address import Address
from mailstack.model.entry import Entry
from mailstack.model.letter import Letter
from mailstack.model.reply import Reply
from mailstack.protocol import sasl
from mailstack.protocol.sasl_steps import Lookup, Proof
from mailstack.spool.memory import MemorySpool

WRONG = Reply(535, "5.7.8", "The name or the password is wrong")


@implementer(IAuthenticator)
@frozen
class Gate:
    """Lets in ``account``, with any password; None: nobody. It has no keys for SCRAM."""

    account: Address | None

    def mechanisms(self, bindings: Bindings) -> Sequence[str]:
        return sasl.possible(keys=False, binding=False)

    async def login(self, name: str, password: str, client: str, authzid: str = "") -> Identity | Reply:
        return WRONG if self.account is None else Identity(self.account)

    def look_up(self, lookup: Lookup, bindings: Bindings, client: str) -> Reply | None:
        return WRONG

    async def prove(self, proof: Proof, client: str) -> Identity | Reply:
        return WRONG


class OnlyBugs(QuietLog):
    """A log that keeps what must not happen."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def failure(self, id: str, note: str) -> None:
        self.failures.append(note)


@implementer(ILimitCounts)
class Uncounted:
    """Nobody is held back in earnest here."""

    def struck(self, limit: str, by: str) -> None:
        pass


@implementer(IWaitingMail, IOwnMail)
class NothingWaits:
    """Every call finds an empty queue."""

    async def start(self, domain: str, subdomains: bool) -> int | None:
        return 0

    async def fetch(self, domains: Sequence[str]) -> ITurn | None:
        return None

    async def waiting(self, user: Address, limit: int) -> Sequence[Entry]:
        return ()

    async def drop(self, user: Address, id: str) -> Dropped | None:
        return None


NO_TLS = PortTls(offered=False, required=False)


def without_server(
    settings: Settings,
    directory: IDirectory,
    spool: ILetterbox,
    log: IEventLog,
    *,
    new_id: Callable[[], str],
    free_space: Callable[[], int],
    submission: bool = False,
    tls: PortTls = NO_TLS,
    account: Address | None = None,
) -> Surroundings:
    """What sessions need that no server is around. ``account`` can log in, where log-in is offered."""
    return Surroundings(
        settings,
        directory,
        Gate(account),
        spool,
        log,
        wake=lambda letter: None,
        waiting=NothingWaits(),
        own_mail=NothingWaits(),
        new_id=new_id,
        now=time,
        submission=submission,
        tls=tls.offered,
        tls_required=tls.required,
        counts=Uncounted(),
        free_space=free_space,
        rates=SendingRates(settings.limits.recipients_per_hour),
        notify=lambda message: None,
    )


@frozen
class Rehearsal:
    """One kind of port. ``account`` can log in, where log-in is offered."""

    settings: Settings
    submission: bool
    implicit_tls: bool = False
    account: Address | None = None
    log: OnlyBugs = field(factory=OnlyBugs)
    directory: IDirectory = field(init=False)

    @directory.default
    def _files_of_the_site(self) -> Directory:
        directory = Directory(self.settings, monotonic, time, self.log)
        directory.remember(KEY)
        return directory

    @property
    def option(self) -> tuple[str, str]:
        """Where mail.ini opens this kind of port."""
        return self._service, "listen_tls" if self.implicit_tls else "listen"

    @property
    def _service(self) -> str:
        return "submission" if self.submission else "smtp"

    def call(self, client: str) -> MemoryCall:
        """Somebody with this IP address calls. Every call finds an empty spool."""
        spool = MemorySpool()
        tls = self.settings.tls.policy.of_port(self._service, self.implicit_tls)
        around = without_server(
            self.settings,
            self.directory,
            spool,
            self.log,
            new_id=lambda: f"REHEARSAL{len(spool.stored)}",
            free_space=lambda: maxsize,
            submission=self.submission,
            tls=tls,
            account=self.account,
        )
        reception = Reception(around, client, ip_address(client).is_loopback)
        if self.implicit_tls:
            reception.secured(TLS)
        return MemoryCall(reception, spool)


class MemoryCall:
    """One connection, as :class:`.caller.Call` is one over a socket."""

    def __init__(self, reception: Reception, spool: MemorySpool) -> None:
        self._exchange = Exchange(reception)
        self._spool = spool
        self.greeting = replies(self._exchange.greeting)

    @property
    def closed(self) -> bool:
        return self._exchange.closed

    @property
    def letters(self) -> Sequence[Letter]:
        """What was accepted so far."""
        return [stored.letter for stored in self._spool.stored.values()]

    def say(self, octets: bytes) -> list[str]:
        """The replies. After the one to STARTTLS the call is encrypted."""
        return replies(self._exchange.hear(octets))

    def finish(self) -> list[str]:
        """Hang up. Nothing is unheard in memory."""
        self._exchange.hang_up()
        return []
