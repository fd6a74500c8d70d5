"""What was sent, what was acknowledged, what was found: the four numbers of Jepsen for letters.

*Lost*: acknowledged, and at one of its places neither it nor a bounce. *Duplicated*: twice at one place.
*Unexpected*: damaged, never sent, at a place where it does not belong, or there for a part of its recipients only.
*Recovered*: there, although nobody has heard that it was acknowledged.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from attrs import Factory, define, field, frozen

#: Kinds of places. A letter is HERE in a Maildir, SENT in its sender's Sent folder, THERE at the other server,
#: RETURNED to its sender in a report that names the recipient.
HERE, SENT, THERE, RETURNED = "here", "sent", "there", "returned"

#: What a crash may double: the other server has taken it, or the report was written, and the mark of that is lost.
MARKED_LATER = (THERE, RETURNED)

#: Seconds from then on until the mark is durable: 50 ms that a batch gathers, the batch before it, and its own sync.
WINDOW = 0.5


@frozen
class Place:
    kind: str
    whose: str  #: address


@frozen
class Posting:
    """A letter that is going to be sent."""

    name: str
    sender: str
    recipients: Sequence[str]  #: as RCPT has them
    places: frozenset[Place]  #: where it must be in the end
    octets: int


@frozen
class Sighting:
    name: str  #: "" for what nobody has sent so
    place: Place
    at: float  #: Unix time
    what: bytes = b""  #: its beginning, if it has no name
    thought: float = 0.0  #: seconds that the other server took before it said so


@frozen
class Crash:
    """Unix times: from the blow until the server begins anew. What it has sent may arrive meanwhile."""

    began: float
    ended: float
    power: bool = False  #: it was the disk's power that went, and the server lived on for a moment
    slowness: float = 1.0  #: how many times longer all takes on this machine, as others keep it busy
    greeted: float = 0.0  #: Unix time, when it began to serve; its start writes the last letters anew, as of then


@define
class Book:
    """All that clients and the other server know. They write it from their threads."""

    begun: dict[str, Posting] = Factory(dict)
    acknowledged: dict[str, float] = Factory(dict)  #: by name, Unix time
    refused: set[tuple[str, str]] = Factory(set)  #: name and address, by the other server for good
    arrived: list[Sighting] = Factory(list)  #: at the other server
    crashes: list[Crash] = Factory(list)
    answers: Counter[str] = Factory(Counter)  #: to ends of data, by code; and to commands that were put off
    strange: list[str] = Factory(list)  #: answers that no client should hear
    _lock: threading.Lock = field(init=False, factory=threading.Lock)

    def begin(self, posting: Posting) -> None:
        with self._lock:
            self.begun[posting.name] = posting

    def answered(self, name: str, code: str, now: float) -> None:
        """The end of its data was, so."""
        with self._lock:
            self.answers[code] += 1
            if code == "250":
                self.acknowledged[name] = now

    def put_off(self, code: str) -> None:
        """A command was, with that code."""
        with self._lock:
            self.answers[f"{code} to a command"] += 1

    def forget(self) -> None:
        """What was judged."""
        with self._lock:
            for each in (self.begun, self.acknowledged, self.refused, self.arrived, self.crashes):
                each.clear()


@define
class Verdict:
    letters: int = 0  #: acknowledged
    places: int = 0  #: where those had to be
    recovered: int = 0
    lost: list[str] = Factory(list)
    unpowered: list[str] = Factory(list)  #: the same, but acknowledged, or relayed, when the power was gone already
    duplicated: list[str] = Factory(list)  #: without an excuse
    excused: list[float] = Factory(list)  #: seconds from a first arrival to the crash that took its mark
    unexpected: list[str] = Factory(list)

    def add(self, other: Verdict) -> None:
        self.letters += other.letters
        self.places += other.places
        self.recovered += other.recovered
        for name in ("lost", "unpowered", "duplicated", "excused", "unexpected"):
            getattr(self, name).extend(getattr(other, name))

    @property
    def problems(self) -> list[str]:
        return [
            *(f"lost: {each}" for each in self.lost),
            *(f"duplicated: {each}" for each in self.duplicated),
            *(f"unexpected: {each}" for each in self.unexpected),
        ]

    def __str__(self) -> str:
        duplicated = len(self.duplicated) + len(self.excused)
        unpowered = f" (and {len(self.unpowered)} acknowledged without power)" if self.unpowered else ""
        latest = f", at most {max(self.excused):.2f} s before a crash" if self.excused else ""
        return (
            f"{self.letters} letters acknowledged, for {self.places} places: lost {len(self.lost)}{unpowered}, "
            f"duplicated {duplicated} ({len(self.excused)} in the windows{latest}), "
            f"unexpected {len(self.unexpected)}, recovered {self.recovered}"
        )


def judge(book: Book, sightings: Iterable[Sighting]) -> Verdict:
    """When nothing is on its way any more."""
    verdict = Verdict()
    seen: dict[tuple[str, Place], list[Sighting]] = defaultdict(list)
    for each in sightings:
        if each.name in book.begun:
            seen[each.name, each.place].append(each)
        else:
            verdict.unexpected.append(f"{each.place}: nobody has sent this: {each.name} {each.what!r}")
    for posting in book.begun.values():
        _judge(book, posting, seen, verdict)
    verdict.unexpected.extend(f"{name} should not be at {place}" for name, place in seen)
    return verdict


def _judge(book: Book, posting: Posting, seen: dict[tuple[str, Place], list[Sighting]], verdict: Verdict) -> None:
    """Take what is found of this letter out of ``seen``."""
    name = posting.name
    missing, came = [], list[Sighting]()
    for place in posting.places:
        times = seen.pop((name, place), [])
        if (name, place.whose) in book.refused:
            times += seen.pop((name, Place(RETURNED, place.whose)), [])
        if not times:
            missing.append(place)
        came += times
        _count(book, name, place, sorted(times, key=lambda each: each.at - each.thought), verdict)
    if name in book.acknowledged:
        verdict.letters += 1
        verdict.places += len(posting.places)
        at = book.acknowledged[name]
        lost = [f"{name} ({posting.octets} octets) at {place}, {_when(book, at)}" for place in missing]
        (verdict.unpowered if _unpowered(book, at) else verdict.lost).extend(lost)
    elif len(missing) < len(posting.places):
        verdict.recovered += 1
        partly = [f"{name} was not acknowledged, and is there, but not at {each}" for each in missing]
        unpowered = all(_unpowered(book, each.at - each.thought) for each in came)
        (verdict.unpowered if unpowered else verdict.unexpected).extend(partly)


def _count(book: Book, name: str, place: Place, times: Sequence[Sighting], verdict: Verdict) -> None:
    """The last one that was sent is the one that was to be; the other server may have thought longer over another."""
    for early in times[:-1]:
        gap = excuse(book, early) if place.kind in MARKED_LATER else None
        if gap is None:
            verdict.duplicated.append(f"{name} at {place}, {len(times)} times, {_when(book, early.at)}")
        else:
            verdict.excused.append(gap)


def excuse(book: Book, early: Sighting) -> float | None:
    """Seconds from then to the crash that came before the mark could be durable; None if there was none. What the dead
    server has sent may be read when the next one runs."""
    near = [
        crash
        for crash in book.crashes
        if crash.began - WINDOW * crash.slowness <= early.at
        and early.at - early.thought <= _end(crash, early.place) + WINDOW * crash.slowness
    ]
    return min((max(0.0, crash.began - early.at) for crash in near), default=None)


def _end(crash: Crash, place: Place) -> float:
    """Of the time that something may have which was there before."""
    return max(crash.ended, crash.greeted) if place.kind == RETURNED else crash.ended


def _unpowered(book: Book, at: float) -> bool:
    """A sync that meets the shutdown half-way may be called a success by the kernel (xfs: what it has given up waits
    for nothing any more), and a machine without power would not have acknowledged, or relayed, anything."""
    return any(crash.power and crash.began <= at <= crash.ended for crash in book.crashes)


def _when(book: Book, at: float) -> str:
    gaps = sorted((crash.began - at for crash in book.crashes), key=abs)
    return f"{gaps[0]:.2f} s before a crash" if gaps else "no crash came"
