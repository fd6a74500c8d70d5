"""Letters from another process: beside a server that runs, before it starts, and when either of them dies."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mailstack.model.deed import DROP, HOLD, Deed
from mailstack.model.selection import EVERYTHING
from mailstack.spool import letterbox, neighbours
from mailstack.spool.batch import Batch
from mailstack.spool.desk import QueueDesk
from mailstack.spool.disk import DiskSpool
from mailstack.spool.letterbox import Letterbox
from tests.fakes import at_once
from tests.spool.contract import all_due, letter
from tests.spool.test_spool import Runner, open_spool


@pytest.fixture
def run() -> Runner:
    return Runner()


@pytest.fixture
def spool(tmp_path: Path, run: Runner) -> Any:
    """A server's, which runs."""
    opened = open_spool(tmp_path, run)
    yield opened
    opened.close()


def drop_in(data: Path, id: str, content: bytes = b"x\n", **wishes: Any) -> None:
    box = Letterbox(data, str, 1000, f"<{id}@office.test>")
    incoming = box.receive(id)
    incoming.write(content)
    at_once(box.add(letter(id, content=content, **wishes), incoming))


def rows(data: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(data / "spool/queue.db")) as db:
        return db.execute(query).fetchall()


def test_the_server_notices_logs_and_finds_it(tmp_path: Path, spool: DiskSpool, run: Runner) -> None:
    assert not run(spool.changed())
    drop_in(tmp_path, "L1", b"y" * 300_000)
    assert run(spool.changed())
    assert spool._log.events == [
        ("L1", {"uid": 1000, "from_": "<a@far.test>", "size": 300_000, "nrcpt": 1, "message-id": "<L1@office.test>"})
    ]
    (due,) = all_due(spool, run, 1e9)
    assert due.letter == letter("L1", content=b"y" * 300_000)
    assert Path(spool.path("L1")).stat().st_size == 300_000
    run(spool.changed())
    assert len(spool._log.events) == 1, "it is told once"
    assert rows(tmp_path, "SELECT destination FROM recipients") == [("office.test",)]


def test_the_log_is_copied_by_the_server_alone(tmp_path: Path, spool: DiskSpool) -> None:
    """It may have a hole after a sync that failed, of which nobody else knows."""
    long = 1000 * 4096  # octets, after which SQLite would do so by itself
    number = 0
    while spool._store._wal.stat().st_size <= long:
        number += 1
        spool._store.write(Batch(letters=[letter(f"L{number}", *(f"u{each}@a.test" for each in range(1000)))]))
    before = (tmp_path / "spool/queue.db").read_bytes()
    drop_in(tmp_path, "L0")
    QueueDesk(tmp_path).change(Deed(HOLD, "root", 1500.0), ["L0"], EVERYTHING)
    assert (tmp_path / "spool/queue.db").read_bytes() == before


def test_it_is_taken_up_by_a_server_that_starts_later(tmp_path: Path, run: Runner) -> None:
    open_spool(tmp_path, run).close()
    drop_in(tmp_path, "L1")
    spool = open_spool(tmp_path, run)
    assert spool.repairs.leftovers == 0 and spool.repairs.unacknowledged == ()
    assert [due.letter.id for due in all_due(spool, run, 1e9)] == ["L1"]
    assert spool._log.events[0][1]["uid"] == 1000
    spool.close()


def test_what_the_administrator_does_leaves_a_line_in_the_log(tmp_path: Path, spool: DiskSpool, run: Runner) -> None:
    drop_in(tmp_path, "L1", not_before=2000.0)
    desk = QueueDesk(tmp_path)
    for verb in (HOLD, DROP):
        desk.change(Deed(verb, "root", 1500.0, "by mistake"), ["L1", "L2"], EVERYTHING)
    assert run(spool.changed())
    assert spool._log.events[1:] == [
        ("L1", {"what": f"{words} by the administrator: by mistake", "by": "root"})
        for words in ("Put on hold", "Dropped")
    ]


def test_one_that_is_held_back_is_shown_as_deferred(tmp_path: Path, spool: DiskSpool) -> None:
    drop_in(tmp_path, "L1", not_before=2000.0)
    (entry,) = QueueDesk(tmp_path).letters(EVERYTHING)
    assert (entry.state, entry.next_attempt, entry.recipients[0].attempts) == ("deferred", 2000.0, 0)


def test_it_does_not_hide_the_servers_last_batch_from_the_next_start(
    tmp_path: Path, spool: DiskSpool, run: Runner, unlogged: None
) -> None:
    """A power failure may take the body of a letter whose row our own sync has made durable."""
    incoming = spool.receive("L1")
    incoming.write(b"x\n")
    run(spool.add(letter("L1"), incoming))
    drop_in(tmp_path, "L2")
    assert rows(tmp_path, "SELECT id FROM messages WHERE batch = (SELECT batch FROM counter)") == [("L1",)]
    spool.close()
    Path(spool.path("L1")).write_bytes(b"")
    again = open_spool(tmp_path, run)
    assert again.repairs.unacknowledged == ("L1",) and again.repairs.held == {}
    assert [due.letter.id for due in all_due(again, run, 1e9)] == ["L2"]
    again.close()
    spool.__dict__.update(again.__dict__)
    spool.close = lambda: None  # type: ignore[method-assign]


def test_what_dies_before_the_row_is_nothing(tmp_path: Path, run: Runner) -> None:
    open_spool(tmp_path, run).close()
    box = Letterbox(tmp_path, str, 1000)
    incoming = box.receive("L1")
    incoming.write(b"x" * 300_000)
    spool = open_spool(tmp_path, run)
    assert spool.repairs.leftovers == 1
    assert all_due(spool, run, 1e9) == []
    spool.close()


def test_a_start_in_between_is_told_and_leaves_nothing(tmp_path: Path, run: Runner, monkeypatch: Any) -> None:
    """The start takes the file away, because it has no row yet: no row must follow."""
    open_spool(tmp_path, run).close()
    monkeypatch.setattr(letterbox, "sync_paths", lambda paths: open_spool(tmp_path, run).close())
    with pytest.raises(FileNotFoundError):
        drop_in(tmp_path, "L1")
    assert rows(tmp_path, "SELECT * FROM messages") == []


def test_a_disk_that_refuses_leaves_nothing(tmp_path: Path, run: Runner, monkeypatch: Any) -> None:
    def refuse(paths: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    open_spool(tmp_path, run).close()
    monkeypatch.setattr(letterbox, "sync_paths", refuse)
    with pytest.raises(OSError):
        drop_in(tmp_path, "L1")
    assert rows(tmp_path, "SELECT * FROM messages") == []
    assert list((tmp_path / "spool/messages").iterdir()) == []


def test_somebody_who_keeps_the_database_for_himself_is_waited_for_and_then_told_of(
    tmp_path: Path, run: Runner, monkeypatch: Any
) -> None:
    open_spool(tmp_path, run).close()
    monkeypatch.setattr(neighbours, "PATIENCE", 0.01)
    with closing(sqlite3.connect(tmp_path / "spool/queue.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError, match="locked"):
            drop_in(tmp_path, "L1")
    assert list((tmp_path / "spool/messages").iterdir()) == []
    drop_in(tmp_path, "L1")


def test_where_no_server_has_been_there_is_no_queue(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Letterbox(tmp_path, str, 1000)


@pytest.mark.parametrize(("version", "word"), [(2, "older"), (99, "newer")])
def test_the_queue_of_another_mailstack_is_left_alone(tmp_path: Path, run: Runner, version: int, word: str) -> None:
    open_spool(tmp_path, run).close()
    with closing(sqlite3.connect(tmp_path / "spool/queue.db")) as db:
        db.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(OSError, match=word):
        Letterbox(tmp_path, str, 1000)


def test_a_file_that_is_no_database_is_told_of(tmp_path: Path, run: Runner) -> None:
    open_spool(tmp_path, run).close()
    (tmp_path / "spool/queue.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(OSError, match="not a database"):
        Letterbox(tmp_path, str, 1000)


def test_the_room_that_outcomes_need_is_not_taken(tmp_path: Path, spool: DiskSpool) -> None:
    """The server has given up some of its reserve: a script's letter has to wait."""
    (tmp_path / "spool/reserve/07").unlink()
    with pytest.raises(OSError, match="outcomes") as caught:
        drop_in(tmp_path, "L1")
    assert caught.value.errno == errno.ENOSPC
    assert list((tmp_path / "spool/messages").iterdir()) == []
