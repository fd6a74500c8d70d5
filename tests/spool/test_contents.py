"""Small letters are durable with the log of the database; their files follow."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstack import durable
from mailstack.durable import SYNCS, LogSync, Syncs
from mailstack.interfaces.spool import Result
from mailstack.spool import batch, contents, incoming
from mailstack.spool.contents import MOST_RECIPIENTS, REST
from mailstack.spool.disk import DiskSpool
from mailstack.spool.group_sync import LEISURE, GroupSync
from mailstack.spool.incoming import MAX_LOGGED, Arrivals
from mailstack.spool.recovery import Repairs
from tests.fakes import ListLog, in_place
from tests.spool.contract import LATER, all_due, letter
from tests.spool.test_spool import Runner

SMALL, LARGE = b"x" * (MAX_LOGGED - 1) + b"\n", b"x" * MAX_LOGGED + b"\n"


class Office:
    """A spool, and what of it was synced."""

    def __init__(self, data: Path, mode: str = "file") -> None:
        self.data, self.mode = data, mode
        self.run = Runner(steps=40)
        self.logs = 0
        self.on_log: Callable[[], object] = lambda: None
        self.synced: list[set[str]] = []
        self.open()

    def open(self) -> None:
        def sync(paths: Any) -> None:
            self.synced.append({os.path.relpath(path, self.data) for path in paths})

        office = self

        class CountingSync(LogSync):
            def __call__(self) -> None:
                office.logs += 1
                office.on_log()

        def of_folder(folder: Path, by_file: bool) -> Any:
            self.synced_folder = folder
            return sync

        syncs = Syncs(of_folder, CountingSync)
        self.spool = DiskSpool(self.data, self.mode, in_place, in_place, self.run.clock, ListLog(), str, syncs=syncs)
        self.repairs = self.spool.start()
        self.synced.clear()
        self.logs = 0

    def add(self, id: str, content: bytes = SMALL) -> None:
        file = self.spool.receive(id)
        file.write(content)
        self.run(self.spool.add(letter(id, content=content), file))

    def kept(self) -> list[str]:
        return [id for (id,) in self.spool._store._db.execute("SELECT id FROM contents ORDER BY id")]

    def file(self, id: str) -> Path:
        return Path(self.spool.path(id))


@pytest.fixture
def office(tmp_path: Path) -> Any:
    office = Office(tmp_path)
    yield office
    office.spool.close()


@pytest.mark.parametrize(("mode", "kept"), [("file", 3), ("filesystem", 0)])
def test_of_a_crowd_all_files_are_synced_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, kept: int
) -> None:
    monkeypatch.setattr(batch, "CROWD", 2)
    office = Office(tmp_path, mode)
    for number in range(3):
        file = office.spool.receive(f"L{number}")
        file.write(SMALL)
        Deferred.fromCoroutine(office.spool.add(letter(f"L{number}", content=SMALL), file))
    office.run.clock.advance(0)
    assert len(office.kept()) == kept and (office.logs, len(office.synced)) == (kept > 0, kept == 0)
    assert len(all_due(office.spool, office.run, 1e9)) == 3
    office.spool.close()


@pytest.mark.parametrize(("mode", "kept"), [("file", ["L1"]), ("filesystem", [])])
def test_a_small_letter_that_waits_for_files_anyway(tmp_path: Path, mode: str, kept: list[str]) -> None:
    """With a larger one in the same batch."""
    office = Office(tmp_path, mode)
    for id, content in (("L1", SMALL), ("L2", LARGE)):
        file = office.spool.receive(id)
        file.write(content)
        Deferred.fromCoroutine(office.spool.add(letter(id, content=content), file))
    office.run.clock.advance(0)
    assert office.kept() == kept and len(office.synced) == 1
    office.spool.close()


def test_when_too_many_files_are_not_durable_clients_wait_for_them(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "MOST_LETTERS", 2)
    for number in range(3):
        office.add(f"L{number}")
    assert (office.logs, office.kept()) == (2, ["L0", "L1"])
    assert office.synced == [{"spool/messages", "spool/messages/L2", "spool/queue.db-wal"}]
    office.run(office.spool.settle({"L0": [Result(0, "sent", LATER)]}))
    office.add("L3")
    assert office.kept() == ["L1", "L3"]


def test_a_small_letter_waits_for_the_log_alone(office: Office) -> None:
    office.add("L1")
    assert (office.logs, office.synced, office.kept()) == (1, [], ["L1"])
    assert office.file("L1").read_bytes() == SMALL


def test_its_file_is_written_while_the_log_is_synced(office: Office) -> None:
    there = []
    office.on_log = lambda: there.append((office.kept(), office.file("L1").exists()))
    office.add("L1")
    assert there == [(["L1"], False)]
    assert office.file("L1").exists()


def test_one_whose_file_is_refused_then_is_taken_back(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Durably, before its client hears that it keeps it; and it is the only one of its batch."""
    write_new, there = durable.write_new, []
    office.on_log = lambda: there.append(office.kept())

    def full(path: str, content: bytes, **named: Any) -> None:
        if path.endswith("L1"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_new(path, content, **named)

    monkeypatch.setattr(incoming, "write_new", full)
    told: list[Any] = []
    for id in ("L1", "L2"):
        content = office.spool.receive(id)
        content.write(SMALL)
        coming = Deferred.fromCoroutine(office.spool.add(letter(id, content=SMALL), content))
        coming.addBoth(lambda result: told.append((result and result.value.errno, len(there))))
    office.run.clock.advance(0)
    assert told == [(errno.ENOSPC, 2), (None, 2)]
    assert there == [["L1", "L2"], ["L2"]]
    office.spool.close()
    office.on_log = lambda: None
    office.open()
    assert [due.letter.id for due in all_due(office.spool, office.run, 1e9)] == ["L2"]
    assert office.repairs == Repairs()


def test_a_larger_one_waits_for_its_file(office: Office) -> None:
    office.add("L1", LARGE)
    assert office.logs == 0 and office.kept() == []
    assert office.synced == [{"spool/messages", "spool/messages/L1", "spool/queue.db-wal"}]


def test_one_to_many_waits_for_its_file(office: Office) -> None:
    for id, number in (("L1", MOST_RECIPIENTS), ("L2", MOST_RECIPIENTS + 1)):
        incoming = office.spool.receive(id)
        incoming.write(SMALL)
        to = [f"u{each}@office.test" for each in range(number)]
        office.run(office.spool.add(letter(id, *to, content=SMALL), incoming))
    assert office.logs == 1 and office.kept() == ["L1"]
    assert office.synced == [{"spool/messages", "spool/messages/L2", "spool/queue.db-wal"}]


def test_in_a_batch_of_both_all_wait_for_files(office: Office) -> None:
    for id, content in (("L1", SMALL), ("L2", LARGE)):
        file = office.spool.receive(id)
        file.write(content)
        Deferred.fromCoroutine(office.spool.add(letter(id, content=content), file))
    office.run.clock.advance(0)
    assert office.logs == 0 and office.kept() == ["L1"]
    assert office.synced == [{"spool/messages", "spool/messages/L2", "spool/queue.db-wal"}]


def test_a_delivery_makes_its_file_durable(office: Office) -> None:
    office.add("L1")
    office.add("L2", LARGE)
    office.synced.clear()
    office.run(office.spool.flush([office.data], ["L1", "L2"], 0))
    assert office.synced == [{".", "spool/messages/L1", "spool/queue.db-wal"}]


def test_one_that_stays_leaves_the_database_when_its_file_is_durable(office: Office) -> None:
    office.add("L1")
    office.run.clock.advance(REST / 2)
    office.add("L2")
    office.run(office.spool.examine())
    assert office.kept() == ["L1", "L2"] and office.synced == []
    office.run.clock.advance(REST / 2)
    office.run(office.spool.examine())
    assert office.kept() == ["L2"]
    assert office.synced == [{"spool/messages", "spool/messages/L1", "spool/queue.db-wal"}]
    assert [due.letter.id for due in all_due(office.spool, office.run, 1e9)] == ["L1", "L2"]


def test_a_slow_disk_is_asked_once(office: Office) -> None:
    office.add("L1")
    office.run.clock.advance(REST)
    looks = [Deferred.fromCoroutine(office.spool.examine()) for _ in range(3)]
    office.run.clock.pump([LEISURE] * 4)
    assert all(look.called for look in looks)
    assert office.kept() == [] and len(office.synced) == 1


def test_one_that_goes_leaves_nothing(office: Office) -> None:
    office.add("L1")
    office.run(office.spool.settle({"L1": [Result(0, "sent", LATER)]}))
    office.run.clock.advance(REST)
    office.run(office.spool.examine())
    assert office.kept() == [] and office.synced == [] and not office.file("L1").exists()


def test_it_stays_in_the_database_while_the_disk_refuses_its_file(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(paths: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    office.add("L1")
    office.run.clock.advance(REST)
    monkeypatch.setattr(office.spool._store, "_sync", refuse)
    office.run(office.spool.examine())
    assert office.kept() == ["L1"]
    monkeypatch.undo()
    office.add("L2")
    office.run(office.spool.examine())
    assert office.kept() == ["L2"]


@pytest.mark.parametrize("left", [None, b"", SMALL[:10], bytes(len(SMALL)), SMALL + b"more"])
@pytest.mark.parametrize("number", ["L1", "L2"])
def test_what_a_crash_has_left_of_its_file_is_mended(office: Office, number: str, left: bytes | None) -> None:
    """Of whichever batch; and whatever is linked to it has it, too."""
    office.add("L1")
    office.add("L2")
    link = office.data / "link"
    link.hardlink_to(office.file(number))
    if left is None:
        office.file(number).unlink()
        link.unlink()
    else:
        office.file(number).write_bytes(left)
    office.spool.close()
    synced = office.synced
    office.open()
    assert office.repairs.faults == {} and office.repairs.unacknowledged == ()
    assert set(office.repairs.fresh) == {"L1", "L2"}
    assert office.file(number).read_bytes() == SMALL and office.kept() == []
    assert left is None or link.read_bytes() == SMALL
    assert synced is not office.synced or synced == []


def test_contents_that_are_damaged_mend_nothing(office: Office) -> None:
    office.add("L1")
    office.add("L2")
    office.spool._store._db.execute("UPDATE contents SET content = ?", (SMALL.replace(b"xx", b"xy"),))
    office.spool.close()
    office.open()
    assert office.file("L1").read_bytes() == office.file("L2").read_bytes() == SMALL
    assert office.repairs.faults == {}


def test_something_else_in_the_place_of_a_file_is_told_of(office: Office) -> None:
    office.add("L1")
    office.file("L1").unlink()
    office.file("L1").mkdir()
    office.add("L2")
    office.spool.close()
    office.open()
    assert office.repairs.fresh == ("L2",) and office.kept() == ["L1"]
    office.file("L1").rmdir()
    office.spool.close()
    office.open()
    assert office.file("L1").read_bytes() == SMALL and office.kept() == []


def test_a_stop_makes_all_files_durable(office: Office) -> None:
    office.add("L1")
    office.run(office.spool.stop())
    assert office.synced == [{"spool/messages", "spool/messages/L1", "spool/queue.db-wal"}]
    office.open()
    assert office.kept() == [] and office.repairs.fresh == ()


# ---- The sync of files


class Disk:
    """Takes as long as it is told to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.arrivals = Arrivals()
        self.calls: list[set[Path]] = []
        self.ends: list[Deferred[None]] = []
        self.group = GroupSync(self._sync, self.arrivals, self.clock)

    def _sync(self, paths: Any) -> Deferred[None]:
        self.calls.append(set(paths))
        self.ends.append(Deferred())
        return self.ends[-1]

    def join(self, name: str, hurry: bool = False) -> list[Any]:
        results: list[Any] = []
        self.group.join([Path(name)], hurry).addBoth(results.append)
        return results


A, B, C = Path("a"), Path("b"), Path("c")


def test_who_is_in_no_hurry_gathers() -> None:
    disk = Disk()
    first, second = disk.join("a"), disk.join("b")
    disk.clock.advance(LEISURE / 2)
    assert disk.calls == []
    disk.clock.advance(LEISURE / 2)
    assert disk.calls == [{A, B}] and not first
    disk.ends[0].callback(None)
    assert first == second == [None]


def test_who_is_in_a_hurry_takes_the_others_along() -> None:
    disk = Disk()
    first, second = disk.join("a"), disk.join("b", hurry=True)
    assert disk.calls == [{A, B}]
    disk.ends[0].callback(None)
    assert first == second == [None]
    disk.clock.advance(1)
    assert len(disk.calls) == 1


def test_one_at_a_time() -> None:
    disk = Disk()
    first, second, third = disk.join("a", hurry=True), disk.join("b", hurry=True), disk.join("c")
    assert disk.calls == [{A}]
    disk.ends[0].callback(None)
    assert disk.calls == [{A}, {B, C}] and first and not second
    disk.ends[1].callback(None)
    assert second == third == [None] and not disk.group.busy


def test_a_failure_is_for_all_who_have_come_by_then() -> None:
    disk, heard = Disk(), list[OSError]()
    disk.group.on_failure = heard.append
    first, second = disk.join("a", hurry=True), disk.join("b", hurry=True)
    error = OSError(errno.EIO, "Input/output error")
    disk.ends[0].errback(error)
    assert first[0].value is second[0].value is error and heard == [error]
    assert disk.arrivals.failed_syncs == 1 and not disk.group.busy
    third = disk.join("c")
    disk.clock.advance(LEISURE)
    assert disk.calls == [{A}, {C}]
    disk.ends[1].callback(None)
    assert third == [None]


def test_it_is_idle_when_nobody_waits() -> None:
    disk = Disk()
    first = disk.join("a")
    idle: list[Any] = []
    Deferred.fromCoroutine(disk.group.idle()).addBoth(idle.append)
    assert disk.calls == [{A}]
    disk.ends[0].errback(OSError(errno.EIO, "Input/output error"))
    assert first[0].check(OSError) and idle == [None]


def test_the_log_is_synced_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x")
    sync = SYNCS.of_log(tmp_path / "log")
    sync()
    sync.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        sync()


def test_the_sync_is_for_the_file_system_of_the_messages(office: Office) -> None:
    """``data/spool`` may be a mount, or a link to another disk."""
    assert office.synced_folder == office.data / "spool/messages"


@pytest.mark.parametrize("number", [errno.EUCLEAN, errno.EBADMSG])
def test_a_file_system_that_is_damaged_at_one_file_keeps_nobody_else_waiting(
    office: Office, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Neither after a sync that has failed nor at the start."""

    def write_over(path: Path, content: bytes, create: bool) -> None:
        if path.name == "L1":
            raise OSError(number, os.strerror(number), str(path))
        durable.write_over(path, content, create)

    monkeypatch.setattr(contents, "write_over", write_over)
    office.add("L1")
    office.add("L2")
    office.spool._store._holes = True
    office.run(office.spool.flush([office.data], ["L2"], 0))
    office.spool.close()
    office.open()
    assert office.file("L2").read_bytes() == SMALL


def test_nobody_else_copies_a_log_that_may_have_a_hole(office: Office) -> None:
    (pages,) = office.spool._reader._db.execute("PRAGMA wal_autocheckpoint").fetchone()
    assert pages == 0
