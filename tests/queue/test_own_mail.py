"""Users see what they have sent and that waits, and take it back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from zope.interface.verify import verifyObject

from mailstack.interfaces.spool import Result
from mailstack.interfaces.waiting import Dropped, IOwnMail
from mailstack.model.address import Address
from mailstack.queue.own_mail import OwnMail
from mailstack.spool.desk import QueueDesk
from tests.fakes import at_once, in_place
from tests.spool.contract import ALICE, LATER
from tests.spool.filled import Filled

BOB = Address("bob", "office.test")
NOW = 5000.0


class Place:
    def __init__(self, data: Path) -> None:
        self.queue = Filled(data)
        self.recalled: list[str] = []
        self.under_way = False
        self.error: OSError | None = None
        self.own = OwnMail(partial(QueueDesk, data), in_place, self.recall, lambda: NOW)

    async def recall(self, id: str) -> bool:
        self.recalled.append(id)
        if self.error is not None:
            raise self.error
        return self.under_way

    def waiting(self, user: Address, limit: int = 10) -> list[str]:
        return [entry.id for entry in at_once(self.own.waiting(user, limit))]

    def drop(self, user: Address, id: str) -> Dropped | None:
        return at_once(self.own.drop(user, id))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_it_is_what_it_says(place: Place) -> None:
    assert verifyObject(IOwnMail, place.own)


def test_the_latest_first_and_not_too_many(place: Place) -> None:
    for number in range(4):
        place.queue.add(f"L{number}", account=ALICE)
    place.queue.add("L4", sender=str(ALICE))  # a stranger's, who says that it is from her
    place.queue.add("L5", account=BOB)
    assert place.waiting(ALICE) == ["L3", "L2", "L1", "L0"]
    assert place.waiting(ALICE, limit=2) == ["L3", "L2"]
    assert place.waiting(BOB) == ["L5"]


def test_of_what_has_failed_the_report_is_on_its_way(place: Place) -> None:
    place.queue.add("L1", account=ALICE)
    place.queue.settle("L1", Result(0, "bounced", LATER))
    assert place.waiting(ALICE) == []
    assert place.drop(ALICE, "L1") is None and place.recalled == []
    assert place.queue.rows("SELECT state FROM recipients") == [("bounced",)]


def test_only_ones_own(place: Place) -> None:
    place.queue.add("L1", "x@far.test", "y@far.test", account=ALICE)
    assert place.drop(BOB, "L1") is None and place.drop(ALICE, "L2") is None
    assert place.queue.files == {"L1"}
    assert place.drop(ALICE, "L1") == Dropped(2, under_way=False)
    assert place.queue.files == set() and place.recalled == ["L1"]


def test_those_who_have_got_it_have_got_it(place: Place) -> None:
    place.queue.add("L1", "x@far.test", "y@far.test", "z@far.test", account=ALICE)
    place.queue.settle("L1", Result(1, "sent", LATER))
    place.under_way = True
    assert place.drop(ALICE, "L1") == Dropped(2, under_way=True)


def test_a_disk_that_may_undo_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next letter is a question of its own."""
    for id in ("L1", "L2"):
        place.queue.add(id, account=ALICE)
    with monkeypatch.context() as patch:
        patch.setattr("mailstack.spool.desk.beyond_doubt", lambda spool: False)
        assert place.drop(ALICE, "L1") == Dropped(1, under_way=False, unsure=True)
    assert place.drop(ALICE, "L2") == Dropped(1, under_way=False)


def test_nobody_can_tell_what_goes_on(place: Place) -> None:
    place.queue.add("L1", account=ALICE)
    place.error = OSError("the queue cannot be read")
    assert place.drop(ALICE, "L1") == Dropped(1, under_way=True), "it is dropped in any case"
