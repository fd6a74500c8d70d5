"""``mailstack doctor``: each thing that can be wrong is told, with what to do, in one place's words."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mailstack.admin import doctor_looks, running
from mailstack.model.condition import FULL
from mailstack.server import alarms
from mailstack.spool.lock import locked
from mailstack.spool.settling import held
from tests.admin.office import Office


@pytest.fixture(autouse=True)
def _no_server_of_others(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_looks, "_text", lambda path: "")


def said(office: Office, code: int, *words: str) -> str:
    result = office.run("doctor", "--lang", "en", *words)
    assert result.exit_code == code, result.output
    return result.output


def found(office: Office, code: int = 1) -> dict[str, dict[str, Any]]:
    result = office.run("doctor", "--lang", "en", "--json")
    assert result.exit_code == code, result.output
    return {each["check"]: each for each in json.loads(result.stdout)}


class Server:
    """Has the lock, as one that runs."""

    def __init__(self, data: Path) -> None:
        (data / "state").mkdir(exist_ok=True)
        self._lock = locked(data / "spool/lock")

    def stop(self) -> None:
        os.close(self._lock)


@pytest.fixture
def server(office: Office) -> Any:
    office.queue.add("L1", "alice@office.test")
    (office.folder / "data/mail.ini").touch()
    made = Server(office.folder / "data")
    yield made
    made.stop()


def test_all_is_well(office: Office, server: Server) -> None:
    text = said(office, 0)
    assert "problem" not in text
    for words in (
        "is where it should be",
        "reserve for outcomes is there",
        "is sound; letters in the queue: 1",
        "no alarm",
    ):
        assert words in text
    assert f"the server runs (process {os.getpid()})" in text
    assert all(each["level"] == "ok" and each["act"] is None for each in found(office, 0).values())
    assert not list((office.folder / "data/spool").glob("probe*"))


def test_in_chinese(office: Office, server: Server) -> None:
    result = office.run("doctor", "--lang", "zh")
    assert result.exit_code == 0
    assert "服务器正在运行" in result.output


def test_before_the_first_start(office: Office) -> None:
    text = said(office, 1)
    assert "never started, or the real folder is not mounted" in text
    assert "the server does not run" in text
    assert not (office.folder / "data").exists()


def test_mail_on_another_file_system_is_a_warning(office: Office, server: Server) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == office.folder.stat().st_dev:
        pytest.skip("there is no other file system here")
    (office.folder / "data/mail").symlink_to(other)
    place = found(office, 0)["place"]
    assert (place["level"], "copied" in place["text"]) == ("warning", True)


def test_without_a_server(office: Office) -> None:
    office.queue.add("L1", "alice@office.test")
    assert [name for name, each in found(office).items() if each["level"] == "problem"] == ["server"]


def test_what_fstab_names_is_not_mounted(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"/etc/fstab": f"/dev/sdb1 {office.folder} ext4 defaults 0 2\n"}
    monkeypatch.setattr(doctor_looks, "_text", lambda path: table.get(path, ""))
    place = found(office)["place"]
    assert place["text"].startswith(f"{office.folder} is in /etc/fstab, but not mounted")
    assert place["act"].startswith(f"mount {office.folder}")


def test_a_queue_that_is_gone(office: Office, server: Server) -> None:
    (office.folder / "data/spool/queue.db").unlink()
    assert "is not there" in found(office)["place"]["text"]


@pytest.mark.parametrize(
    ("state", "check", "words"),
    [
        ((10**12, 10**6, True), "room", "read-only"),
        ((1000, 10**6, False), "room", "little room left"),
        ((10**12, 3, False), "inodes", "no inodes left"),
    ],
)
def test_the_file_system(
    office: Office, server: Server, monkeypatch: pytest.MonkeyPatch, state: Any, check: str, words: str
) -> None:
    monkeypatch.setattr(doctor_looks, "room", lambda folder: state)
    symptom = found(office)[check]
    assert symptom["level"] == "problem"
    assert words in symptom["text"]
    assert str(office.folder / "data") in symptom["act"]


def test_a_file_system_that_does_not_count_inodes(
    office: Office, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_looks, "room", lambda folder: (10**12, None, False))
    assert "does not limit" in found(office, 0)["inodes"]["text"]


def test_the_reserve_was_given_up(office: Office, server: Server) -> None:
    (office.folder / "data/spool/reserve/03").unlink()
    assert "used up or missing" in found(office)["reserve"]["text"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "refuses to make mail durable"),
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "may not write in its own folder"),
    ],
)
def test_what_the_disk_says_to_a_probe(
    office: Office, server: Server, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(paths: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(doctor_looks, "sync_paths", refuse)
    symptom = found(office)["sync"]
    assert words in symptom["text"]
    assert os.strerror(number) in symptom["text"]
    assert not list((office.folder / "data/spool").glob("probe*"))


def test_a_slow_disk_is_a_warning(office: Office, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 9.0])
    monkeypatch.setattr(doctor_looks, "monotonic", lambda: next(times))
    assert found(office, 0)["sync"]["level"] == "warning"


def test_a_damaged_database(office: Office, server: Server) -> None:
    database = office.folder / "data/spool/queue.db"
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    octets = bytearray(database.read_bytes())
    octets[4096:] = b"\xff" * (len(octets) - 4096)
    database.write_bytes(octets)
    symptom = found(office)["database"]
    assert "is damaged" in symptom["text"]
    assert "queue fsck" in symptom["act"]


def test_no_database_at_all(office: Office, server: Server) -> None:
    (office.folder / "data/spool/queue.db").write_bytes(b"these are no tables" * 1000)
    assert "the queue's database cannot be read" in found(office)["database"]["text"]


def test_without_a_server_the_database_stays_as_a_crash_has_left_it(office: Office) -> None:
    """A look would put the log into the database, and the next start could not see what was lost of it."""
    office.queue.add("L1", "alice@office.test")
    spool = office.folder / "data/spool"
    with closing(sqlite3.connect(spool / "queue.db")) as db:
        db.execute("UPDATE recipients SET attempts = 1")
        db.commit()
        before = {path: path.read_bytes() for path in spool.glob("queue.db*")}
        assert len(before) == 3
        copy = office.folder / "kept"
        shutil.copytree(spool, copy)
    shutil.rmtree(spool)
    copy.rename(spool)
    assert found(office)["database"]["level"] == "ok"
    assert {path: path.read_bytes() for path in spool.glob("queue.db*")} == before


def test_files_whose_rows_are_lost(office: Office, server: Server) -> None:
    (office.folder / "data/spool/quarantine").mkdir()
    assert "quarantine" not in found(office, 0)
    (office.folder / "data/spool/quarantine/L9").touch()
    symptom = found(office)["quarantine"]
    assert symptom["text"].endswith("of letters whose rows are lost: 1") and "queue fsck" in symptom["act"]


def test_letters_that_are_held_as_their_files_are_damaged(office: Office, server: Server) -> None:
    with closing(sqlite3.connect(office.folder / "data/spool/queue.db")) as db, db:
        db.execute("UPDATE recipients SET state = 'hold', reply = ?", (held("its file is missing"),))
    symptom = found(office)["letters"]
    assert symptom["text"] == "letters that are held because they are damaged: 1"


def test_letters_that_cannot_be_placed_here(office: Office, server: Server) -> None:
    """Whatever is wrong with the mailboxes: their file system, their rights, one of them."""
    reply = "452 4.2.2 Disk full"
    assert found(office, 0)["mailboxes"]["level"] == "ok"
    with closing(sqlite3.connect(office.folder / "data/spool/queue.db")) as db, db:
        db.execute("UPDATE recipients SET destination = 'local', state = 'deferred', reply = ?", (reply,))
    symptom = found(office)["mailboxes"]
    assert symptom["text"].endswith(f"are tried again: 1 ({reply})")
    assert [each["id"] for each in office.json("queue", "list", "--destination", "local")] == ["L1"]
    assert "queue retry --destination local" in symptom["act"]


def test_an_alarm_of_the_server(office: Office, server: Server) -> None:
    words = {FULL: {"since": 1795534061.0, "detail": "No space left on device"}, "unknown": {"since": 1.0}}
    alarms.path_below(office.folder / "data").write_text(json.dumps(words))
    symptom = found(office)["alarm"]
    assert symptom["text"].startswith("since 2026-11-24T15:27:41Z the server says: the disk is full")
    assert "No space left" in symptom["text"]
    assert "make room" in symptom["act"]


def test_an_alarm_of_a_server_that_does_not_run_says_nothing_of_now(office: Office) -> None:
    office.queue.add("L1", "alice@office.test")
    (office.folder / "data/state").mkdir()
    alarms.path_below(office.folder / "data").write_text(json.dumps({FULL: {"since": 1.0, "detail": ""}}))
    assert "alarm" not in found(office)


def test_few_descriptors_are_left(office: Office, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_looks, "open_files", lambda pid: (600, 1024))
    symptom = found(office)["files"]
    assert "600 of 1024" in symptom["text"]
    assert "LimitNOFILE" in symptom["act"]


def test_a_process_of_somebody_else(office: Office, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> tuple[int, int]:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(doctor_looks, "open_files", refuse)
    assert "files" not in found(office, 0)


def test_who_has_the_lock(office: Office, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = office.folder / "data"
    assert running.holder(data) == os.getpid()
    used, limit = running.open_files(os.getpid())
    assert 0 < used < limit
    server.stop()
    assert running.holder(data) is None
    monkeypatch.setattr(running, "LOCKS", tmp_path / "nothing")
    assert running.holder(data) is None
    server._lock = os.open(os.devnull, os.O_RDONLY)
