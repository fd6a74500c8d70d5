"""Users see what they have sent and that waits, and take it back."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from mailstack.interfaces.waiting import Dropped, IOwnMail
from mailstack.queue.own_mail import OwnMail
from mailstack.spool.memory import MemorySpool
from tests.fakes import at_once
from tests.spool.contract import ALICE, letter

NOW = 5000.0


class Place:
    def __init__(self) -> None:
        self.spool = MemorySpool()
        self.recalled: list[str] = []
        self.under_way = False
        self.error: OSError | None = None
        self.own = OwnMail(self.spool, self.recall, lambda: NOW)

    async def recall(self, id: str) -> bool:
        assert id not in self.spool.stored, "it is dropped before"
        self.recalled.append(id)
        if self.error is not None:
            raise self.error
        return self.under_way

    def add(self, id: str) -> None:
        at_once(self.spool.add(letter(id, "x@far.test", "y@far.test", account=ALICE), self.spool.receive(id)))


@pytest.fixture
def place() -> Place:
    return Place()


def test_it_is_what_it_says(place: Place) -> None:
    assert verifyObject(IOwnMail, place.own)


def test_what_waits(place: Place) -> None:
    place.add("L1")
    assert [entry.id for entry in at_once(place.own.waiting(ALICE, 9))] == ["L1"]


def test_what_is_not_there_is_not_recalled(place: Place) -> None:
    assert at_once(place.own.drop(ALICE, "L1")) is None and place.recalled == []


@pytest.mark.parametrize("under_way", [False, True])
def test_an_attempt_may_go_on(place: Place, under_way: bool) -> None:
    place.add("L1")
    place.under_way = under_way
    assert at_once(place.own.drop(ALICE, "L1")) == Dropped(2, under_way)
    assert place.recalled == ["L1"]


def test_nobody_can_tell_what_goes_on(place: Place) -> None:
    place.add("L1")
    place.error = OSError("the queue cannot be read")
    assert at_once(place.own.drop(ALICE, "L1")) == Dropped(2, under_way=True), "it is dropped in any case"
