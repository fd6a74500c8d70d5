"""What a batch makes of the queue's rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve
from twisted.internet.task import Clock

from mailstack.interfaces.spool import Result
from mailstack.model.deed import DROP, Deed
from mailstack.model.letter import Letter
from mailstack.model.selection import Selection
from mailstack.spool.adding import MOST
from mailstack.spool.batch import Batch, Order, Reported, Settlement
from mailstack.spool.disk import DiskSpool
from mailstack.spool.neighbours import Doubt
from mailstack.spool.store import PATIENCE, Store
from tests.fakes import ListLog, in_place
from tests.spool.contract import ALICE, LATER, NEVER, OK, letter

TABLES = ("messages", "recipients", "history", "unsaved")


def many(id: str, recipients: int) -> Letter:
    return letter(id, *(f"u{number}@office.test" for number in range(recipients)))


class Rows:
    """A store, and a look at what it has written."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "queue.db"
        self.store = Store(self._path, lambda paths: None, lambda domain: domain, Doubt(folder))

    def write(
        self, *settlements: Settlement, letters: tuple[Letter, ...] = (), **rest: list[Reported] | list[Order]
    ) -> list[str]:
        return self.store.write(Batch(letters=[*letters], settlements=[*settlements], **rest))

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as db:
            return db.execute(statement).fetchall()

    def states(self, id: str) -> list[str]:
        return [str(state) for (state,) in self.execute(f"SELECT state FROM recipients WHERE id = '{id}'")]

    def octets(self) -> bytes:
        """All pages as they are now, the free ones, too."""
        self.store.checkpoint()
        return self._path.read_bytes()

    def counts(self) -> list[object]:
        return [self.execute(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES]


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Rows]:
    found = Rows(tmp_path)
    yield found
    found.store.close()


def sent(id: str, *numbers: int) -> Settlement:
    return Settlement(id, [Result(number, "sent", OK) for number in numbers])


@pytest.mark.parametrize("number", [1, MOST, MOST + 1, 3 * MOST])
def test_however_many_come_at_once_all_have_their_rows(rows: Rows, number: int) -> None:
    letters = tuple(evolve(many(f"L{each}", number), envid="" if each % 2 else "X") for each in range(number))
    rows.write(letters=letters)
    assert rows.counts() == [number, number * number, 0, 0]
    assert rows.write(*(sent(each.id, *range(number)) for each in letters)) == [each.id for each in letters]
    assert rows.counts() == [0, 0, 0, 0]


@pytest.mark.parametrize("parts", [[(0, 1, 2)], [(2, 1, 0)], [(0,), (1, 2)], [(1,), (0, 2)], [(0, 2), (1,)]])
def test_a_letter_goes_when_all_its_recipients_have_it(rows: Rows, parts: list[tuple[int, ...]]) -> None:
    """Whatever the parts are in which it was tried, one after the other or in one batch."""
    rows.write(letters=(many("L1", 3), many("L2", 3)))
    for part in parts[:-1]:
        assert rows.write(sent("L1", *part)) == []
    assert rows.write(sent("L1", *parts[-1])) == ["L1"]
    assert rows.write(*(sent("L2", *part) for part in parts)) == ["L2"]
    assert rows.counts() == [0, 0, 0, 0]


def test_a_letter_stays_for_those_who_have_it_not(rows: Rows) -> None:
    rows.write(letters=(many("L1", 4),))
    assert rows.write(sent("L1", 1, 2)) == []
    assert rows.states("L1") == ["active", "sent", "sent", "active"]
    assert rows.write(sent("L1", 3)) == []
    assert rows.write(sent("L1", 0)) == ["L1"]


def test_parts_of_one_batch_may_come_to_different_ends(rows: Rows) -> None:
    """Also where one of them would have finished the letter, had the administrator alone decided on the other."""
    rows.write(letters=(many("L1", 2),))
    rows.execute("UPDATE recipients SET state = 'dropped' WHERE number = 1")
    assert rows.write(sent("L1", 0), Settlement("L1", [Result(1, "delivered", OK)])) == []
    assert rows.states("L1") == ["sent", "delivered"]
    assert rows.write(reported=[Reported("L1", [1], 0)]) == ["L1"]


@pytest.mark.parametrize("state", ["hold", "dropped", "bounced", "deferred"])
def test_what_has_arrived_is_done_whatever_the_administrator_wants(rows: Rows, state: str) -> None:
    rows.write(letters=(many("L1", 1), many("L2", 2)))
    rows.execute(f"UPDATE recipients SET state = '{state}'")
    finished = rows.write(sent("L1", 0), sent("L2", 0))
    assert finished == (["L1", "L2"] if state == "dropped" else ["L1"])
    assert rows.states("L2") == ([] if state == "dropped" else ["sent", state])


def test_earlier_attempts_go_with_the_letter(rows: Rows) -> None:
    rows.write(letters=(many("L1", 1),))
    rows.write(Settlement("L1", [Result(0, "deferred", LATER, next_attempt=5.0, at=1.0)]))
    assert rows.counts() == [1, 1, 1, 0]
    assert rows.write(sent("L1", 0)) == ["L1"]
    assert rows.counts() == [0, 0, 0, 0]


def test_an_attempt_with_both_ends_keeps_the_letter(rows: Rows) -> None:
    rows.write(letters=(many("L1", 2), many("L2", 1)))
    assert rows.write(Settlement("L1", [Result(0, "sent", OK), Result(1, "bounced", NEVER)]), sent("L2", 0)) == ["L2"]
    assert rows.states("L1") == ["sent", "bounced"]
    assert rows.counts() == [1, 2, 2, 0]


def test_a_copy_that_is_to_be_saved_keeps_the_letter(rows: Rows) -> None:
    rows.write(letters=(evolve(many("L1", 1), sent_by=ALICE),))
    assert rows.write(sent("L1", 0)) == []
    assert rows.counts() == [1, 1, 1, 1]
    assert rows.store.write(Batch(saved=["L1"])) == ["L1"]
    assert rows.counts() == [0, 0, 0, 0]


def test_an_attempt_in_which_nobody_had_a_turn_changes_nothing(rows: Rows) -> None:
    rows.write(letters=(many("L1", 1),))
    assert rows.write(Settlement("L1", [])) == []
    assert rows.states("L1") == ["active"]


def test_what_was_settled_before_a_failed_sync_may_be_settled_again(rows: Rows) -> None:
    rows.write(letters=(many("L1", 1),))
    assert rows.write(sent("L1", 0)) == ["L1"]
    rows.store.take_back([])
    assert rows.write(sent("L1", 0)) == ["L1"]


def test_of_a_letter_that_is_gone_nothing_can_be_found_on_any_page(rows: Rows) -> None:
    """Who saves a damaged database would bring it back, or miss what has changed places with it."""
    content = b"of the content" * 1000
    new = letter("L1", "remains@office.test", content=content)
    rows.store.write(Batch(letters=[new], contents=[("L1", content)]))
    assert b"remains" in rows.octets() and b"of the content" in rows.octets()
    rows.write(sent("L1", 0))
    assert b"remains" not in rows.octets() and b"of the content" not in rows.octets()


def test_a_start_waits_for_its_neighbours_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's ``sendmail`` may be in the middle of a transaction."""
    patience: list[int] = []
    end_batch = Store.end_batch

    def noted(store: Store, firm: Iterable[str]) -> None:
        patience.append(store._db.execute("PRAGMA busy_timeout").fetchone()[0])
        end_batch(store, firm)

    monkeypatch.setattr(Store, "end_batch", noted)
    spool = DiskSpool(tmp_path, "filesystem", in_place, in_place, Clock(), ListLog(), str)
    spool.start()
    at_work = spool._store._db.execute("PRAGMA busy_timeout").fetchone()[0]
    spool.close()
    assert patience == [PATIENCE] and at_work == 0, "later the reactor must not wait"


@pytest.mark.parametrize(("sent", "recipients", "files"), [((0, 1), 0, ["L1"]), ((0,), 1, ["L1"]), ((), 2, ["L1"])])
def test_what_is_sent_in_the_same_batch_is_not_taken_back(
    rows: Rows, sent: tuple[int, ...], recipients: int, files: list[str]
) -> None:
    rows.write(letters=(evolve(many("L1", 2), account=ALICE),))
    order = Order(Deed(DROP, str(ALICE), 2000.0, own=True), "L1", Selection(account=str(ALICE)))
    results = Settlement("L1", [Result(number, "sent", OK) for number in sent])
    assert rows.write(results, orders=[order]) == files
    assert order.changed.recipients == recipients
