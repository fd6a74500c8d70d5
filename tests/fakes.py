"""Small providers of the seams, for tests. They pass the contracts of the real ones where there are several."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from zope.interface import implementer

from mailstack.interfaces.delivery import ITransport
from mailstack.interfaces.log import IEventLog, ILimitCounts
from mailstack.interfaces.spool import IDurable
from mailstack.interfaces.waiting import ITurn, IWaitingMail
from mailstack.model.letter import Due, Letter, Pending
from mailstack.model.outcome import Delivered, Outcome
from mailstack.model.reply import Reply

T = TypeVar("T")


def at_once(work: T | Awaitable[T]) -> T:
    """A result, or that of a coroutine that has nothing to wait for."""
    if not isinstance(work, Coroutine):
        return work  # type: ignore[return-value]  # no other kind of Awaitable is given
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    work.close()
    raise AssertionError("it waits for something")


async def in_place(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Stands for ``in_thread``: without a thread."""
    return function(*args, **kwargs)


async def in_turn(function: Any, party: str, friend: bool) -> Any:
    """Stands for ``in_turn``: it is always one's turn."""
    return function()


class ListAlarms:
    """IAlarms: what lasts, and the system's words."""

    def __init__(self) -> None:
        self.lasting: dict[str, str] = {}

    def seen(self, condition: str, detail: str) -> None:
        self.lasting[condition] = detail

    def over(self, condition: str) -> None:
        self.lasting.pop(condition, None)


@implementer(IEventLog)
class ListLog:
    """Keeps what was logged."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []
        self.details: list[tuple[str, dict[str, object]]] = []
        self.warnings: list[tuple[str, dict[str, object]]] = []
        self.failures: list[str] = []

    def event(self, id: str, **fields: object) -> None:
        self.events.append((id, fields))

    def each(self, id: str, several: Sequence[Mapping[str, object]], **shared: object) -> None:
        for own in several:
            self.event(id, **own, **shared)

    def detail(self, id: str, **fields: object) -> None:
        self.details.append((id, fields))

    def warn(self, id: str, **fields: object) -> None:
        self.warnings.append((id, fields))

    def failure(self, id: str, note: str) -> None:
        self.failures.append(f"{id}: {note}")


@implementer(ILimitCounts)
class ListCounts:
    """Keeps which limits have struck whom."""

    def __init__(self) -> None:
        self.strikes: list[tuple[str, str]] = []

    def struck(self, limit: str, by: str) -> None:
        self.strikes.append((limit, by))


@implementer(IDurable)
class NoDisk:
    """Everything is durable at once; ``flushed`` says what was asked for."""

    def __init__(self) -> None:
        self.flushed: list[set[Path]] = []
        self.error: OSError | None = None
        self.error_of_letters: OSError | None = None

    def failed_syncs(self) -> int:
        return 0

    async def flush(self, paths: Iterable[Path], letters: Iterable[str], before: int) -> None:
        error = self.error if paths else self.error_of_letters
        if error is not None:
            raise error
        if paths:
            self.flushed.append(set(paths))


@implementer(ITurn)
class FakeTurn:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.heard = b""
        self.lost: Any = None
        self.aborted = False

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any) -> None:
        self.lost = reason

    def abort(self) -> None:
        self.aborted = True
        self.transport.abortConnection()


@implementer(IWaitingMail)
class FakeWaitingMail:
    """``letters`` by domain wait; what was ``started`` once is not started again."""

    def __init__(self) -> None:
        self.letters: dict[str, int] = {}
        self.started: list[str] = []
        self.fetched: list[list[str]] = []
        self.turn = FakeTurn()
        self.error: OSError | None = None

    async def start(self, domain: str, subdomains: bool) -> int | None:
        if self.error is not None:
            raise self.error
        name = f"{'@' * subdomains}{domain}"
        if name in self.started:
            return None
        self.started.append(name)
        return self.letters.get(domain, 0)

    async def fetch(self, domains: Sequence[str]) -> ITurn | None:
        if self.error is not None:
            raise self.error
        self.fetched.append(list(domains))
        return self.turn if any(self.letters.get(domain) for domain in domains) else None


@implementer(ITransport)
class FakeTransport:
    """Answers what ``outcomes`` says for an address, one after the other (the last for ever); else it takes all."""

    def __init__(self) -> None:
        self.outcomes: dict[str, list[Outcome]] = {}
        self.delivered: list[tuple[str, str]] = []
        self.attempts: list[tuple[str, tuple[str, ...]]] = []
        self.at_once = 1000  #: recipients of a letter in one transaction

    async def deliver(self, dues: Sequence[Due]) -> Sequence[dict[int, Outcome]]:
        return [self._deliver(due.letter, due.pending[: self.at_once]) for due in dues]

    def _deliver(self, letter: Letter, pending: Sequence[Pending]) -> dict[int, Outcome]:
        addresses = tuple(str(each.recipient.address) for each in pending)
        self.attempts.append((letter.id, addresses))
        return {each.number: self._outcome(letter, str(each.recipient.address)) for each in pending}

    def _outcome(self, letter: Letter, address: str) -> Outcome:
        script = self.outcomes.get(address, [])
        outcome = (
            script.pop(0) if len(script) > 1 else script[0] if script else Delivered(Reply(250, "2.0.0", "ok"), "fake")
        )
        if isinstance(outcome, Delivered):
            self.delivered.append((letter.id, address))
        return outcome
