"""A server in memory: the real protocol and the real policy with a site's own rules, accounts and aliases. Nothing is
written to the disk, and nothing leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from ipaddress import ip_address
from sys import maxsize
from time import monotonic, time

from attrs import field, frozen
from zope.interface import implementer

from mailstack.accounts.directory import Directory
from mailstack.admin.trick_returns import KEY
from mailstack.config.settings import Settings
from mailstack.intake.rate import SendingRates
from mailstack.intake.reception import Reception
from mailstack.intake.surroundings import Surroundings
from mailstack.interfaces.accounts import Bindings, IAuthenticator, IDirectory
from mailstack.interfaces.log import IEventLog, ILimitCounts
from mailstack.interfaces.waiting import ITurn, IWaitingMail
from mailstack.model.address import Address
from mailstack.model.letter import Letter
from mailstack.model.reply import Reply
from mailstack.protocol import sasl
from mailstack.protocol.sasl_steps import Lookup, Proof
from mailstack.protocol.smtp_events import Body, Event, StartTls
from mailstack.protocol.smtp_server import SmtpServer
from mailstack.spool.memory import MemorySpool

TLS = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384"  # as the log would name it
WRONG = Reply(535, "5.7.8", "The name or the password is wrong")


@implementer(IAuthenticator)
@frozen
class Gate:
    """Lets in ``account``, with any password; None: nobody. It has no keys for SCRAM."""

    account: Address | None

    def mechanisms(self, bindings: Bindings) -> Sequence[str]:
        return sasl.possible(keys=False, binding=False)

    async def login(self, name: str, password: str, client: str, authzid: str = "") -> Address | Reply:
        return WRONG if self.account is None else self.account

    def look_up(self, lookup: Lookup, bindings: Bindings, client: str) -> Reply | None:
        return WRONG

    async def prove(self, proof: Proof, client: str) -> Address | Reply:
        return WRONG


@implementer(IEventLog)
class OnlyBugs:
    """A log that keeps what must not happen."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def event(self, id: str, **fields: object) -> None:
        pass

    def warn(self, id: str, **fields: object) -> None:
        pass

    def failure(self, id: str, note: str) -> None:
        self.failures.append(note)


@implementer(ILimitCounts)
class Uncounted:
    """Nobody is held back in earnest here."""

    def struck(self, limit: str, by: str) -> None:
        pass


@implementer(IWaitingMail)
class NothingWaits:
    """Every call finds an empty queue."""

    async def start(self, domain: str, subdomains: bool) -> int | None:
        return 0

    async def fetch(self, domains: Sequence[str]) -> ITurn | None:
        return None


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
        around = Surroundings(
            self.settings,
            self.directory,
            Gate(self.account),
            spool,
            self.log,
            wake=lambda letter: None,
            waiting=NothingWaits(),
            new_id=lambda: f"REHEARSAL{len(spool.stored)}",
            now=time,
            submission=self.submission,
            tls=tls.offered,
            tls_required=tls.required,
            counts=Uncounted(),
            free_space=lambda: maxsize,
            rates=SendingRates(self.settings.limits.recipients_per_hour),
            notify=lambda message: None,
        )
        reception = Reception(around, client, ip_address(client).is_loopback)
        if self.implicit_tls:
            reception.secured(TLS)
        return MemoryCall(reception, spool)


class MemoryCall:
    """One connection, as :class:`.caller.Call` is one over a socket."""

    def __init__(self, reception: Reception, spool: MemorySpool) -> None:
        self._reception = reception
        self._spool = spool
        self._server = SmtpServer()
        self.greeting = replies(reception.greeting().wire())

    @property
    def closed(self) -> bool:
        return self._server.closing

    @property
    def letters(self) -> Sequence[Letter]:
        """What was accepted so far."""
        return [stored.letter for stored in self._spool.stored.values()]

    def say(self, octets: bytes) -> list[str]:
        """The replies. After the one to STARTTLS the call is encrypted."""
        self._server.receive(octets)
        said = b""
        while (event := self._server.next_event()) is not None:
            said += self._answer(event)
        return replies(said)

    def finish(self) -> list[str]:
        """Hang up. Nothing is unheard in memory."""
        self._reception.closed()
        return []

    def _answer(self, event: Event) -> bytes:
        if isinstance(event, Body):
            self._reception.body(event.chunk)
            return b""
        decision = self._reception.decide(event)
        reply = decision if isinstance(decision, Reply) else at_once(decision)
        octets = self._server.answer(reply)
        if isinstance(event, StartTls) and reply.positive:
            self._reception.secured(TLS)
        return octets


def at_once(decision: Awaitable[Reply]) -> Reply:
    """The result of a decision that has nothing to wait for: no disk, no thread, no clock is here."""

    async def decided() -> Reply:
        return await decision

    work = decided()
    try:
        work.send(None)
    except StopIteration as stop:
        reply: Reply = stop.value
        return reply
    work.close()
    raise RuntimeError("a decision waits for what is not here")


def replies(octets: bytes) -> list[str]:
    """Replies, each with all its lines (RFC 5321 §4.2.1); one that is cut off counts, too."""
    found: list[str] = []
    open_ = False
    for line in octets.decode("utf-8", "backslashreplace").split("\n"):
        text = line.removesuffix("\r")
        if not text and not open_:
            continue
        found[-1:] = [f"{found[-1]}\n{text}"] if open_ else [*found[-1:], text]
        open_ = text[3:4] == "-"
    return found
