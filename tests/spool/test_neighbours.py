"""A start has the database for itself while it looks whether it is damaged."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from mailstack.model.selection import EVERYTHING
from mailstack.spool import neighbours
from mailstack.spool.desk import QueueDesk
from mailstack.spool.errors import Busy
from mailstack.spool.incoming import FileIncoming
from mailstack.spool.letterbox import Letterbox
from mailstack.spool.neighbours import neighbour, undisturbed
from mailstack.spool.salvage import sound_database
from tests.spool.contract import letter
from tests.spool.test_spool import Runner, open_spool


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Of a server that has been stopped."""
    run = Runner()
    started = open_spool(tmp_path, run)
    run(started.stop())
    return tmp_path / "spool"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "PATIENCE", 0.0)


def test_neighbours_do_not_disturb_each_other_but_a_start_waits_for_them(spool: Path, impatient: None) -> None:
    with neighbour(spool), neighbour(spool), undisturbed(spool) as alone:
        assert not alone
    with undisturbed(spool) as alone:
        assert alone
        with pytest.raises(Busy), neighbour(spool):
            pass


def test_who_reads_or_adds_waits_for_the_start(spool: Path, impatient: None) -> None:
    box = Letterbox(spool.parent, str, 0)
    content = box.receive("L1")
    assert isinstance(content, FileIncoming)
    content.write(b"x\n")
    with undisturbed(spool):
        with pytest.raises(Busy):
            list(QueueDesk(spool.parent).letters(EVERYTHING))
        with pytest.raises(Busy):
            box.add(letter("L1"), content).send(None)
    assert list(QueueDesk(spool.parent).letters(EVERYTHING)) == []


def test_a_start_looks_when_its_neighbour_has_ended(spool: Path) -> None:
    ready, go = threading.Event(), threading.Event()

    def write() -> None:
        with neighbour(spool):
            ready.set()
            go.wait()

    writing = threading.Thread(target=write)
    writing.start()
    ready.wait()
    threading.Timer(0.1, go.set).start()
    with undisturbed(spool) as alone:
        assert alone and go.is_set()
    writing.join()


def test_a_damaged_database_is_not_replaced_under_a_neighbour(spool: Path, impatient: None) -> None:
    (spool / "queue.db").write_bytes(b"this is no database " * 1000)
    with neighbour(spool), pytest.raises(Busy, match=r"is no database.*another process"):
        sound_database(spool, 0.0)
    assert sound_database(spool, 0.0) is not None


def test_a_sound_one_keeps_no_start_waiting_for_ever(spool: Path, impatient: None) -> None:
    with neighbour(spool):
        assert sound_database(spool, 0.0) is None


def test_the_lock_goes_with_who_has_it(spool: Path) -> None:
    with neighbour(spool):
        pass
    fd = os.open(spool / "messages", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
