"""The spool in memory: for tests and rehearsals, with the promises of the real one but durability."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import BinaryIO

from attrs import define, evolve
from zope.interface import implementer

from mailstack.interfaces.spool import IIncoming, ISpool, Lagging, Result
from mailstack.model.letter import Due, Letter, Pending
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome
from mailstack.model.reply import Reply
from mailstack.spool.states import DONE, UNREPORTED, WAITING

NOT_TRIED = Reply(0, "", "")


@define
class _Row:
    state: str
    next_attempt: float
    attempts: int = 0
    reply: Reply = NOT_TRIED
    relay: str = "none"


@define
class _Stored:
    letter: Letter
    content: bytes
    rows: list[_Row]
    warned: int = 0


@implementer(IIncoming)
class MemoryIncoming:
    def __init__(self) -> None:
        self.content = b""

    def write(self, chunk: bytes) -> None:
        self.content += chunk

    def discard(self) -> None:
        self.content = b""


@implementer(ISpool)
class MemorySpool:
    def __init__(self) -> None:
        self.stored: dict[str, _Stored] = {}

    def receive(self, id: str) -> IIncoming:
        return MemoryIncoming()

    async def add(self, letter: Letter, content: IIncoming) -> None:
        assert isinstance(content, MemoryIncoming)
        rows = [_Row("expanded" if each.expanded else "active", letter.released) for each in letter.recipients]
        self.stored[letter.id] = _Stored(letter, content.content, rows)

    async def settle(self, results: Mapping[str, Sequence[Result]]) -> None:
        for id, each in results.items():
            self._settle(id, each)

    def _settle(self, id: str, results: Sequence[Result]) -> None:
        stored = self.stored.get(id)
        if stored is None:
            return
        for result in results:
            if result.number < len(stored.rows):
                row = stored.rows[result.number]
                row.state, row.next_attempt = result.state, result.next_attempt
                row.reply, row.relay = result.reply, result.relay
                row.attempts += 1
        self._finish(id)

    async def report(
        self, id: str, told: Sequence[int], bounce: Letter | None, content: IIncoming | None, warned: int
    ) -> None:
        if bounce is not None and content is not None:
            await self.add(bounce, content)
        stored = self.stored.get(id)
        if stored is None:
            return
        stored.warned = warned
        for number, row in enumerate(stored.rows):
            if number in told and row.state in UNREPORTED:
                row.state = "reported" if row.state == "bounced" else "sent"
        self._finish(id)

    def _finish(self, id: str) -> None:
        if all(row.state in DONE for row in self.stored[id].rows):
            del self.stored[id]

    async def due(self, now: float, limit: int, exclude: Iterable[str] = ()) -> Sequence[Due]:
        skip = set(exclude)
        found = []
        for id, stored in self.stored.items():
            times = [row.next_attempt for row in stored.rows if row.state in WAITING and row.next_attempt <= now]
            times += [0.0 for row in stored.rows if row.state in UNREPORTED]
            if times and id not in skip:
                found.append((min(times), id))
        return [self._due(id, now) for _, id in sorted(found)[:limit]]

    def _due(self, id: str, now: float) -> Due:
        stored = self.stored[id]
        pending = tuple(
            Pending(number, stored.letter.recipients[number], row.attempts)
            for number, row in enumerate(stored.rows)
            if row.state in WAITING and row.next_attempt <= now
        )
        return Due(
            stored.letter,
            pending,
            warned=stored.warned,
            unreported=any(row.state in UNREPORTED for row in stored.rows),
        )

    async def unreported(self, id: str) -> Mapping[int, Outcome]:
        rows = self.stored[id].rows if id in self.stored else []
        return {number: _outcome(row) for number, row in enumerate(rows) if row.state in UNREPORTED}

    async def lagging(self, id: str, now: float) -> Lagging:
        stored = self.stored.get(id)
        rows = [(number, row) for number, row in enumerate(stored.rows) if row.state in WAITING] if stored else []
        late = {number: Delayed(row.reply, row.relay) for number, row in rows if row.attempts}
        return Lagging(late, any(row.next_attempt <= now for _, row in rows), stored.warned if stored else 0)

    async def hasten(self, domain: str, subdomains: bool, now: float) -> int:
        found = set()
        for stored in self.stored.values():
            for recipient, row in zip(stored.letter.recipients, stored.rows, strict=True):
                name = recipient.address.domain
                if row.state in WAITING and (name == domain or (subdomains and name.endswith(f".{domain}"))):
                    found.add(stored.letter.id)
                    if row.state == "deferred":
                        row.next_attempt = min(row.next_attempt, now)
        return len(found)

    async def waiting(self, domains: Sequence[str]) -> Sequence[str]:
        found = [id for id in self.stored if self._ahead_of_time(id, domains)]
        return sorted(found, key=lambda id: self.stored[id].letter.arrived)

    async def ahead_of_time(self, id: str, domains: Sequence[str]) -> Due | None:
        return self._ahead_of_time(id, domains) if id in self.stored else None

    def _ahead_of_time(self, id: str, domains: Sequence[str]) -> Due | None:
        due = self._due(id, inf)
        pending = tuple(each for each in due.pending if each.recipient.address.domain in domains)
        return evolve(due, pending=pending) if pending else None

    async def next_due(self, after: float) -> float | None:
        rows = [row for stored in self.stored.values() for row in stored.rows if row.state in WAITING]
        return min((row.next_attempt for row in rows if row.next_attempt > after), default=None)

    async def surviving(self, ids: Sequence[str]) -> set[str]:
        return {id for id in ids if id in self.stored and any(row.state != "hold" for row in self.stored[id].rows)}

    async def changed(self) -> bool:
        return False

    def open(self, id: str) -> BinaryIO:
        if id not in self.stored:
            raise FileNotFoundError(id)
        return io.BytesIO(self.stored[id].content)

    def path(self, id: str) -> str:
        return f"/nowhere/{id}"


def _outcome(row: _Row) -> Outcome:
    if row.state == "bounced":
        return Failed(row.reply, row.relay)
    return Delivered(row.reply, row.relay, action=row.state)
