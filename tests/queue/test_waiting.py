"""ETRN: what waits for a domain is tried now, and not too often."""

from __future__ import annotations

import errno
from collections.abc import Iterable

import pytest

from mailstack.interfaces import Result
from mailstack.queue.waiting import PAUSE, WaitingMail
from mailstack.spool.memory import MemorySpool
from tests.fakes import ListLog, at_once
from tests.fakes_accounts import HandClock
from tests.spool.contract import LATER, letter

NOW = 2000.0


class Place:
    def __init__(self) -> None:
        self.spool, self.log, self.clock = MemorySpool(), ListLog(), HandClock()
        self.runs = 0
        self.waiting = WaitingMail(self.spool, self.run, self.log, lambda: NOW, self.clock)

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
        return [due.letter.id for due in at_once(self.spool.due(NOW, 10))]


@pytest.fixture
def place() -> Place:
    return Place()


def test_what_waits_is_due_at_once(place: Place) -> None:
    place.add("L1", "a@backup.test")
    place.add("L2", "a@far.test")
    assert place.start("backup.test") == 1
    assert place.due == ["L1"]
    assert place.runs == 1
    assert place.log.events == [("queue", {"what": "started for backup.test: 1 letters"})]


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


def test_what_failed_may_be_tried_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(domain: str, subdomains: bool, now: float) -> int:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as context:
        context.setattr(place.spool, "hasten", broken)
        with pytest.raises(OSError, match="broken"):
            place.start("backup.test")
    assert place.start("backup.test") == 0
