"""What the spool does on a disk that fails: who may still write, what goes on, and that it recovers."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from mailstack.interfaces.spool import Result
from mailstack.model.condition import ERRORS, FULL, GONE, LITTLE, QUOTA, REPLACED, condition_of
from mailstack.spool import incoming
from mailstack.spool.batch import Batch
from mailstack.spool.disk import DiskSpool
from mailstack.spool.health import PATIENCE, Health
from mailstack.spool.reserve import PIECES
from tests.fakes import ListAlarms, ListLog, in_place
from tests.spool.contract import ALICE, LATER, NEVER, letter
from tests.spool.test_spool import Runner

SENT = Result(0, "sent", LATER)


class Sick:
    """A spool whose disk does what the test says: ``refuse`` raises, or does not, for each transaction and sync."""

    def __init__(self, data: Path, least: float = 0) -> None:
        self.data = data
        self.run = Runner()
        self.alarms = ListAlarms()
        self.on_write: Callable[[Batch], None] = lambda batch: None
        self.on_sync: Callable[[], None] = lambda: None
        self.spool = DiskSpool(
            data, "filesystem", in_place, in_place, self.run.clock, ListLog(), str, self.alarms, least
        )
        self.spool.start()
        store = self.spool._store
        write, sync = store.write, store.sync

        def sick_write(batch: Batch) -> list[str]:
            self.on_write(batch)
            return write(batch)

        def sick_sync() -> None:
            self.on_sync()
            sync()

        store.write, store.sync = sick_write, sick_sync  # type: ignore[method-assign]

    @property
    def pieces(self) -> int:
        return len(list((self.data / "spool/reserve").iterdir()))

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in (self.data / "spool/messages").iterdir())

    def add(self, id: str) -> None:
        content = self.spool.receive(id)
        content.write(b"x\n")
        self.run(self.spool.add(letter(id, content=b"x\n"), content))

    def settle(self, id: str) -> None:
        self.run(self.spool.settle({id: [SENT]}))

    def bounce(self, of: str, id: str) -> None:
        content = self.spool.receive(id)
        content.write(b"x\n")
        self.run(self.spool.report(of, [0], letter(id, content=b"x\n"), content, 0))

    def look(self, after: float = PATIENCE + 1) -> None:
        self.run.clock.advance(after)
        self.run(self.spool.examine())

    def only_with(self, pieces: int, number: int = errno.ENOSPC) -> Callable[[Any], None]:
        """There is room only when so few pieces of the reserve are left."""

        def refuse(batch: Any) -> None:
            if self.pieces > pieces:
                raise OSError(number, os.strerror(number))

        return refuse


@pytest.fixture
def sick(tmp_path: Path) -> Any:
    made = Sick(tmp_path)
    yield made
    made.spool.close()


def raised(number: int) -> Callable[..., None]:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def test_outcomes_get_the_room_that_new_mail_does_not(sick: Sick) -> None:
    sick.add("L1")
    sick.on_write = sick.only_with(PIECES // 2)
    with pytest.raises(OSError, match="No space"):
        sick.add("L2")
    assert sick.pieces == PIECES, "nobody's mail may have it"
    assert sick.spool.fit(), "and it says nothing of outcomes"
    sick.settle("L1")
    assert sick.pieces == PIECES // 2
    assert FULL in sick.alarms.lasting
    assert not list((sick.data / "spool/messages").iterdir()), "L1 is done with, L2 is not ours"


def test_new_mail_is_refused_until_the_reserve_is_whole_again(sick: Sick) -> None:
    sick.add("L1")
    sick.on_write = sick.only_with(PIECES // 2)
    sick.settle("L1")
    with pytest.raises(OSError, match="No space"):
        sick.spool.admit()
    with pytest.raises(OSError, match="No space"):
        sick.add("L2")
    assert sick.spool.fit(), "deliveries make room"
    sick.on_write = lambda batch: None
    sick.look()
    assert (sick.pieces, sick.alarms.lasting) == (PIECES, {})
    sick.add("L3")


def test_the_second_half_is_for_outcomes_and_stops_deliveries(sick: Sick) -> None:
    sick.add("L1")
    sick.on_write = sick.only_with(0)
    sick.settle("L1")
    assert sick.pieces == 0
    assert not sick.spool.fit(), "nothing would be left for what they come to"
    sick.on_write = lambda batch: None
    sick.look()
    assert sick.spool.fit()


def test_when_nothing_helps_deliveries_stop_until_something_can_be_written(sick: Sick) -> None:
    sick.add("L1")
    sick.on_write = raised(errno.ENOSPC)
    with pytest.raises(OSError, match="No space"):
        sick.settle("L1")
    assert not sick.spool.fit()
    sick.look()
    assert not sick.spool.fit()
    sick.on_write = lambda batch: None
    sick.look()
    assert sick.spool.fit()
    sick.settle("L1")
    assert sick.alarms.lasting == {}


def test_reports_may_have_one_half(sick: Sick, monkeypatch: pytest.MonkeyPatch) -> None:
    sick.add("L1")
    write_new, tries = incoming.write_new, []

    def full(path: str, content: bytes, hurry: bool) -> None:
        tries.append(path)
        sick.only_with(PIECES // 2)(None)
        write_new(path, content, hurry=hurry)

    monkeypatch.setattr(incoming, "write_new", full)
    sick.bounce("L1", "B1")
    assert (sick.pieces, len(tries)) == (PIECES // 2, 2)
    monkeypatch.setattr(incoming, "write_new", raised(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        sick.bounce("L1", "B2")
    assert sick.pieces == PIECES // 2, "the other half is for outcomes"


def test_a_report_is_made_once_though_its_mark_is_refused(sick: Sick) -> None:
    sick.add("L1")
    sick.run(sick.spool.settle({"L1": [Result(0, "bounced", NEVER)]}))
    batches: list[Batch] = []

    def refuse_the_second() -> None:
        batches.append(Batch())
        if len(batches) == 2:
            raise OSError(errno.EIO, "Input/output error")

    sick.on_sync = refuse_the_second
    content = sick.spool.receive("B1")
    content.write(b"x\n")
    done: list[object] = []
    work = sick.spool.report("L1", [0], letter("B1", content=b"x\n"), content, 0)
    Deferred.fromCoroutine(work).addBoth(done.append)
    for _ in range(8):
        sick.run.clock.advance(1)
    assert done == [None]
    assert sick.files == ["B1"], "L1 is done with"
    assert sick.run(sick.spool.unreported("L1")) == {}


def test_a_quota_is_found_behind_an_error_of_sqlite(sick: Sick, monkeypatch: pytest.MonkeyPatch) -> None:
    sick.add("L1")
    over = sick.only_with(PIECES // 2, errno.EDQUOT)

    def probe(path: Path, octets: bytes) -> int:
        over(None)
        return len(octets)

    monkeypatch.setattr(Path, "write_bytes", probe)
    sick.on_write = sick.only_with(PIECES // 2, errno.EIO)
    with pytest.raises(OSError, match="quota"):
        sick.add("L2")
    sick.settle("L1")
    assert sick.pieces == PIECES // 2
    assert QUOTA in sick.alarms.lasting


def test_a_sync_that_fails_stops_deliveries_until_one_succeeds(sick: Sick) -> None:
    sick.add("L1")
    sick.on_sync = raised(errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        sick.settle("L1")
    assert not sick.spool.fit()
    assert sick.pieces == PIECES, "room is not what is missing"
    sick.look()
    assert not sick.spool.fit()
    assert ERRORS in sick.alarms.lasting
    sick.on_sync = lambda: None
    sick.look()
    assert sick.spool.fit()
    assert sick.alarms.lasting == {}


def test_what_is_refused_for_hours_is_not_remembered(sick: Sick) -> None:
    sick.on_sync = raised(errno.EIO)
    for number in range(3):
        with pytest.raises(OSError, match="Input/output"):
            sick.add(f"L{number}")
    assert sick.files == [] and sick.spool._files.discarded == []


def test_a_letter_of_somebody_shows_that_the_disk_works_again(sick: Sick) -> None:
    sick.on_sync = raised(errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        sick.add("L1")
    sick.look()
    sick.on_sync = lambda: None
    sick.add("L2")
    assert sick.spool.fit()


def test_while_it_fails_it_is_not_tried_all_the_time(sick: Sick) -> None:
    written: list[Batch] = []
    sick.on_sync = raised(errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        sick.add("L1")
    sick.on_write = written.append
    for _ in range(20):
        sick.look(after=1)
    assert 3 <= len(written) <= 6


def test_a_retried_outcome_counts_as_one_attempt(sick: Sick) -> None:
    """The first transaction stands, though its sync has failed."""
    sick.add("L1")
    later = Result(0, "deferred", LATER, next_attempt=50.0, at=7.0)
    sick.on_sync = raised(errno.EIO)
    for _ in range(3):
        with pytest.raises(OSError, match="Input/output"):
            sick.run(sick.spool.settle({"L1": [later]}))
    sick.on_sync = lambda: None
    sick.run(sick.spool.settle({"L1": [later]}))
    due = sick.run(sick.spool.ahead_of_time("L1", [ALICE.domain]))
    assert due is not None
    assert due.pending[0].attempts == 1


def test_the_file_of_a_letter_goes_with_the_next_batch_that_is_durable(sick: Sick) -> None:
    """Its rows went with the one that was not."""
    sick.add("L1")
    sick.on_sync = raised(errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        sick.settle("L1")
    assert sick.files == ["L1"]
    sick.on_sync = lambda: None
    sick.look()
    assert sick.files == []


def test_moved_away_and_back(sick: Sick) -> None:
    sick.add("L1")
    sick.data.rename(sick.data.with_name("away"))
    sick.look()
    assert GONE in sick.alarms.lasting
    assert not sick.spool.fit()
    with pytest.raises(FileNotFoundError):
        sick.add("L2")
    assert not sick.data.exists()
    sick.data.with_name("away").rename(sick.data)
    sick.look(after=1)
    assert sick.spool.fit()
    assert sick.files == ["L1"]
    assert sick.alarms.lasting == {}
    sick.add("L3")


def test_what_was_refused_while_it_was_moved_leaves_no_file(sick: Sick, monkeypatch: pytest.MonkeyPatch) -> None:
    away = sick.data.with_name("away")
    verify = sick.spool._health.verify

    def moved() -> None:
        sick.data.rename(away)
        verify()

    with monkeypatch.context() as moving, pytest.raises(FileNotFoundError):
        moving.setattr(sick.spool._health, "verify", moved)
        sick.add("L1")
    assert (away / "spool/messages/L1").exists()
    away.rename(sick.data)
    sick.look()
    assert sick.files == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO])
def test_a_file_that_cannot_be_removed_goes_later(sick: Sick, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    sick.add("L1")
    with monkeypatch.context() as broken:
        broken.setattr(os, "unlink", raised(number))
        sick.settle("L1")
    assert sick.files == ["L1"]
    sick.look()
    assert sick.files == []


def test_nothing_is_ours_in_a_folder_that_has_taken_its_place(sick: Sick) -> None:
    """The rows would go into a database that nobody will open again."""
    messages = sick.data / "spool/messages"
    messages.rename(messages.with_name("old"))
    messages.mkdir()
    with pytest.raises(OSError, match="not the one"):
        sick.add("L1")
    assert REPLACED in sick.alarms.lasting
    assert not list(messages.iterdir())


def test_little_room_is_an_alarm_and_nothing_stops(tmp_path: Path) -> None:
    sick = Sick(tmp_path, least=float(2**62))
    sick.look()
    assert LITTLE in sick.alarms.lasting
    assert sick.spool.fit()
    sick.add("L1")
    sick.spool.close()


def test_it_starts_on_a_disk_without_room_for_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "posix_fallocate", raised(errno.ENOSPC))
    sick = Sick(tmp_path)
    assert FULL in sick.alarms.lasting
    assert not sick.spool.fit()
    with pytest.raises(OSError, match="No space"):
        sick.add("L1")
    monkeypatch.undo()
    sick.look()
    assert sick.spool.fit()
    sick.add("L2")
    sick.spool.close()


def test_a_start_that_finds_no_room_takes_it_from_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Sick(tmp_path)
    first.add("L1")
    first.spool.close()
    spool = DiskSpool(tmp_path, "filesystem", in_place, in_place, Runner().clock, ListLog(), str, ListAlarms())
    opened, tries = spool._open, []

    def full() -> Any:
        tries.append(None)
        if len(tries) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened()

    monkeypatch.setattr(spool, "_open", full)
    spool.start()
    assert len(tries) == 2
    spool.close()


def test_a_disk_that_does_not_answer_is_asked_once(sick: Sick, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Health] = []
    examination = sick.spool._examination
    monkeypatch.setattr(Health, "look", lambda self: looks.append(self) or {})
    examination._running = True
    sick.look()
    assert looks == []


@pytest.mark.parametrize(
    ("number", "condition"),
    [
        (errno.EROFS, "read-only"),
        (errno.EMFILE, "files"),
        (errno.ENFILE, "files"),
        (errno.EIO, "errors"),
        (0, "errors"),
    ],
)
def test_errors_have_names(number: int, condition: str) -> None:
    assert condition_of(OSError(number, "x")) == condition
