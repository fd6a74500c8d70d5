"""A small office that receives mail, all in memory: what tests of the receiver share."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

from attrs import define, field
from zope.interface import implementer

from mailstack.config.settings import Accounts, Limits, Relay, Server, Settings, SmtpListener
from mailstack.intake.rate import SendingRates
from mailstack.intake.reception import Reception
from mailstack.intake.surroundings import Surroundings
from mailstack.interfaces.spool import IIncoming, ISpool
from mailstack.model.address import Address
from mailstack.model.entry import Entry
from mailstack.model.letter import Letter
from mailstack.protocol.srs import Srs
from mailstack.queue.own_mail import OwnMail
from mailstack.spool.memory import MemoryIncoming, MemorySpool
from tests.fakes import FakeWaitingMail, ListCounts, ListLog
from tests.fakes_accounts import MemoryAuthenticator, MemoryDirectory
from tests.message.meanings import VOICES

STRANGER, NEIGHBOUR = "192.0.2.7", "198.51.100.9"  #: the second is in [relay] networks
PROXY, LOCAL_PROXY = "198.51.100.25", "127.0.0.25"  #: in [server] xclient; the first is in [relay] networks too
FETCH = (("backup.test", Address("bob", "office.test")), ("dialup.test", Address("bob", "office.test")))
NOW = 1_000_000_000.0

ALIASES = {
    "boss@office.test": ["alice@office.test"],
    "team@office.test": ["alice@office.test", "bob@office.test"],
    "away@office.test": ["alice@far.test"],
}


def settings(
    message_size: int = 10_000, recipients: int = 4, errors: int = 20, recipients_per_hour: int = 1000
) -> Settings:
    return Settings(
        Path("mail.ini"),
        Server(
            "mail.office.test",
            ("office.test", "second.test"),
            Path("var"),
            Address("alice", "office.test"),
            xclient=(ip_network(PROXY), ip_network(LOCAL_PROXY)),
        ),
        Accounts(Path("users"), None),
        smtp=SmtpListener(("tcp:25",)),
        relay=Relay(
            (ip_network("198.51.100.0/24"), ip_network("2001:db8::/32")), ("backup.test", "dialup.test"), fetch=FETCH
        ),
        limits=Limits(
            message_size=message_size,
            recipients=recipients,
            errors=errors,
            recipients_per_hour=recipients_per_hour,
        ),
    )


@implementer(IIncoming)
class RefusingIncoming(MemoryIncoming):
    """``write_error`` is raised after ``writes`` more pieces, ``discard_error`` when it is to be forgotten."""

    def __init__(self, spool: RefusingSpool) -> None:
        super().__init__()
        self.spool = spool

    def write(self, chunk: bytes) -> None:
        if self.spool.write_error is not None:
            if not self.spool.writes:
                raise self.spool.write_error
            self.spool.writes -= 1
        super().write(chunk)

    def discard(self) -> None:
        self.spool.begun.discard(self)
        super().discard()
        if self.spool.discard_error is not None:
            raise self.spool.discard_error


@implementer(ISpool)
class RefusingSpool(MemorySpool):
    """A spool that raises what it is told to. ``begun`` are the messages that were begun and are not done with."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: set[RefusingIncoming] = set()
        self.receive_error: Exception | None = None
        self.write_error: Exception | None = None
        self.writes = 0
        self.discard_error: Exception | None = None
        self.add_error: Exception | None = None
        self.queue_error: Exception | None = None

    def receive(self, id: str) -> IIncoming:
        if self.receive_error is not None:
            raise self.receive_error
        incoming = RefusingIncoming(self)
        self.begun.add(incoming)
        return incoming

    async def add(self, letter: Letter, content: IIncoming) -> None:
        if self.add_error is not None:
            raise self.add_error
        await super().add(letter, content)

    async def of_account(self, account: Address, limit: int) -> Sequence[Entry]:
        self._ask()
        return await super().of_account(account, limit)

    async def drop(self, id: str, account: Address, at: float) -> int:
        self._ask()
        return await super().drop(id, account, at)

    def _ask(self) -> None:
        if self.queue_error is not None:
            raise self.queue_error

    def work_again(self) -> None:
        self.receive_error = self.write_error = self.discard_error = self.add_error = self.queue_error = None


@define
class Office:
    """alice and bob, both with the password ``sesame``."""

    settings: Settings = field(factory=settings)
    spool: RefusingSpool = field(factory=RefusingSpool)
    log: ListLog = field(factory=ListLog)
    directory: MemoryDirectory = field(
        factory=lambda: MemoryDirectory(
            ["alice@office.test", "bob@office.test", "zoë@bücher.test", "alice@bücher.test"],
            ALIASES,
            ("office.test", "second.test", "xn--bcher-kva.test"),
            Srs(bytes(32), max_age=26),
        )
    )
    authenticator: MemoryAuthenticator = field(
        factory=lambda: MemoryAuthenticator(
            dict.fromkeys(("alice@office.test", "bob@office.test"), "sesame"), scram=False
        )
    )
    waiting: FakeWaitingMail = field(factory=FakeWaitingMail)
    under_way: set[str] = field(factory=set)  #: letters that are being attempted
    own_mail: OwnMail = field(init=False)
    woken: list[str] = field(factory=list)
    notices: list[bytes] = field(factory=list)
    rates: SendingRates = field(init=False)
    now: float = NOW
    counts: ListCounts = field(factory=ListCounts)
    free_space: int = 1_000_000_000
    ids: int = 0

    @own_mail.default
    def _of_the_spool(self) -> OwnMail:
        return OwnMail(self.spool, self.recall, lambda: self.now)

    @rates.default
    def _rates_of_the_settings(self) -> SendingRates:
        return SendingRates(self.settings.limits.recipients_per_hour)

    async def recall(self, id: str) -> bool:
        return id in self.under_way

    def new_id(self) -> str:
        self.ids += 1
        return f"ID{self.ids}"

    def surroundings(self, submission: bool, tls: bool, tls_required: bool = False) -> Surroundings:
        return Surroundings(
            self.settings,
            self.directory,
            self.authenticator,
            self.spool,
            self.log,
            lambda letter: self.woken.append(letter.id),
            self.waiting,
            self.own_mail,
            self.new_id,
            lambda: self.now,
            submission,
            tls,
            self.counts,
            lambda: self.free_space,
            self.rates,
            lambda message: self.notices.append(message("NOTICE", VOICES["en"])),
            tls_required=tls_required,
        )

    def reception(
        self,
        client: str = STRANGER,
        *,
        submission: bool = False,
        tls: bool = True,
        tls_required: bool = False,
        loopback: bool = False,
        userid: int | None = None,
    ) -> Reception:
        return Reception(self.surroundings(submission, tls, tls_required), client, loopback, userid)

    @property
    def letters(self) -> Sequence[Letter]:
        return [stored.letter for stored in self.spool.stored.values()]

    @property
    def contents(self) -> Sequence[bytes]:
        """What is to be relayed, without our Received field: the message as it came."""
        return [_after_received(stored.content[stored.letter.relay_offset :]) for stored in self.spool.stored.values()]


def _after_received(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    assert lines[0].startswith(b"Received: ")
    end = next((number for number, line in enumerate(lines[1:], 1) if not line.startswith(b"\t")), len(lines))
    return b"".join(lines[end:])
