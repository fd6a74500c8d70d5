"""A crash is a way to stop like any other: what it leaves is no damage. What more is missing is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailstack.spool import lock
from mailstack.spool.batch import Batch
from mailstack.spool.diagnosis import LOG, diagnosed
from mailstack.spool.lock import locked, mark
from mailstack.spool.neighbours import Doubt
from mailstack.spool.pages import FRAME_HEADER
from mailstack.spool.store import Store
from tests.spool.contract import letter
from tests.spool.test_spool import FailingSync

BATCHES = 3


class Crashed:
    """A spool as a crash has left it: ``queue.db``, its log and its index, behind some batches. The database itself is
    older than all of them."""

    def __init__(self, live: Path, left: Path) -> None:
        live.mkdir()
        lock = locked(live / "lock")
        mark(lock)
        os.close(lock)
        self.sizes: list[int] = []  #: of the log, behind each batch
        self.store = Store(live / "queue.db", lambda paths: None, str, Doubt(live))
        for number in range(BATCHES):
            self.store.write(Batch(letters=[letter(f"L{number}", "x@far.test")]))
            self.sizes.append((live / "queue.db-wal").stat().st_size)
        shutil.copytree(live, left)
        self.database, self.log, self.index = left / "queue.db", left / "queue.db-wal", left / "queue.db-shm"

    def diagnosis(self) -> str:
        return diagnosed(self.database, mail=True)

    def lose_the_end(self) -> None:
        os.truncate(self.log, self.sizes[-2])

    def lose_the_log(self) -> None:
        self.log.write_bytes(b"")

    def keep_an_old_index(self) -> None:
        """Of another round of the log."""
        octets = self.index.read_bytes()
        self.index.write_bytes(octets[:32] + bytes(8) + octets[40:])

    def tear_the_last_batch(self) -> None:
        self.tear(BATCHES - 1)

    def tear(self, batch: int) -> None:
        """Its first frame is not there, and what follows is."""
        octets = bytearray(self.log.read_bytes())
        at = self.sizes[batch - 1] + FRAME_HEADER
        octets[at : at + 4096] = bytes(4096)
        self.log.write_bytes(octets)


@pytest.fixture
def crashed(tmp_path: Path) -> Iterator[Crashed]:
    found = Crashed(tmp_path / "live", tmp_path / "left")
    yield found
    found.store.close()


@pytest.fixture
def restarted(crashed: Crashed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Crashed:
    """The system has been started once more."""
    (tmp_path / "boot").write_text("another start\n")
    monkeypatch.setattr(lock, "BOOT", tmp_path / "boot")
    return crashed


def test_a_kill_is_no_damage(crashed: Crashed) -> None:
    assert crashed.diagnosis() == ""


Loss = Callable[[Crashed], None]
LOSSES: dict[Loss, str] = {
    Crashed.lose_the_end: "has lost the end of its log",
    Crashed.lose_the_log: "has lost its log",
    Crashed.keep_an_old_index: "has lost its log",
    Crashed.tear_the_last_batch: LOG,
}


@pytest.mark.parametrize("loss", LOSSES)
def test_what_only_a_power_loss_explains_is_damage_without_one(crashed: Crashed, loss: Loss) -> None:
    loss(crashed)
    assert LOSSES[loss] in crashed.diagnosis()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_power_loss_is_no_damage(restarted: Crashed, loss: Loss) -> None:
    loss(restarted)
    assert restarted.diagnosis() == ""


def test_a_batch_behind_which_another_one_began_was_durable(restarted: Crashed) -> None:
    restarted.tear(BATCHES - 2)
    assert LOG in restarted.diagnosis()


def test_without_a_word_in_the_lock_nobody_knows(crashed: Crashed) -> None:
    """An older mailstack, or a copy without it."""
    crashed.database.with_name("lock").write_text("")
    crashed.lose_the_end()
    assert crashed.diagnosis() == ""


def test_a_batch_that_is_not_durable_has_its_number_still(tmp_path: Path) -> None:
    sync = FailingSync()
    store = Store(tmp_path / "queue.db", sync, str, Doubt(tmp_path), lambda path: sync)  # type: ignore[arg-type,return-value]
    numbers = []
    for number in range(4):
        batch = Batch(letters=[letter(f"L{number}", "x@far.test")])
        store.write(batch)
        sync.fails = number == 1
        try:
            store.sync()
        except OSError:
            store.take_back([f"L{number}"])
        numbers += store._db.execute("SELECT batch FROM counter").fetchone()
    store.close()
    assert numbers == [1, 2, 2, 3]
