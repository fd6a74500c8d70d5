"""A sync of the server has failed: what other processes commit before the log has begun anew is not promised."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailstack.durable import write_anew
from mailstack.model.deed import DROP, HOLD, Deed
from mailstack.model.letter import Recipient
from mailstack.model.selection import EVERYTHING
from mailstack.spool import letterbox, neighbours, restoring
from mailstack.spool.desk import QueueDesk
from mailstack.spool.disk import DiskSpool
from mailstack.spool.errors import Busy
from mailstack.spool.incoming import ended
from mailstack.spool.letterbox import UNSURE, Letterbox
from mailstack.spool.neighbours import beyond_doubt
from mailstack.spool.recovery import LEFTOVERS
from mailstack.spool.store import Store
from tests.fakes import at_once
from tests.spool.contract import letter
from tests.spool.test_letterbox import drop_in, rows
from tests.spool.test_spool import FailingSync, Runner, open_spool

IN_DOUBT = """
import sys
from pathlib import Path
from mailstack.spool.neighbours import Doubt
Doubt(Path(sys.argv[1])).begin()
print("begun", flush=True)
sys.stdin.read()
"""


class Server:
    def __init__(self, data: Path) -> None:
        self.data = data
        self.run = Runner()
        self.spool: DiskSpool = open_spool(data, self.run)
        self.sync = FailingSync()
        self.store._sync = self.store._sync_log = self.sync

    @property
    def store(self) -> Store:
        return self.spool._store

    def fail(self) -> None:
        self.sync.fails = True
        with pytest.raises(OSError):
            self.store.sync()
        self.sync.fails = False

    def add(self, id: str) -> None:
        content = self.spool.receive(id)
        content.write(b"x\n")
        self.run(self.spool.add(letter(id), content))

    @property
    def trusted(self) -> bool:
        return beyond_doubt(self.data / "spool")

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in (self.data / "spool/messages").iterdir())

    def ids(self) -> list[str]:
        return [str(id) for (id,) in rows(self.data, "SELECT id FROM messages ORDER BY id")]


@pytest.fixture
def server(tmp_path: Path) -> Any:
    made = Server(tmp_path)
    yield made
    made.spool.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "PATIENCE", 0.0)


def in_a_pause(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> list[float]:
    """While a neighbour waits; how often it does, for how long."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        act()

    monkeypatch.setattr("mailstack.spool.neighbours.time.sleep", pause)
    return pauses


@pytest.mark.parametrize("made_good", [lambda server: server.add("L2"), lambda server: server.store.checkpoint()])
def test_from_a_failed_sync_to_the_log_that_begins_anew(
    server: Server, impatient: None, made_good: Callable[[Server], None]
) -> None:
    assert server.trusted
    server.fail()
    assert not server.trusted, "though nobody has heard of it yet"
    made_good(server)
    assert server.trusted


def test_a_log_that_cannot_begin_anew_stays_in_doubt(
    server: Server, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fail()
    monkeypatch.setattr("mailstack.spool.store.write_anew", refuse)
    with pytest.raises(OSError):
        server.add("L1")
    assert not server.trusted
    monkeypatch.setattr("mailstack.spool.store.write_anew", write_anew)
    server.add("L1")
    assert server.trusted


def refuse(path: Path) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_nobodys_mail_is_needed_to_begin_it_anew(server: Server, impatient: None, number: int) -> None:
    """Also where there was no room, which says nothing of outcomes, and stops no delivery."""
    server.sync.fails, server.sync.number = True, number
    with pytest.raises(OSError):
        server.add("L1")
    server.sync.fails = False
    assert not server.trusted
    server.run(server.spool.examine())
    assert server.trusted


def test_who_adds_a_letter_waits_for_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.fail()
    pauses = in_a_pause(monkeypatch, server.store.checkpoint)
    drop_in(server.data, "L1")
    assert len(pauses) == 1 and server.ids() == server.files == ["L1"]


def test_who_has_waited_in_vain_has_sent_nothing(server: Server, impatient: None) -> None:
    server.fail()
    with pytest.raises(Busy, match="not made good yet"):
        drop_in(server.data, "L1")
    assert server.ids() == server.files == []


def test_a_letter_that_came_meanwhile_is_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letterbox, "sync_paths", lambda paths: server.fail())
    pauses = in_a_pause(monkeypatch, server.store.checkpoint)
    drop_in(server.data, "L1")
    assert len(pauses) == 1 and server.trusted


def test_a_letter_that_came_meanwhile_is_not_promised(
    server: Server, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, and perhaps on its way by now: to take it back would be worse."""
    monkeypatch.setattr(letterbox, "sync_paths", lambda paths: server.fail())
    box = Letterbox(server.data, str, 1000)
    content = box.receive("L1")
    content.write(b"x\n")
    with pytest.raises(OSError, match="may arrive twice"):
        at_once(box.add(letter("L1"), content))
    content.discard()  # as the receiver does
    assert box.unsure == UNSURE
    assert server.ids() == server.files == ["L1"]


def test_what_the_administrator_does_is_done_and_not_promised(server: Server, impatient: None) -> None:
    for id in ("L1", "L2"):
        server.add(id)
    desk = QueueDesk(server.data)
    assert not desk.change(Deed(HOLD, "root", 1500.0), ["L1"], EVERYTHING).unsure
    server.fail()
    first = desk.change(Deed(DROP, "root", 1500.0), ["L1"], EVERYTHING)
    second = desk.change(Deed(HOLD, "root", 1500.0), ["L2"], EVERYTHING)
    assert (first + second).unsure and (first + second).ids == ("L1", "L2")
    assert server.ids() == ["L2"] and server.files == ["L1", "L2"], "a power loss may bring the rows back"


def test_the_administrator_waits_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for id in ("L1", "L2"):
        server.add(id)
    waited: list[Path] = []
    monkeypatch.setattr("mailstack.spool.desk.beyond_doubt", waited.append)
    desk = QueueDesk(server.data)
    for id in ("L1", "L2"):
        assert desk.change(Deed(HOLD, "root", 1500.0), [id], EVERYTHING).unsure
    assert len(waited) == 1


def test_what_is_put_into_the_queue_again_is_not_promised(server: Server, impatient: None) -> None:
    folder = server.data / "spool"
    box = Letterbox(server.data, str, 1000)
    content = box.receive("4XQ1")
    content.write(b"Return-Path: <a@far.test>\nDelivered-To: alice@office.test\nReceived: by x.test\n\nx\n")
    ended(content).finish()
    (folder / LEFTOVERS).mkdir(exist_ok=True)
    left = (folder / "messages/4XQ1").rename(folder / LEFTOVERS / "4XQ1")
    told = restoring.read(left)
    assert told.recipient is not None
    server.fail()
    with pytest.raises(OSError, match="in the queue"):
        restoring.restore(folder, left, [Recipient(told.recipient, told.recipient)], str, 1000.0, "root")
    assert server.ids() == ["4XQ1"]


@pytest.mark.parametrize(("refusals", "left"), [(1, False), (2, True)])
def test_a_stop_copies_no_log_with_a_hole(
    server: Server, monkeypatch: pytest.MonkeyPatch, refusals: int, left: bool
) -> None:
    """If it cannot begin anew, it is left to the next start."""
    again: list[Path] = []

    def sick(path: Path) -> None:
        again.append(path)
        if len(again) <= refusals:
            refuse(path)
        write_anew(path)

    server.add("L1")
    server.fail()
    before = (server.data / "spool/queue.db").read_bytes()
    monkeypatch.setattr("mailstack.spool.store.write_anew", sick)
    server.spool.close()
    log = server.store._wal
    assert (log.exists(), (server.data / "spool/queue.db").read_bytes() == before) == (left, left)
    server.spool = open_spool(server.data, server.run)
    assert len(again) == refusals + 1
    assert server.ids() == ["L1"] and server.trusted


def test_a_start_is_in_doubt_until_it_has_begun_a_log_anew(
    server: Server, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whatever another process has left; and one that fails leaves no doubt behind."""
    trusted: list[bool] = []

    def look(path: Path) -> None:
        trusted.append(server.trusted)
        refuse(path)

    server.add("L1")
    server.fail()
    monkeypatch.setattr("mailstack.spool.store.write_anew", look)
    server.spool.close()
    trusted.clear()
    with pytest.raises(OSError):
        open_spool(server.data, server.run)
    assert trusted == [False] and server.trusted
    monkeypatch.setattr("mailstack.spool.store.write_anew", write_anew)
    server.spool = open_spool(server.data, server.run)


def test_another_process_sees_it_and_it_ends_with_who_has_it(tmp_path: Path, impatient: None) -> None:
    words = [sys.executable, "-c", IN_DOUBT, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"begun\n"
        assert not beyond_doubt(tmp_path)
        other.kill()
    assert beyond_doubt(tmp_path)
