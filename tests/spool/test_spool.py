"""Both spools keep the contract; the one on disk also survives what disks and crashes do."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from mailstack.durable import SYNCS, Sync, write_anew
from mailstack.interfaces.alarms import SILENT, IAlarms
from mailstack.interfaces.spool import IIncoming, Result, Wanted
from mailstack.model.deed import BOUNCE, DROP, HOLD, Deed
from mailstack.model.reply import Reply
from mailstack.model.selection import EVERYTHING
from mailstack.spool import batch, incoming
from mailstack.spool.commit import ALL, COMPANY
from mailstack.spool.desk import QueueDesk
from mailstack.spool.disk import DiskSpool
from mailstack.spool.incoming import MAX_HELD
from mailstack.spool.memory import MemorySpool
from mailstack.spool.schema import VERSION
from mailstack.spool.store import Store
from tests.fakes import ListLog, at_once, in_place
from tests.spool.contract import ALICE, LATER, NEVER, SpoolContract, all_due, letter


class TestMemorySpool(SpoolContract):
    @pytest.fixture(autouse=True)
    def _spool(self) -> None:
        self.spool = MemorySpool()
        self.run = at_once


class Runner:
    """Drives the spool's clock until a coroutine has its result; for so many steps."""

    def __init__(self, steps: int = 10) -> None:
        self.clock = Clock()
        self._steps = steps

    def __call__(self, work: Coroutine[Any, Any, Any]) -> Any:
        results: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(results.append)
        for _ in range(self._steps):
            if results:
                break
            self.clock.advance(0.05)
        assert results, "it never ends"
        if hasattr(results[0], "raiseException"):
            results[0].raiseException()
        return results[0]


def open_spool(data: Path, run: Runner, sync: str = "filesystem", alarms: IAlarms = SILENT) -> DiskSpool:
    spool = DiskSpool(data, sync, in_place, in_place, run.clock, ListLog(), str, alarms)
    spool.repairs = spool.start()  # type: ignore[attr-defined]
    return spool


@pytest.mark.parametrize("sync", ["filesystem", "file", "auto"])
class TestDiskSpool(SpoolContract):
    @pytest.fixture(autouse=True)
    def _spool(self, tmp_path: Path, sync: str) -> Any:
        self.run = Runner()
        self.spool = open_spool(tmp_path, self.run, sync)
        yield
        self.spool.close()


class TestRestart:
    @pytest.fixture(autouse=True)
    def _data(self, tmp_path: Path) -> None:
        self.data = tmp_path
        self.run = Runner()

    def add(self, spool: DiskSpool, id: str, content: bytes = b"x\n") -> None:
        incoming = spool.receive(id)
        incoming.write(content)
        self.run(spool.add(letter(id, content=content), incoming))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.data / "spool/queue.db")) as db:
            return db.execute(query).fetchall()

    def execute(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.data / "spool/queue.db")) as db, db:
            db.execute(statement, values)

    def test_what_attempts_came_to_is_known_as_long_as_the_letter_is_there(self) -> None:
        spool = open_spool(self.data, self.run)
        self.add(spool, "L1")
        for at in (1001.0, 1002.0):
            self.run(spool.settle({"L1": [Result(0, "deferred", LATER, "mx.x.test", at + 60, at=at)]}))
        history = "SELECT id, number, at, state, code, relay FROM history"
        assert self.rows(history) == [("L1", 0, at, "deferred", 451, "mx.x.test") for at in (1001.0, 1002.0)]
        self.run(spool.settle({"L1": [Result(0, "sent", LATER, at=1003.0)], "GONE": [Result(0, "sent", LATER)]}))
        assert self.rows(history) == []
        spool.close()

    @pytest.mark.parametrize("state", ["active", "deferred", "hold"])
    def test_where_letters_go_next_is_what_the_routes_say_now(self, state: str) -> None:
        open_spool(self.data, self.run).close()
        for routes, found in ((str, "office.test"), (str.upper, "OFFICE.TEST")):
            spool = DiskSpool(self.data, "filesystem", in_place, in_place, self.run.clock, ListLog(), routes)
            spool.start()
            if found == "office.test":
                self.add(spool, "L1")
                self.execute("UPDATE recipients SET state = ?", state)
            assert self.rows("SELECT destination FROM recipients") == [(found,)]
            spool.close()

    def test_letters_are_there_after_a_restart(self) -> None:
        spool = open_spool(self.data, self.run)
        self.add(spool, "L1", b"y" * 2_000_000)
        self.run(spool.settle({"L1": [Result(0, "deferred", LATER, "none", 2000.0)]}))
        spool.close()
        spool = open_spool(self.data, self.run)
        (due,) = all_due(spool, self.run, 2000.0)
        assert due.letter.id == "L1" and due.pending[0].attempts == 1
        assert Path(spool.path("L1")).stat().st_size == 2_000_000
        assert spool.repairs.leftovers == 0
        spool.close()

    def test_what_was_recorded_at_the_last_moment_is_there_after_a_stop(self) -> None:
        """Although nobody waits for it any more: an attempt is cut off when the server stops."""
        spool = open_spool(self.data, self.run)
        self.add(spool, "L1")
        work = Deferred.fromCoroutine(spool.settle({"L1": [Result(0, "sent", LATER)]}))
        work.addErrback(lambda _: None).cancel()
        self.run(spool.stop())
        assert self.rows("SELECT id FROM messages") == []

    def test_a_row_whose_body_the_crash_cut_off_was_never_acknowledged_and_goes(self, unlogged: None) -> None:
        spool = open_spool(self.data, self.run)
        self.add(spool, "L1")
        self.add(spool, "L2", b"whole\n")
        spool.close()
        (self.data / "spool/messages/L2").write_bytes(b"who")
        self.execute("INSERT INTO history VALUES ('L2', 0, 1.0, 'hold', 0, '', 'Put on hold', 'admin:root')")
        spool = open_spool(self.data, self.run)
        assert spool.repairs.unacknowledged == ("L2",)
        assert self.rows("SELECT * FROM history") == []
        assert [due.letter.id for due in all_due(spool, self.run, 1e9)] == ["L1"]
        spool.close()

    def test_what_is_to_be_saved_is_known_after_a_restart(self, unlogged: None) -> None:
        """Only of letters that were acknowledged."""
        spool = open_spool(self.data, self.run)
        for id in ("L1", "L2"):
            incoming = spool.receive(id)
            incoming.write(b"whole\n")
            self.run(spool.add(evolve(letter(id, content=b"whole\n"), sent_by=ALICE), incoming))
            if id == "L1":
                self.run(spool.settle({"L1": [Result(0, "sent", LATER)]}))
        spool.close()
        (self.data / "spool/messages/L2").write_bytes(b"who")
        spool = open_spool(self.data, self.run)
        assert self.rows("SELECT id FROM unsaved") == [("L1",)]
        (found,) = self.run(spool.unsaved(1e9, 10))
        assert found == evolve(letter("L1", content=b"whole\n"), sent_by=ALICE)
        assert Path(spool.path("L1")).exists()
        self.run(spool.saved(["L1"]))
        assert not Path(spool.path("L1")).exists()
        spool.close()

    def test_an_acknowledged_letter_without_its_file_is_held_and_reported(self, unlogged: None) -> None:
        spool = open_spool(self.data, self.run)
        self.add(spool, "L1")
        self.add(spool, "L2")
        spool.close()
        (self.data / "spool/messages/L1").unlink()
        spool = open_spool(self.data, self.run)
        assert spool.repairs.faults == {"L1": "its file is missing"}
        assert [due.letter.id for due in all_due(spool, self.run, 1e9)] == ["L2"]
        entry = QueueDesk(self.data).entry("L1")
        assert entry is not None and entry.state == "hold"
        spool.close()

    def test_files_that_no_row_knows_are_put_aside_for_a_week(self) -> None:
        spool = open_spool(self.data, self.run)
        spool.close()
        (self.data / "spool/messages/OLD").write_bytes(b"half a message")
        spool = open_spool(self.data, self.run)
        assert spool.repairs.leftovers == 1 and spool.repairs.faults == {}
        assert list((self.data / "spool/messages").iterdir()) == []
        assert (self.data / "spool/leftovers/OLD").read_bytes() == b"half a message"
        spool.close()

    def test_a_second_server_on_the_same_folder_is_told_so(self) -> None:
        spool = open_spool(self.data, self.run)
        with pytest.raises(OSError, match="another mailstack is using"):
            open_spool(self.data, self.run)
        spool.close()

    def test_a_row_that_makes_no_sense_does_not_stop_the_others(self) -> None:
        spool = open_spool(self.data, self.run)
        self.add(spool, "L1")
        self.add(spool, "L2")
        with sqlite3.connect(self.data / "spool/queue.db") as db:
            db.execute("UPDATE recipients SET address = 'nonsense' WHERE id = 'L1'")
        assert [due.letter.id for due in all_due(spool, self.run, 1e9)] == ["L2"]
        spool.close()

    def test_what_is_not_to_be_seen_yet_takes_no_room_in_an_answer(self) -> None:
        """Fewer letters than were asked for mean that there are no more."""
        spool = open_spool(self.data, self.run)
        for id in ("L1", "L2", "L3"):
            self.add(spool, id)
        with spool._hidden("L1"):
            (found,) = self.run(spool.due(1e9, [Wanted("office.test", 2)]))
        assert [due.letter.id for due in found] == ["L2", "L3"]
        spool.close()

    def test_notes_that_cannot_be_read_now_are_read_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        spool = open_spool(self.data, self.run)
        self.execute("""INSERT INTO notes (id, fields) VALUES ('L1', '{"what": "dropped"}')""")

        def busy() -> None:
            raise OSError(errno.EAGAIN, "busy")

        with monkeypatch.context() as patch:
            patch.setattr(spool._reader, "notes", busy)
            assert self.run(spool.changed()), "that something has changed is known"
        log = spool._log
        assert isinstance(log, ListLog) and not log.events
        self.run(spool.changed())
        assert log.events == [("L1", {"what": "dropped"})]
        spool.close()

    def test_what_a_kill_has_left_of_the_last_batch_is_synced_before_anybody_gets_it(self, unlogged: None) -> None:
        """It may be whole in the kernel's cache and nowhere else, and a delivery syncs the Maildir alone."""
        spool = open_spool(self.data, self.run)
        for id in ("L1", "L2"):
            incoming = spool.receive(id)
            incoming.write(b"x\n")
            self.run(spool.add(letter(id), incoming))
        spool.close()
        synced: list[Path] = []

        def open_sync(folder: Path, by_file: bool) -> Sync:
            return synced.extend

        syncs = SYNCS._replace(of_folder=open_sync)
        again = DiskSpool(self.data, "file", in_place, in_place, Clock(), ListLog(), str, syncs=syncs)
        again.start()
        again.close()
        messages = self.data / "spool/messages"
        assert {messages, messages / "L2"} <= set(synced) and messages / "L1" not in synced

    def test_what_another_process_has_left_in_the_log_is_not_believed(
        self, monkeypatch: pytest.MonkeyPatch, unlogged: None
    ) -> None:
        """It was killed, perhaps after a failed sync, of which nobody else hears: the log begins anew."""
        spool = open_spool(self.data, self.run)
        incoming = spool.receive("L1")
        incoming.write(b"x\n")
        self.run(spool.add(letter("L1"), incoming))
        written: list[Path] = []
        monkeypatch.setattr("mailstack.spool.store.write_anew", written.append)
        monkeypatch.setattr("mailstack.spool.recovery.write_anew", written.append)
        os.close(spool._lock)  # as a kill does
        again = open_spool(self.data, self.run)
        assert written == [again._store._wal, self.data / "spool/messages/L1"]
        assert (self.data / "spool/queue.db").stat().st_size > 4096
        spool._lock = os.open("/dev/null", os.O_RDONLY)
        spool.close()
        again.close()


class FailingSync:
    """Fails when told to, as either kind of sync."""

    def __init__(self) -> None:
        self.fails = False
        self.fails_at = -1
        self.calls = 0
        self.number = errno.EIO

    def __call__(self, paths: Any = ()) -> None:
        self.calls += 1
        if self.fails or self.calls - 1 == self.fails_at:
            raise OSError(self.number, os.strerror(self.number))

    def close(self) -> None:
        pass


class OnFailingDisk:
    def stored(self) -> list[str]:
        return sorted(os.listdir(self.spool._files.folder))  # noqa: PTH208 - names

    @pytest.fixture(autouse=True)
    def _spool(self, tmp_path: Path) -> Any:
        self.run = Runner()
        self.spool = open_spool(tmp_path, self.run)
        self.sync = FailingSync()
        self.spool._store._sync = self.sync
        self.spool._store._sync_log = self.sync  # type: ignore[assignment]
        yield
        self.spool.close()

    def begin(self, work: Coroutine[Any, Any, Any]) -> list[Any]:
        done: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(done.append)
        return done

    def add(self, id: str) -> Coroutine[Any, Any, Any]:
        incoming = self.spool.receive(id)
        incoming.write(b"x\n")
        return self.spool.add(letter(id), incoming)

    def receive_large(self, id: str) -> IIncoming:
        """A message of which a part is in its file."""
        incoming = self.spool.receive(id)
        incoming.write(b"x" * MAX_HELD)
        incoming.write(b"x\n")
        return incoming

    def due(self) -> list[str]:
        return [due.letter.id for due in all_due(self.spool, self.run, 1e9)]


class TestFailingDisk(OnFailingDisk):
    def test_after_a_failed_sync_nothing_of_the_letter_is_left(self) -> None:
        self.sync.fails = True
        incoming = self.spool.receive("L1")
        incoming.write(b"x\n")
        with pytest.raises(OSError):
            self.run(self.spool.add(letter("L1"), incoming))
        assert not Path(self.spool.path("L1")).exists()
        assert all_due(self.spool, self.run, 1e9) == []

    def test_the_next_letter_is_taken_when_the_disk_works_again(self) -> None:
        self.test_after_a_failed_sync_nothing_of_the_letter_is_left()
        self.sync.fails = False
        incoming = self.spool.receive("L2")
        incoming.write(b"x\n")
        self.run(self.spool.add(letter("L2"), incoming))
        assert [due.letter.id for due in all_due(self.spool, self.run, 1e9)] == ["L2"]

    def test_who_comes_while_a_sync_of_files_fails_hears_the_same(self, unlogged: None) -> None:
        """The kernel may have given up pages of theirs with those of the others; the next sync would not say so."""
        syncing: Deferred[Any] = Deferred()
        sync = self.spool._group_sync._sync

        async def slowly(paths: Any) -> Any:
            await syncing
            await sync(paths)

        self.spool._group_sync._sync = slowly
        self.sync.fails = True
        first, large = self.begin(self.add("L1")), self.receive_large("L3")
        self.run.clock.advance(1)
        second = self.begin(self.add("L2"))
        link = self.begin(self.spool.flush([self.spool._data], [], self.spool.failed_syncs()))
        assert not first and not second and not link
        syncing.callback(None)
        self.sync.fails = False
        self.run.clock.advance(1)
        assert [done[0].check(OSError) for done in (first, second, link)] == [OSError] * 3
        with pytest.raises(OSError, match="a sync has failed since"):
            self.run(self.spool.add(letter("L3"), large))
        assert list(self.spool._files.folder.iterdir()) == []
        self.run(self.add("L4"))
        assert self.due() == ["L4"]

    def test_letters_in_the_log_do_not_mind_a_sync_of_files_that_fails(self) -> None:
        self.run(self.add("L1"))
        self.sync.fails = True
        with pytest.raises(OSError):
            self.run(self.spool.flush([self.spool._data], ["L1"], self.spool.failed_syncs()))
        self.sync.fails = False
        self.run(self.add("L2"))
        assert self.due() == ["L1", "L2"]

    def test_files_of_letters_in_the_log_are_written_once_more_after_it(self) -> None:
        """In their places, so that links to them have it, too; and not those of letters that are gone."""
        self.run(self.add("L1"))
        self.run(self.add("L2"))
        path, link = Path(self.spool.path("L1")), self.spool._data / "link"
        link.hardlink_to(path)
        self.sync.fails = True
        with pytest.raises(OSError):
            self.run(self.spool.flush([self.spool._data], ["L1"], self.spool.failed_syncs()))
        path.write_bytes(b"")  # what the kernel has given up
        Path(self.spool.path("L2")).unlink()
        self.sync.fails = False
        self.run(self.spool.flush([self.spool._data], ["L1"], self.spool.failed_syncs()))
        assert link.read_bytes() == b"x\n" and self.stored() == ["L1"]

    def test_a_large_message_that_begins_after_a_failed_sync_is_taken(self) -> None:
        self.test_after_a_failed_sync_nothing_of_the_letter_is_left()
        self.sync.fails = False
        self.run(self.spool.add(letter("L2"), self.receive_large("L2")))
        assert self.due() == ["L2"]

    @pytest.mark.parametrize("failing", [0, 1])
    def test_a_report_is_not_lost_whichever_of_its_two_syncs_fails(self, failing: int) -> None:
        """Either the failure stays unreported, and so due; or the report is there, and its mark is made good."""
        incoming = self.spool.receive("L1")
        incoming.write(b"x\n")
        self.run(self.spool.add(letter("L1"), incoming))
        self.run(self.spool.settle({"L1": [Result(0, "bounced", NEVER)]}))
        self.sync.fails_at = self.sync.calls + failing
        content = self.spool.receive("B1")
        content.write(b"x\n")
        done: list[Any] = []
        report = self.spool.report("L1", [0], letter("B1", "a@far.test", sender=""), content, 0)
        Deferred.fromCoroutine(report).addBoth(done.append)
        for _ in range(10):
            self.run.clock.advance(1)
        assert [getattr(each, "type", None) for each in done] == [OSError if failing == 0 else None]
        due = {due.letter.id: due.unreported for due in all_due(self.spool, self.run, 1e9)}
        assert due == ({"L1": True} if failing == 0 else {"B1": False})

    def test_results_that_were_not_durable_can_be_recorded_again(self) -> None:
        incoming = self.spool.receive("L1")
        incoming.write(b"x\n")
        self.run(self.spool.add(letter("L1"), incoming))
        self.sync.fails_at = self.sync.calls
        with pytest.raises(OSError):
            self.run(self.spool.settle({"L1": [Result(0, "sent", Reply(250, "2.0.0", "ok"))]}))
        assert Path(self.spool.path("L1")).exists()
        self.run(self.spool.settle({"L1": [Result(0, "sent", Reply(250, "2.0.0", "ok"))]}))
        assert not Path(self.spool.path("L1")).exists()
        assert all_due(self.spool, self.run, 1e9) == []

    def test_the_file_of_a_letter_goes_although_the_sync_of_its_end_has_failed(self) -> None:
        """Nobody tries to remove it again, so the next batch does."""
        incoming = self.spool.receive("L1")
        incoming.write(b"x\n")
        self.run(self.spool.add(letter("L1"), incoming))
        self.run(self.spool.settle({"L1": [Result(0, "bounced", NEVER)]}))
        self.sync.fails_at = self.sync.calls
        with pytest.raises(OSError):
            self.run(self.spool.report("L1", [0], None, None, 0))
        assert Path(self.spool.path("L1")).exists()
        incoming = self.spool.receive("L2")
        incoming.write(b"x\n")
        self.run(self.spool.add(letter("L2"), incoming))
        assert not Path(self.spool.path("L1")).exists()
        assert Path(self.spool.path("L2")).exists()

    def test_what_its_sender_has_dropped_is_dropped_though_nobody_can_promise_it(self) -> None:
        incoming = self.spool.receive("L1")
        incoming.write(b"x\n")
        self.run(self.spool.add(letter("L1", account=ALICE), incoming))
        self.sync.fails_at = self.sync.calls
        with pytest.raises(OSError):
            self.run(self.spool.drop("L1", ALICE, 2000.0))
        assert all_due(self.spool, self.run, 1e9) == []
        incoming = self.spool.receive("L2")
        incoming.write(b"x\n")
        self.run(self.spool.add(letter("L2"), incoming))
        assert not Path(self.spool.path("L1")).exists()
        told = ("L1", {"what": "Dropped by its sender", "by": str(ALICE)})
        assert isinstance(self.spool._log, ListLog) and self.spool._log.events.count(told) == 1

    def test_after_a_failed_sync_the_log_is_written_once_more_before_it_is_copied(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A power loss in the middle must not find a log that ends early beside a database that is newer."""
        written: list[bytes] = []

        def note(path: Path) -> None:
            write_anew(path)
            written.append(path.read_bytes())

        monkeypatch.setattr("mailstack.spool.store.write_anew", note)
        self.test_after_a_failed_sync_nothing_of_the_letter_is_left()
        self.sync.fails = False
        before = self.spool._store._wal.read_bytes()
        incoming = self.spool.receive("L2")
        incoming.write(b"x\n")
        self.run(self.spool.add(letter("L2"), incoming))
        assert [octets[: len(before)] for octets in written] == [before]

    def test_after_a_failed_sync_the_log_begins_anew(self) -> None:
        """What the kernel believes written is not believed: it goes into another file."""
        self.test_after_a_failed_sync_nothing_of_the_letter_is_left()
        self.sync.fails = False
        wal = self.spool._store._wal
        before = wal.stat().st_size
        incoming = self.spool.receive("L2")
        incoming.write(b"x\n")
        self.run(self.spool.add(letter("L2"), incoming))
        assert wal.stat().st_size < before
        assert [due.letter.id for due in all_due(self.spool, self.run, 1e9)] == ["L2"]

    @pytest.mark.parametrize("copied_by", [Store.checkpoint, Store.close])
    def test_a_log_with_a_hole_is_copied_by_nothing(
        self, monkeypatch: pytest.MonkeyPatch, copied_by: Callable[[Store], None]
    ) -> None:
        written: list[Path] = []
        monkeypatch.setattr("mailstack.spool.store.write_anew", written.append)
        self.test_after_a_failed_sync_nothing_of_the_letter_is_left()
        store = self.spool._store
        copied_by(store)
        assert written == [store._wal]

    @staticmethod
    def refuse(db: sqlite3.Connection, ids: list[str], finished: bool = False) -> None:
        if ids:
            raise sqlite3.OperationalError("database is locked")

    def test_rows_that_cannot_be_taken_back_yet_go_before_the_batch_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Else the next start would miss the file of a letter that nobody was promised."""
        store = self.spool._store
        with monkeypatch.context() as locked:
            locked.setattr("mailstack.spool.store.remove", self.refuse)
            self.test_after_a_failed_sync_nothing_of_the_letter_is_left()
            self.sync.fails = False
            store.sync()
        store.end_batch()
        assert store.taken_back == set()
        assert store._db.execute("SELECT id FROM messages").fetchall() == []

    def test_rows_that_cannot_be_taken_back_yet_are_seen_by_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not by the queue, nor by who fetches mail or asks for it: their sender has heard 4xx."""
        monkeypatch.setattr("mailstack.spool.store.remove", self.refuse)
        self.test_after_a_failed_sync_nothing_of_the_letter_is_left()
        assert self.spool._store.taken_back == {"L1"}
        assert self.run(self.spool.waiting(["office.test"])) == []
        assert self.run(self.spool.hasten("office.test", False)) == 0

    def test_a_checkpoint_that_fails_takes_nothing_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(mode: str) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(self.spool._store, "_checkpoint", refuse)
        monkeypatch.setattr(type(self.spool._store), "full", True)
        incoming = self.spool.receive("L1")
        incoming.write(b"x\n")
        self.run(self.spool.add(letter("L1"), incoming))
        assert [due.letter.id for due in all_due(self.spool, self.run, 1e9)] == ["L1"]

    def test_an_id_that_is_taken_is_refused(self) -> None:
        for expected in (True, False):
            incoming = self.spool.receive("L1")
            incoming.write(b"x\n")
            if expected:
                self.run(self.spool.add(letter("L1"), incoming))
            else:
                with pytest.raises(OSError):
                    self.run(self.spool.add(letter("L1"), incoming))
        assert Path(self.spool.path("L1")).exists()


@pytest.mark.parametrize("verb", [HOLD, BOUNCE, DROP])
def test_what_the_administrator_ends_while_it_is_looked_up_is_not_due(tmp_path: Path, verb: str) -> None:
    run = Runner()
    spool = open_spool(tmp_path, run)
    for id in ("L1", "L2"):
        incoming = spool.receive(id)
        incoming.write(b"x\n")
        run(spool.add(letter(id), incoming))
    look_up = spool._reader.letter

    def meanwhile(id: str) -> Any:
        if id == "L1":
            QueueDesk(tmp_path).change(Deed(verb, "root", 0.0), ["L1"], EVERYTHING)
        return look_up(id)

    spool._reader.letter = meanwhile  # type: ignore[method-assign]
    ((found,),) = run(spool.due(2000.0, [Wanted("office.test", 10)]))
    assert found.letter.id == "L2" and found.pending
    spool.close()


def test_stop_comes_after_the_last_file_is_removed(tmp_path: Path) -> None:
    """Whoever waits for the last batch may be the last to stop, while the batch is not quite done."""
    run, calls = Runner(), list[str]()

    async def noted(function: Any, *args: Any) -> Any:
        calls.append(function.__name__)
        return function(*args)

    spool = DiskSpool(tmp_path, "filesystem", noted, in_place, run.clock, ListLog(), str)
    spool.start()
    incoming = spool.receive("L1")
    incoming.write(b"x\n")
    run(spool.add(letter("L1"), incoming))

    async def last() -> None:
        await spool.settle({"L1": [Result(0, "sent", LATER)]})
        await spool.stop()

    run(last())
    assert calls[-2:] == ["unlink", "_end"]
    assert not (tmp_path / "spool/messages/L1").exists()


class TestGroupCommit(OnFailingDisk):
    def test_many_letters_of_one_moment_cost_one_sync(self) -> None:
        done = [self.begin(self.add(f"L{number}")) for number in range(20)]
        assert not any(done)
        self.run.clock.advance(0)
        assert all(done) and self.sync.calls == 1

    def two_together(self) -> None:
        done = [self.begin(self.add(f"two-{number}")) for number in range(2)]
        self.run.clock.advance(0)
        assert all(done) and self.sync.calls == 1

    def test_a_message_that_is_arriving_is_waited_for(self) -> None:
        self.two_together()
        arriving = self.spool.receive("L2")
        done = self.begin(self.add("L1"))
        self.run.clock.advance(COMPANY / 2)
        assert not done
        arriving.write(b"x\n")
        second = self.begin(self.spool.add(letter("L2"), arriving))
        self.run.clock.advance(0)
        assert done and second and self.sync.calls == 2

    def test_as_many_as_in_the_last_batches_wait_for_nobody(self) -> None:
        self.two_together()
        arriving = self.spool.receive("L3")
        done = [self.begin(self.add(f"L{number}")) for number in range(2)]
        self.run.clock.advance(0)
        assert all(done) and self.sync.calls == 2
        arriving.discard()

    def test_a_message_that_is_slow_to_arrive_is_waited_for_once(self) -> None:
        self.two_together()
        slow = self.spool.receive("L4")
        done = self.begin(self.add("L1"))
        self.run.clock.advance(COMPANY)
        assert done and self.sync.calls == 2
        done = self.begin(self.add("L2"))
        self.run.clock.advance(0)
        assert done and self.sync.calls == 3
        slow.write(b"x\n")
        self.run(self.spool.add(letter("L4"), slow))

    def syncs(self) -> list[Deferred[Any]]:
        """Each sync that begins from now on waits for its own."""
        syncing: list[Deferred[Any]] = []

        async def in_thread(function: Any, *args: Any) -> Any:
            syncing.append(Deferred())
            await syncing[-1]
            return function(*args)

        self.spool._commit._in_thread = in_thread
        return syncing

    def test_no_file_is_written_while_a_sync_goes_on(self) -> None:
        syncing = self.syncs()
        one = self.begin(self.add("L1"))
        assert self.stored() == []
        self.run.clock.advance(0)
        two = self.begin(self.add("L2"))
        assert self.stored() == ["L1"]
        syncing[0].callback(None)
        assert one == [None] and self.stored() == ["L1", "L2"]
        syncing[1].callback(None)
        assert two == [None]

    def test_but_so_many_that_to_write_them_together_would_take_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(batch, "AT_ONCE", len(b"x\n") * 2)
        self.syncs()
        for number in range(3):
            self.begin(self.add(f"L{number}"))
        assert self.stored() == ["L2"]

    @pytest.mark.parametrize("together", [True, False])
    def test_what_the_disk_refuses_of_one_letter_concerns_no_other(
        self, together: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_new = incoming.write_new

        def refused(path: str, content: bytes, hurry: bool) -> None:
            if path.endswith("L1"):
                raise OSError(errno.ENOSPC, "No space left on device")
            write_new(path, content, hurry=hurry)

        monkeypatch.setattr(incoming, "write_new", refused)
        if not together:
            monkeypatch.setattr(batch, "AT_ONCE", 0)
        done = [self.begin(self.add(f"L{number}")) for number in range(3)]
        self.run.clock.advance(0)
        assert done[0] == done[2] == [None]
        assert done[1][0].check(OSError) and done[1][0].value.errno == errno.ENOSPC
        assert self.stored() == self.due() == ["L0", "L2"]
        assert self.spool._files.discarded == []

    def test_the_disk_goes_on_before_those_who_have_waited_have_their_answer(self) -> None:
        syncing = self.syncs()
        begun: list[int] = []

        async def first() -> None:
            await self.add("L1")
            begun.append(len(syncing))

        one = self.begin(first())
        self.run.clock.advance(0)
        two = self.begin(self.add("L2"))
        syncing[0].callback(None)
        assert one == [None] and begun == [2] and not two
        syncing[1].callback(None)
        assert two == [None]

    def test_an_answer_for_which_nobody_else_waits_comes_before_files_are_removed(self) -> None:
        order: list[str] = []
        self.run(self.add("L1"))
        self.spool._commit._finished = order.extend

        async def second() -> None:
            await self.add("L2")
            order.append("answer")

        self.begin(self.spool.settle({"L1": [Result(0, "sent", LATER)]}))
        self.run(second())
        assert order == ["answer", "L1"]

    def test_after_few_letters_others_have_their_turn_at_once(self) -> None:
        turns: list[int] = []
        self.spool.on_leisure = lambda: turns.append(self.sync.calls)
        self.run(self.add("L1"))
        self.run.clock.advance(0)
        assert turns == [1]

    def test_after_many_letters_others_have_their_turn_during_the_next_sync(self) -> None:
        turns: list[int] = []
        self.spool.on_leisure = lambda: turns.append(self.sync.calls)
        done = [self.begin(self.add(f"L{number}")) for number in range(5)]
        self.run.clock.advance(0)
        self.run.clock.advance(0)
        assert all(done) and turns == []
        self.run(self.add("L5"))
        self.run.clock.advance(0)
        assert turns[0] == 2

    def test_small_files_are_removed_together_and_others_in_the_thread(self) -> None:
        calls: list[str] = []
        thread = self.spool._in_thread

        async def noted(function: Any, *args: Any) -> Any:
            calls.append(function.__name__)
            return await thread(function, *args)

        self.spool._in_thread = noted
        done = [self.begin(self.add(f"L{number}")) for number in range(5)]
        self.run.clock.advance(0)
        self.run(self.spool.settle({f"L{number}": [Result(0, "sent", LATER)] for number in range(4)}))
        assert all(done) and calls == []
        self.run(self.spool.settle({"L4": [Result(0, "sent", LATER)]}))
        assert calls == ["unlink"]
        assert not list(self.spool._files.folder.iterdir())

    def test_nobody_waits_for_a_message_that_was_given_up(self) -> None:
        self.spool.receive("L1").discard()
        done = self.begin(self.add("L2"))
        self.run.clock.advance(0)
        assert done

    def test_nobody_waits_for_a_result_so_it_gathers_at_leisure(self) -> None:
        self.run(self.add("L1"))
        done = self.begin(self.spool.settle({"L1": [Result(0, "bounced", NEVER)]}))
        self.run.clock.advance(0.01)
        assert not done and self.sync.calls == 1
        self.run.clock.advance(0.05)
        assert done and self.sync.calls == 2

    @pytest.mark.parametrize("fails", [False, True])
    def test_who_insists_has_one_more_try_at_the_end(self, fails: bool) -> None:
        flushed: list[set[Path]] = []
        self.sync.fails = True
        insisting = Deferred.fromCoroutine(
            self.spool._commit.insist(lambda batch: flushed.append(batch.paths), must=ALL)
        )
        self.run.clock.advance(1)
        self.sync.fails = fails
        ended = self.begin(self.spool._commit.end())
        self.run.clock.advance(1)
        assert len(flushed) == self.sync.calls == 2
        assert ended and insisting.called
        if fails:
            insisting.addErrback(lambda failure: failure.trap(OSError))

    def test_a_report_that_is_cut_off_on_its_way_comes_with_its_mark(self) -> None:
        """Or the next start would make another one."""
        self.run(self.add("L1"))
        self.run(self.spool.settle({"L1": [Result(0, "bounced", NEVER)]}))
        content = self.spool.receive("B1")
        content.write(b"x\n")
        reporting = Deferred.fromCoroutine(self.spool.report("L1", [0], letter("B1"), content, 0))
        reporting.cancel()
        reporting.addErrback(lambda failure: failure.trap(CancelledError))
        assert reporting.called
        self.run(self.spool._commit.end())
        assert [due.letter.id for due in all_due(self.spool, self.run, 1e9)] == ["B1"]

    def test_a_result_comes_along_with_the_next_letter(self) -> None:
        self.run(self.add("L1"))
        done = self.begin(self.spool.settle({"L1": [Result(0, "bounced", NEVER)]}))
        self.begin(self.add("L2"))
        self.run.clock.advance(0)
        assert done and self.sync.calls == 2


def test_the_database_is_closed_to_others(tmp_path: Path) -> None:
    open_spool(tmp_path, Runner()).close()
    assert (tmp_path / "spool/queue.db").stat().st_mode & 0o077 == 0


VERSION_1 = """
CREATE TABLE messages (
    id TEXT PRIMARY KEY, sender TEXT NOT NULL, arrived REAL NOT NULL, size INTEGER NOT NULL, lines INTEGER NOT NULL,
    relay_offset INTEGER NOT NULL, eight_bit INTEGER NOT NULL, checksum INTEGER NOT NULL,
    warned INTEGER NOT NULL DEFAULT 0, batch INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE recipients (
    id TEXT NOT NULL, number INTEGER NOT NULL, address TEXT NOT NULL, original TEXT NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, next_attempt REAL NOT NULL, code INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL DEFAULT '', reply TEXT NOT NULL DEFAULT '', relay TEXT NOT NULL DEFAULT 'none',
    PRIMARY KEY (id, number)
) WITHOUT ROWID, STRICT;
CREATE INDEX waiting ON recipients (next_attempt) WHERE state IN ('active', 'deferred');
CREATE INDEX bounced ON recipients (id) WHERE state = 'bounced';
CREATE TABLE counter (batch INTEGER NOT NULL) STRICT;
INSERT INTO counter VALUES (7);
INSERT INTO messages VALUES ('L1', 'a@far.test', 1000.0, 2, 1, 0, 0, 0, 0, 6);
INSERT INTO recipients VALUES
    ('L1', 0, 'x@one.test', 'x@one.test', 'deferred', 3, 2000.0, 451, '4.4.1', 'later', 'none'),
    ('L1', 1, 'y@one.test', 'y@one.test', 'bounced', 1, 0.0, 550, '5.1.1', 'no such user', 'mx');
PRAGMA user_version = 1;
"""


class TestOlderAndNewer:
    """The queue of another version of mailstack."""

    @pytest.fixture(autouse=True)
    def _data(self, tmp_path: Path) -> None:
        self.data = tmp_path
        self.run = Runner()
        (tmp_path / "spool/messages").mkdir(parents=True)
        (tmp_path / "spool/messages/L1").write_bytes(b"x\n")
        self.script(VERSION_1)

    def script(self, text: str) -> None:
        db = sqlite3.connect(self.data / "spool/queue.db")
        db.executescript(text)
        db.close()

    def check(self) -> None:
        spool = open_spool(self.data, self.run)
        (due,) = all_due(spool, self.run, 2000.0)
        assert due.letter.id == "L1" and due.unreported and due.pending[0].attempts == 3
        assert due.letter.recipients[0].notify == frozenset() and not due.letter.smtputf8
        assert [outcome.action for outcome in self.run(spool.unreported("L1")).values()] == ["failed"]
        incoming = spool.receive("L2")
        incoming.write(b"x\n")
        self.run(spool.add(letter("L2"), incoming))
        self.run(spool.settle({"L2": [Result(0, "sent", LATER)]}))
        spool.close()

    def test_older_one_goes_on_as_it_was(self) -> None:
        self.check()
        self.check()

    def test_one_that_an_older_mailstack_has_used_meanwhile_is_brought_up_again(self) -> None:
        self.check()
        self.script("PRAGMA user_version = 1; CREATE INDEX bounced ON recipients (id) WHERE state = 'bounced';")
        self.check()

    def test_version_2_becomes_this_one(self) -> None:
        self.check()
        self.script(
            "ALTER TABLE messages DROP COLUMN not_before; DROP INDEX waiting; DROP INDEX in_line; DROP TABLE history;"
            "ALTER TABLE recipients DROP COLUMN destination; PRAGMA user_version = 2;"
            "ALTER TABLE messages DROP COLUMN hold; DROP TABLE notes;"
            "CREATE INDEX waiting ON recipients (next_attempt) WHERE state IN ('active', 'deferred');"
        )
        self.check()

    def test_version_3_becomes_this_one(self) -> None:
        self.check()
        self.script("ALTER TABLE messages DROP COLUMN hold; DROP TABLE notes; PRAGMA user_version = 3;")
        self.check()

    def test_version_4_becomes_this_one(self) -> None:
        self.check()
        self.script("DROP TABLE unsaved; PRAGMA user_version = 4;")
        self.check()

    def test_version_6_becomes_this_one(self) -> None:
        self.check()
        self.script("DROP INDEX of_account; ALTER TABLE messages DROP COLUMN account; PRAGMA user_version = 6;")
        self.check()

    def test_version_8_becomes_this_one(self) -> None:
        self.check()
        self.script(
            "DROP INDEX unreported; PRAGMA user_version = 8;"
            "CREATE INDEX unreported ON recipients (id)"
            " WHERE state IN ('bounced', 'delivered', 'relayed', 'expanded');"
        )
        self.check()
        self.check()
        assert not list((self.data / "spool").glob("*damaged*")), "the tables are those of this version now"

    def test_newer_one_is_refused_and_left_alone(self) -> None:
        self.script(f"PRAGMA user_version = {VERSION + 1}")
        before = (self.data / "spool/queue.db").read_bytes()
        with pytest.raises(OSError, match="newer mailstack"):
            open_spool(self.data, self.run)
        with pytest.raises(OSError, match="newer mailstack"):
            list(QueueDesk(self.data).letters(EVERYTHING))
        assert (self.data / "spool/queue.db").read_bytes() == before

    def test_command_line_reads_an_older_one_before_the_server_has_changed_it(self) -> None:
        (entry,) = QueueDesk(self.data).letters(EVERYTHING)
        assert [recipient.state for recipient in entry.recipients] == ["deferred", "bounced"]


def test_what_waits_for_its_report_is_shown_as_what_it_is(tmp_path: Path) -> None:
    run = Runner()
    spool = open_spool(tmp_path, run)
    incoming = spool.receive("L1")
    incoming.write(b"x\n")
    run(spool.add(letter("L1", "a@x.test", "b@x.test", "c@x.test"), incoming))
    states = ("delivered", "relayed", "reported")
    run(spool.settle({"L1": [Result(number, state, LATER) for number, state in enumerate(states)]}))
    (entry,) = QueueDesk(tmp_path).letters(EVERYTHING)
    assert [recipient.state for recipient in entry.recipients] == ["sent", "sent", "bounced"]
    spool.close()
