"""A post office without passwords, disk and threads: alice and bob, both with the password ``sesame``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, field
from zope.interface import implementer

from mailstack.interfaces.log import IEventLog
from mailstack.model.address import Address
from mailstack.protocol.pop3_capabilities import Terms
from mailstack.server.login_delay import LoginDelay
from mailstack.server.pop3_policy import PostOffice
from tests.fakes import ListCounts, in_place
from tests.fakes_accounts import HandClock, MemoryAuthenticator
from tests.maildir.memory import MemoryMailboxes

ALICE = Address("alice", "office.test")
BOB = Address("bob", "office.test")


class Doorman(MemoryAuthenticator):
    """``throttled`` clients are told to wait."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(map(str, (ALICE, BOB)), "sesame"), scram=False)
        self.throttled: set[str] = set()

    def blocked(self, client: str) -> bool:
        return client in self.throttled


@implementer(IEventLog)
@define
class Notebook:
    """A log as tuples: kind, id, fields."""

    lines: list[tuple[str, str, dict[str, object]]] = field(factory=list)

    def event(self, id: str, **fields: object) -> None:
        self._note("event", id, fields)

    def each(self, id: str, several: Sequence[Mapping[str, object]], **shared: object) -> None:
        for own in several:
            self.event(id, **own, **shared)

    def detail(self, id: str, **fields: object) -> None:
        self._note("detail", id, fields)

    def warn(self, id: str, **fields: object) -> None:
        self._note("warn", id, fields)

    def failure(self, id: str, note: str) -> None:
        self._note("failure", id, {"note": note})

    def _note(self, kind: str, id: str, fields: dict[str, object]) -> None:
        given = {name: str(value) for name, value in fields.items() if value is not None}
        self.lines.append((kind, id, dict(given)))


@define
class Office:
    doorman: Doorman = field(factory=Doorman)
    mailboxes: MemoryMailboxes = field(factory=MemoryMailboxes)
    log: Notebook = field(factory=Notebook)

    terms: Terms = field(factory=Terms)
    clock: HandClock = field(factory=HandClock)

    def open(self, errors: int = 10) -> PostOffice:
        delay = LoginDelay(self.terms.login_delay, self.clock)
        return PostOffice(self.doorman, self.mailboxes, self.log, in_place, errors, ListCounts(), self.terms, delay)
