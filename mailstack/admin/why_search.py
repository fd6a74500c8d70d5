"""Finds in the history what is asked for, and all that belongs to it: day by day, in bounded memory.

Octets are searched for first, and only lines that have them are decoded: a gigabyte takes seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

from attrs import define, evolve, field, frozen

from mailstack.model.address import Address, path
from mailstack.model.ids import came
from mailstack.server.history_file import Day, Event, day_of, days, decode

PIECE = 1 << 20  # octets that are read at once
MAX_LINE = 1 << 18  # octets of a line: a longer one is none of ours
MAX_IDS = 100_000  # letters that are remembered for each thing that is asked for; of more, the newest
MAX_EVENTS = 1_000  # of one letter
MAX_REFUSALS = 1_000  # that differ
MAX_NAMELESS = 1_000  # lines
ENDS_WITH_ID = re.compile(r": ([0-9A-Z]{12})\Z")  # the line of a report names the new letter
ADDRESS_OF_CLIENT = re.compile(r"\[([^\]]*)\]\Z")
GREETING_DAYS = 8  # in which a program has sent something, most likely
REFUSED = "NOQUEUE"


@frozen
class Question:
    """What is asked for; all that is given must hold. "" or None: anything."""

    recipient: Address | None = None
    sender: Address | None = None
    message_id: str = ""
    since: float = 0.0  #: Unix time
    last: int = 20  #: letters, the newest ones

    @property
    def of_mailbox(self) -> Address | None:
        """Whose, if nothing is said of the letters themselves."""
        return None if self.sender or self.message_id else self.recipient


@define
class Refusals:
    """Refusals of one kind: the same client was told the same of the same envelope."""

    first: Event
    last: Event
    times: int = 1

    def add(self, event: Event) -> None:
        self.first = min(self.first, event, key=_time)
        self.last = max(self.last, event, key=_time)
        self.times += 1


@define
class Found:
    letters: dict[str, list[Event]] = field(factory=dict)  #: by id, the oldest first; events in order of time
    refusals: list[Refusals] = field(factory=list)  #: in order of time
    more: bool = False  #: there are older ones
    #: What POP3 did with letters of the mailbox that have no queue id, in order of time.
    nameless: list[Event] = field(factory=list)


def _time(event: Event) -> float:
    return event.time


Wanted = Callable[[Event], bool]


@frozen
class Clue:
    """One thing that is asked for: octets in the line, in lower case, and what must be true of it then."""

    octets: bytes
    holds: Wanted


def same(address: Address, written: str) -> bool:
    """Whether a field names this address, in any case of letters."""
    return path(address).casefold() == written.casefold()


def _to(event: Event) -> Iterator[str]:
    yield event.field("to")
    yield event.field("orig_to")


def _octets(text: str, quote: bool = True) -> bytes:
    """As a line has it, in lower case; ``quote`` what is the text of a value."""
    written = json.dumps(text, ensure_ascii=False)[1:-1] if quote else text
    return written.encode("utf-8", "backslashreplace").lower()


def _clue_of(address: Address, holds: Wanted) -> Clue:
    whole = str(address)
    return Clue(_octets(whole if whole.isascii() else f"@{address.domain}"), holds)


def clues(question: Question) -> list[Clue]:
    found = []
    recipient, sender, message_id = question.recipient, question.sender, question.message_id.casefold()
    if recipient is not None:
        to = recipient
        found.append(_clue_of(to, lambda event: any(same(to, each) for each in _to(event))))
    if sender is not None:
        by = sender
        found.append(_clue_of(by, lambda event: same(by, event.field("from"))))
    if message_id:
        wanted = message_id.strip("<>")
        found.append(Clue(_octets(wanted), lambda event: event.field("message-id").casefold().strip("<>") == wanted))
    return found


# ---- Reading


def lines_with(day: Day, octets: Sequence[bytes]) -> Iterator[bytes]:
    """The lines, in order, that have one of these, which are in lower case. None when the file is gone meanwhile."""
    try:
        file = day.path.open("rb")
    except FileNotFoundError:
        return
    with file:
        rest = b""
        while piece := file.read(PIECE):
            whole, newline, rest = (rest + piece).rpartition(b"\n")
            if not newline and len(rest) > MAX_LINE:
                rest = rest[-MAX_LINE:]
            yield from _lines_in(whole, octets)
        yield from _lines_in(rest, octets)


def _lines_in(text: bytes, octets: Sequence[bytes]) -> Iterator[bytes]:
    lower = text.lower()
    starts = {place for each in octets for place in _places(lower, each)}
    for start in sorted(starts):
        end = text.find(b"\n", start)
        yield text[start : end if end >= 0 else len(text)]


def _places(text: bytes, octets: bytes) -> Iterator[int]:
    """Where lines with these octets begin, each once."""
    found = text.find(octets)
    while found >= 0:
        yield text.rfind(b"\n", 0, found) + 1
        end = text.find(b"\n", found)
        found = text.find(octets, end) if end >= 0 else -1


def events_with(day: Day, octets: Sequence[bytes]) -> Iterator[Event]:
    for line in lines_with(day, octets):
        event = decode(line) if len(line) <= MAX_LINE else None
        if event is not None:
            yield event


# ---- Finding


@define
class Search:
    """The history in ``folder``; ``now`` is Unix time."""

    folder: Path
    now: float
    _refusals: dict[tuple[str, ...], Refusals] = field(factory=dict)
    _nameless: list[Event] = field(factory=list)

    def days(self) -> list[Day]:
        return days(self.folder)

    def find(self, question: Question, also: Sequence[str] = ()) -> Found:
        """``also`` are ids of letters that are of interest, whether the history has them or not. OSError."""
        asked = clues(question)
        ids: list[set[str]] = [set() for _ in asked]
        first = day_of(question.since) if question.since else date.min
        more = False
        for day in reversed([each for each in self.days() if each.date >= first]):
            if len(ids) == 1 and len(ids[0] | set(also)) >= question.last:
                more = True
                break
            self._look(day, question, asked, ids)
        chosen = set.intersection(*ids) if ids else set()
        # Ids are in the order of time.
        newest = sorted(chosen | set(also))[-question.last :]
        refused = sorted(self._refusals.values(), key=lambda each: each.last.time)
        more = more or len(chosen | set(also)) > len(newest) or len(refused) > question.last
        nameless = sorted(self._nameless, key=_time)
        more = more or len(nameless) > question.last
        return Found(self.lives(newest), refused[-question.last :], more, nameless[-question.last :])

    def _look(self, day: Day, question: Question, asked: Sequence[Clue], ids: Sequence[set[str]]) -> None:
        for event in events_with(day, [clue.octets for clue in asked]):
            if event.time < question.since:
                continue
            if event.id == "pop3":
                self._pop3(event, question)
                continue
            holding = [clue.holds(event) for clue in asked]
            if event.id == REFUSED:
                if all(holding) or (holding[:2] == [False, True] and not event.field("to")):
                    self._refused(event)
                continue
            for found, holds in zip(ids, holding, strict=True):
                if holds:
                    found.add(event.id)
        for found in ids:
            if len(found) > MAX_IDS:
                found.difference_update(sorted(found)[:-MAX_IDS])

    def _pop3(self, event: Event, question: Question) -> None:
        mailbox = question.of_mailbox
        if mailbox is not None and event.field("others") and same(mailbox, event.field("user")):
            self._nameless.append(event)
            if len(self._nameless) > 2 * MAX_NAMELESS:
                self._nameless = sorted(self._nameless, key=_time)[-MAX_NAMELESS:]

    def _refused(self, event: Event) -> None:
        key = (event.field("what"), event.field("from"), event.field("to"))
        known = self._refusals.get(key)
        if known is not None:
            known.add(event)
            return
        self._refusals[key] = Refusals(event, event)
        if len(self._refusals) > MAX_REFUSALS:
            oldest = min(self._refusals, key=lambda each: self._refusals[each].last.time)
            del self._refusals[oldest]

    def lives(self, ids: Sequence[str]) -> dict[str, list[Event]]:
        """All that happened to these letters, whenever; a letter of which nothing is known has nothing."""
        found: dict[str, list[Event]] = {id: [] for id in ids}
        first = self._first_day(ids)
        for day in self.days():
            if day.date >= first:
                for event in events_with(day, [id.lower().encode() for id in ids]):
                    _belongs(event, found)
        return {id: sorted(events, key=_time) for id, events in found.items()}

    def greetings(self, callers: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """What the programs with which an account (first) sends mail from an IP address (second) call their machines,
        as POP3 has no word for that: the newest of the last days."""
        found: dict[tuple[str, str], str] = {}
        octets = [_octets(f'"sasl_username":"{user}"', quote=False) for user in {user for user, _ in callers}]
        for day in reversed(self.days()[-GREETING_DAYS:]):
            if found.keys() >= set(callers):
                break
            latest: dict[tuple[str, str], str] = {}
            for event in events_with(day, octets):
                place = ADDRESS_OF_CLIENT.search(event.field("client"))
                caller = (event.field("sasl_username"), place[1] if place else "")
                if caller in callers and event.field("helo"):
                    latest[caller] = event.field("helo")
            found = latest | found
        return found

    def _first_day(self, ids: Sequence[str]) -> date:
        times = [came(id, self.now) for id in ids]
        if None in times or not times:
            return date.min
        # A day earlier, as a clock may have been set back.
        return day_of(min(time for time in times if time is not None)) - timedelta(days=1)


def _belongs(event: Event, lives: dict[str, list[Event]]) -> None:
    """A line may be about several letters: a fetch, a report and its original."""
    if event.id == "pop3":
        for id in event.field("ids").split():
            if id in lives:
                _add(lives[id], evolve(event, fields={**event.fields, "ids": ""}))
        return
    about = {event.id, *ENDS_WITH_ID.findall(event.field("what"))}
    for id in about & lives.keys():
        _add(lives[id], event)


def _add(events: list[Event], event: Event) -> None:
    if len(events) < MAX_EVENTS:
        events.append(event)
