"""The disk of the simulation, and the queue's database on it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from mailstack.interfaces.spool import Result
from mailstack.model.reply import Reply
from mailstack.spool import neighbours, store
from mailstack.spool.batch import Batch, Settlement
from mailstack.spool.neighbours import Doubt, beyond_doubt, connected
from mailstack.spool.store import Store
from tests.simulation.disk import Disk
from tests.simulation.tree import DATABASE, WAL
from tests.spool.contract import letter

TRIES = 12
COPIED, FAILING = 3, 5  # batches before a checkpoint; before one whose sync fails


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path, Random(1))


def put(disk: Disk, name: str, content: bytes) -> Path:
    path = disk.root / name
    path.write_bytes(content)
    return path


def sync(disk: Disk, *paths: Path) -> None:
    disk.open_sync(disk.root, True)(paths)
    for flight in disk.taken_off():
        disk.land(flight)


def after_the_loss(disk: Disk, name: str) -> set[bytes | None]:
    """What may be there. Each time the disk goes on from where it was."""
    found: set[bytes | None] = set()
    for number in range(TRIES):
        one = Disk(disk.root.parent / f"{name}-{number}", Random(number))
        one.root, one._base = disk.root, one._base
        one._folders = {folder: dict(names) for folder, names in disk._folders.items()}
        one._contents = dict(disk._contents)
        one._refused = {node: dict(pages) for node, pages in disk._refused.items()}
        one.lose_power()
        left = one.root / name
        found.add(left.read_bytes() if left.exists() else None)
    return found


def test_what_was_synced_with_its_folder_stays(disk: Disk) -> None:
    sync(disk, put(disk, "letter", b"content"), disk.root)
    assert after_the_loss(disk, "letter") == {b"content"}


def test_a_name_that_was_not_synced_comes_or_not(disk: Disk) -> None:
    sync(disk, put(disk, "letter", b"content"))
    assert after_the_loss(disk, "letter") == {b"content", None}


def test_a_content_that_was_not_synced_may_be_missing(disk: Disk) -> None:
    put(disk, "letter", b"content")
    sync(disk, disk.root)
    assert {b"content", b""} <= after_the_loss(disk, "letter")


def test_a_file_that_was_removed_may_come_back(disk: Disk) -> None:
    path = put(disk, "letter", b"content")
    sync(disk, path, disk.root)
    path.unlink()
    assert after_the_loss(disk, "letter") == {b"content", None}


def test_what_a_failed_sync_has_given_up_does_not_come_by_the_next_one(disk: Disk) -> None:
    path = put(disk, "letter", b"content")
    disk.broken = 1.0
    with pytest.raises(OSError):
        sync(disk, path, disk.root)
    disk.broken = 0.0
    sync(disk, path, disk.root)
    node = path.stat().st_ino
    expected = bytes(7) if disk._refused.get(node) else b"content"
    assert after_the_loss(disk, "letter") == {expected}


# ---- The queue's database, where a sync fails, and then the power


def batch(number: int) -> Batch:
    """The last one removes what the first ones have brought: so pages change that nobody has touched since."""
    name = letter(f"L{number:03}", *(f"u{each}@{'x' * 60}.test" for each in range(60)))
    if number < FAILING + 1:
        return Batch(letters=[name])
    sent = [Result(each, "sent", Reply(250, "2.0.0", "ok")) for each in range(60)]
    return Batch(letters=[name], settlements=[Settlement(f"L{each:03}", sent) for each in range(COPIED)])


def survives(disk: Disk) -> bool:
    """Also when the power fails right after the log was copied into the database."""
    queue = begun(disk)
    fill(disk, queue, FAILING + 2)
    return is_whole_after_the_loss(disk, queue)


def begun(disk: Disk) -> Store:
    (disk.root / "spool").mkdir()
    doubt = Doubt(disk.root / "spool")
    queue = Store(disk.root / DATABASE, disk.open_sync(disk.root, True), str, doubt, disk.open_log_sync)
    disk.settle()
    return queue


def fill(disk: Disk, queue: Store, batches: int) -> None:
    for number in range(batches):
        if number == COPIED:
            queue.checkpoint()
            disk.settle()
        added = batch(number)
        queue.write(added)
        disk.broken = 1.0 if number == FAILING else 0.0
        disk.before_checkpoint()
        try:
            queue.sync()
        except OSError:
            queue.take_back([])
        disk.after_checkpoint()
        flights = disk.taken_off()
        if number < FAILING:
            for flight in flights:
                disk.land(flight)


def is_whole_after_the_loss(disk: Disk, queue: Store) -> bool:
    disk.lose_power()
    queue.close()
    with closing(sqlite3.connect(disk.root / DATABASE)) as db:
        try:
            found: list[tuple[str]] = db.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.DatabaseError:
            return False
        return found == [("ok",)]


def test_the_database_survives_a_failed_sync_and_a_power_loss(tmp_path: Path) -> None:
    assert all(survives(Disk(tmp_path / str(seed), Random(seed))) for seed in range(TRIES))


def test_it_would_not_if_the_log_with_its_hole_were_copied_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "write_anew", lambda path: None)
    assert not all(survives(Disk(tmp_path / str(seed), Random(seed))) for seed in range(TRIES))


def keeps_what_a_neighbour_was_promised(disk: Disk, asks: bool) -> bool:
    """It commits a row when a sync of the server has failed; the power fails as soon as it is beyond doubt."""
    queue = begun(disk)
    fill(disk, queue, FAILING + 1)
    disk.broken = 0.0
    with closing(connected(disk.root / DATABASE)) as db:
        db.execute("INSERT INTO notes (id, fields) VALUES ('N1', '{}')")
    sync(disk, disk.root / WAL)
    if asks and not beyond_doubt(disk.root / "spool"):
        disk.before_checkpoint()
        queue.checkpoint()
        disk.after_checkpoint()
        assert beyond_doubt(disk.root / "spool")
    disk.lose_power()
    queue.close()
    with closing(sqlite3.connect(disk.root / DATABASE)) as db:
        return bool(db.execute("SELECT 1 FROM notes").fetchall())


@pytest.mark.parametrize("asks", [True, False])
def test_what_a_neighbour_commits_is_durable_when_it_is_beyond_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asks: bool
) -> None:
    """And not always when it does not ask."""
    monkeypatch.setattr(neighbours, "PATIENCE", 0.0)
    disks = [Disk(tmp_path / str(seed), Random(seed)) for seed in range(TRIES)]
    assert all(keeps_what_a_neighbour_was_promised(disk, asks) for disk in disks) == asks


def survives_a_checkpoint(disk: Disk) -> bool:
    """Of what was just given up, before the next sync."""
    queue = begun(disk)
    fill(disk, queue, FAILING)
    last = batch(FAILING + 1)
    queue.write(last)
    disk.broken = 1.0
    with pytest.raises(OSError):
        queue.sync()
    queue.take_back([])
    disk.before_checkpoint()
    queue.checkpoint()
    disk.after_checkpoint()
    for flight in disk.taken_off():
        disk.land(flight)
    return is_whole_after_the_loss(disk, queue)


def test_a_checkpoint_after_a_failed_sync_copies_no_log_with_a_hole(tmp_path: Path) -> None:
    assert all(survives_a_checkpoint(Disk(tmp_path / str(seed), Random(seed))) for seed in range(TRIES))
