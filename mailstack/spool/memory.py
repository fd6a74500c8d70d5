"""The spool in memory: for tests and rehearsals, with the promises of the real one but durability."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import BinaryIO

from attrs import define, evolve
from zope.interface import implementer

from mailstack.interfaces.spool import IIncoming, ISpool, Lagging, Result, Wanted
from mailstack.model.address import Address
from mailstack.model.entry import Entry, EntryRecipient
from mailstack.model.letter import ASKED, Due, Letter, Pending
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome
from mailstack.model.reply import Reply
from mailstack.spool.batch import TOLERANCE, Corrected
from mailstack.spool.states import ARRIVED, DONE, UNREPORTED, WAITING, shown

NOT_TRIED = Reply(0, "", "")


@define
class _Row:
    state: str
    next_attempt: float
    attempts: int = 0
    reply: Reply = NOT_TRIED
    relay: str = "none"
    tried: float = -inf


@define
class _Stored:
    letter: Letter
    content: bytes
    rows: list[_Row]
    warned: int = 0
    unsaved: bool = False


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
    def __init__(self, destination: Callable[[str], str] = str) -> None:
        """``destination``: by domain, where a recipient goes next."""
        self._destination = destination
        self.on_leisure: Callable[[], None] = lambda: None
        self.stored: dict[str, _Stored] = {}

    def receive(self, id: str) -> IIncoming:
        return MemoryIncoming()

    async def add(self, letter: Letter, content: IIncoming) -> None:
        assert isinstance(content, MemoryIncoming)
        rows = [_Row("expanded" if each.expanded else "active", letter.released) for each in letter.recipients]
        self.stored[letter.id] = _Stored(letter, content.content, rows, unsaved=letter.sent_by is not None)

    async def settle(self, results: Mapping[str, Sequence[Result]]) -> None:
        for id, each in results.items():
            self._settle(id, each)

    def _settle(self, id: str, results: Sequence[Result]) -> None:
        stored = self.stored.get(id)
        if stored is None:
            return
        for result in results:
            if result.number < len(stored.rows):
                self._record(stored.rows[result.number], result)
        self._finish(id)

    def _record(self, row: _Row, result: Result) -> None:
        # What the administrator has decided meanwhile holds, unless the letter has arrived.
        if row.state not in WAITING and result.state not in ARRIVED:
            return
        row.state, row.next_attempt = result.state, result.next_attempt
        row.reply, row.relay = result.reply, result.relay
        row.attempts += 1
        row.tried = result.at

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
        if all(row.state in DONE for row in self.stored[id].rows) and not self.stored[id].unsaved:
            del self.stored[id]

    def _due_rows(self, now: float) -> Iterator[tuple[float, str, str]]:
        """When, where and what."""
        for id, stored in self.stored.items():
            for each, row in zip(stored.letter.recipients, stored.rows, strict=True):
                if row.state in WAITING and row.next_attempt <= now:
                    yield row.next_attempt, self._destination(each.address.domain), id

    async def destinations(
        self, now: float, limit: int, exclude: Iterable[str] = (), newest: bool = False
    ) -> Sequence[str]:
        rows = sorted(self._due_rows(now), reverse=newest)
        skip = set(exclude)
        return list(dict.fromkeys(where for _, where, _ in rows if where not in skip))[:limit]

    async def due(self, now: float, wanted: Sequence[Wanted]) -> Sequence[Sequence[Due]]:
        return [self._in_line(now, each) for each in wanted]

    def _in_line(self, now: float, wanted: Wanted) -> list[Due]:
        rows = sorted(self._due_rows(now), reverse=wanted.newest)
        ids = dict.fromkeys(id for _, where, id in rows if where == wanted.destination and id not in wanted.exclude)
        return [self._due(id, now, wanted.destination) for id in list(ids)[: wanted.limit]]

    def _due(self, id: str, now: float, destination: str | None = None) -> Due:
        stored = self.stored[id]
        pending = tuple(
            Pending(number, each, row.attempts, row.next_attempt)
            for number, (each, row) in enumerate(zip(stored.letter.recipients, stored.rows, strict=True))
            if row.state in WAITING
            and row.next_attempt <= now
            and destination in (None, self._destination(each.address.domain))
        )
        return Due(stored.letter, pending, warned=stored.warned)

    async def untold(self, limit: int, after: str = "") -> Sequence[Due]:
        found = [
            Due(stored.letter, (), warned=stored.warned, unreported=True)
            for id, stored in sorted(self.stored.items())
            if id > after and any(row.state in UNREPORTED for row in stored.rows)
        ]
        return found[:limit]

    async def unreported(self, id: str) -> Mapping[int, Outcome]:
        rows = self.stored[id].rows if id in self.stored else []
        return {number: _outcome(row) for number, row in enumerate(rows) if row.state in UNREPORTED}

    async def lagging(self, id: str, now: float) -> Lagging:
        stored = self.stored.get(id)
        rows = [(number, row) for number, row in enumerate(stored.rows) if row.state in WAITING] if stored else []
        late = {number: Delayed(row.reply, row.relay) for number, row in rows if row.attempts}
        return Lagging(late, any(row.next_attempt <= now for _, row in rows), stored.warned if stored else 0)

    async def unsaved(self, now: float, limit: int, exclude: Iterable[str] = ()) -> Sequence[Letter]:
        skip = set(exclude)
        found = [stored.letter for id, stored in sorted(self.stored.items()) if stored.unsaved and id not in skip]
        return [letter for letter in found if letter.not_before <= now][:limit]

    async def saved(self, ids: Sequence[str]) -> None:
        for id in ids:
            if id in self.stored:
                self.stored[id].unsaved = False
                self._finish(id)

    async def hasten(self, domain: str, subdomains: bool) -> int:
        found = set()
        for stored in self.stored.values():
            for recipient, row in zip(stored.letter.recipients, stored.rows, strict=True):
                name = recipient.address.domain
                if row.state in WAITING and (name == domain or (subdomains and name.endswith(f".{domain}"))):
                    found.add(stored.letter.id)
                    if row.state == "deferred":
                        row.next_attempt = ASKED
        return len(found)

    async def hurry(self, destination: str, since: float, after: float, now: float, limit: int) -> float | None:
        rows = [
            row
            for stored in self.stored.values()
            for each, row in zip(stored.letter.recipients, stored.rows, strict=True)
            if row.state == "deferred" and self._destination(each.address.domain) == destination
            if row.next_attempt > max(after, now) and row.tried < since
        ]
        first = sorted(rows, key=lambda row: row.next_attempt)[:limit]
        last = first[-1].next_attempt if first else None
        for row in first:
            row.next_attempt = now
        return last

    async def of_account(self, account: Address, limit: int) -> Sequence[Entry]:
        mine = [each for _, each in sorted(self.stored.items(), reverse=True) if each.letter.account == account]
        return [_entry(each) for each in mine if any(row.state in WAITING for row in each.rows)][:limit]

    async def drop(self, id: str, account: Address, at: float) -> int:
        stored = self.stored.get(id)
        if stored is None or stored.letter.account != account:
            return 0
        waiting = [row for row in stored.rows if row.state in WAITING]
        for row in waiting:
            row.state = "dropped"
        stored.unsaved &= any(row.state != "dropped" for row in stored.rows)
        self._finish(id)
        return len(waiting)

    async def rectify(self, now: float, longest: float) -> int:
        return len([id for id, stored in self.stored.items() if self._rectify(stored, now, longest)])

    def _rectify(self, stored: _Stored, now: float, longest: float) -> bool:
        letter, future = stored.letter, stored.letter.arrived > now + TOLERANCE
        if future:
            right = Corrected.now(letter.id, letter.arrived, letter.not_before, letter.hold, now)
            stored.letter = letter = evolve(letter, arrived=right.arrived, not_before=right.not_before)
        late = [row for row in stored.rows if row.state == "deferred" and row.next_attempt > now + longest]
        for row in stored.rows:
            if row in late:
                row.next_attempt = now
            elif future and row.state == "active":
                row.next_attempt = letter.released
        return future or bool(late)

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

    async def surviving(self, ids: Sequence[str]) -> Mapping[str, Collection[int]]:
        return {
            id: {number for number, row in enumerate(self.stored[id].rows) if row.state in WAITING}
            for id in ids
            if id in self.stored
        }

    def fit(self) -> bool:
        return True

    async def examine(self) -> None:
        pass

    async def changed(self) -> bool:
        return False

    async def faults(self, letters: Iterable[Letter]) -> Mapping[str, str]:
        return {}

    async def quarantine(self, faults: Mapping[str, str]) -> None:
        for id in faults:
            for row in self.stored[id].rows if id in self.stored else ():
                if row.state in WAITING:
                    row.state = "hold"

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


def _shown(letter: Letter, row: _Row) -> str:
    return shown(row.state, row.next_attempt > letter.arrived)


def _entry(stored: _Stored) -> Entry:
    """Of a letter that waits."""
    letter = stored.letter
    recipients = tuple(
        EntryRecipient(each.address, each.original, _shown(letter, row), row.attempts, row.next_attempt, str(row.reply))
        for each, row in zip(letter.recipients, stored.rows, strict=True)
    )
    waiting = [row for row in stored.rows if row.state in WAITING]
    state, due = _shown(letter, waiting[0]), min(row.next_attempt for row in waiting)
    entry = Entry(letter.id, letter.sender, letter.wire_size, letter.arrived, due, state, recipients)
    return evolve(entry, not_before=letter.not_before)
