"""ETRN: what waits for a domain is tried now, and not too often."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred

from mailstack.interfaces.spool import Result
from mailstack.interfaces.waiting import Errand, ILine, ITurn
from mailstack.queue.waiting import PAUSE, WaitingMail
from mailstack.spool.memory import MemorySpool
from tests.fakes import ListLog, at_once
from tests.fakes_accounts import HandClock
from tests.spool.contract import LATER, all_due, letter

NOW = 2000.0


class FakeLine:
    """Takes so many ``letters``, then it is cut."""

    def __init__(self) -> None:
        self.letters = 10
        self.over = False

    def make(self, errand: Errand) -> ILine:
        self.errand = errand
        return cast("ILine", self)  # a part of it is enough

    def connect(self) -> None:
        at_once(self.errand(cast("ILine", self)))

    async def opened(self) -> bool:
        return self.usable()

    def usable(self) -> bool:
        return self.letters > 0

    def quit(self) -> None:
        self.over = True


class Place:
    def __init__(self) -> None:
        self.spool, self.log, self.clock = MemorySpool(), ListLog(), HandClock()
        self.runs = 0
        self.tried: list[str] = []
        self.line = FakeLine()
        self.waiting = WaitingMail(self.spool, self.run, self.try_now, self.line.make, self.log, self.clock)

    async def try_now(self, id: str, domains: Sequence[str], line: ILine) -> None:
        assert line is self.line
        self.tried.append(f"{id} {' '.join(domains)}")
        self.line.letters -= 1

    def fetch(self, *domains: str) -> ITurn | None:
        return at_once(self.waiting.fetch(domains))

    def run(self) -> None:
        self.runs += 1

    def add(self, id: str, *to: str) -> None:
        at_once(self.spool.add(letter(id, *to), self.spool.receive(id)))
        numbers = range(len(to))
        at_once(self.spool.settle({id: [Result(number, "deferred", LATER, "none", 5000.0) for number in numbers]}))

    def start(self, domain: str, subdomains: bool = False) -> int | None:
        return at_once(self.waiting.start(domain, subdomains))

    @property
    def due(self) -> Iterable[str]:
        return [due.letter.id for due in all_due(self.spool, at_once, NOW)]


@pytest.fixture
def place() -> Place:
    return Place()


def test_what_waits_is_due_at_once(place: Place) -> None:
    place.add("L1", "a@backup.test")
    place.add("L2", "a@far.test")
    assert place.start("backup.test") == 1
    assert place.due == ["L1"]
    assert place.runs == 1
    assert place.log.events == [("queue", {"what": "started for backup.test, letters=1"})]


def test_nothing_waits(place: Place) -> None:
    assert place.start("backup.test") == 0
    assert place.runs == 0


def test_once_a_minute_for_each_domain(place: Place) -> None:
    """A dead host is not called again and again because somebody asks."""
    place.add("L1", "a@backup.test", "a@other.test")
    assert [place.start("backup.test"), place.start("backup.test"), place.start("other.test")] == [1, None, 1]
    assert place.runs == 2
    place.clock.advance(PAUSE - 1)
    assert place.start("backup.test") is None
    place.clock.advance(1)
    assert place.start("backup.test") == 1


def test_sub_domains_include_the_domain(place: Place) -> None:
    """Whoever has started all of it has started the one; not the other way round."""
    place.add("L1", "a@backup.test", "a@sub.backup.test")
    assert [place.start("backup.test"), place.start("backup.test", True), place.start("backup.test")] == [1, 1, None]
    place.clock.advance(PAUSE)
    assert [place.start("backup.test", True), place.start("backup.test")] == [1, None]


def test_what_failed_may_be_tried_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(domain: str, subdomains: bool) -> int:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as context:
        context.setattr(place.spool, "hasten", broken)
        with pytest.raises(OSError, match="broken"):
            place.start("backup.test")
    assert place.start("backup.test") == 0


def test_two_starts_of_one_domain_that_fail_together(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The domain alone, and with its sub-domains, on a full disk."""
    disk = {False: Deferred[None](), True: Deferred[None]()}

    async def broken(domain: str, subdomains: bool) -> int:
        await disk[subdomains]
        raise OSError(errno.ENOSPC, "full")

    failed: list[Any] = []
    with monkeypatch.context() as context:
        context.setattr(place.spool, "hasten", broken)
        for subdomains in (False, True):
            start = Deferred.fromCoroutine(place.waiting.start("backup.test", subdomains))
            start.addErrback(lambda failure: failed.append(failure.type))
        for subdomains in (True, False):
            disk[subdomains].callback(None)
    assert failed == [OSError, OSError]
    assert [place.start("backup.test"), place.start("backup.test", True)] == [0, 0]


# ---- ATRN


def test_nothing_to_fetch(place: Place) -> None:
    place.add("L1", "a@far.test")
    assert place.fetch("backup.test") is None


def test_letters_are_handed_over_one_by_one(place: Place) -> None:
    """When the connection is ours, not before; then what else they have is looked for."""
    for id in ("L1", "L2"):
        place.add(id, "a@backup.test", "a@far.test")
    place.add("L3", "a@far.test")
    assert place.fetch("backup.test", "other.test") is not None
    assert place.tried == []
    place.line.connect()
    assert place.tried == ["L1 backup.test other.test", "L2 backup.test other.test"]
    assert place.line.over
    assert place.runs == 1


def test_a_line_that_is_cut_leaves_the_rest(place: Place) -> None:
    for id in ("L1", "L2", "L3"):
        place.add(id, "a@backup.test")
    place.fetch("backup.test")
    place.line.letters = 2
    place.line.connect()
    assert place.tried == ["L1 backup.test", "L2 backup.test"]


def test_a_client_that_does_not_take_over(place: Place) -> None:
    place.add("L1", "a@backup.test")
    place.fetch("backup.test")
    place.line.letters = 0
    place.line.connect()
    assert place.tried == []
