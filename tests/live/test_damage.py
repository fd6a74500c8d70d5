"""A damaged queue, as the person sees it who runs the server."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mailstack.spool.schema import VERSION
from tests.live.office import Office
from tests.live.waiting import eventually

FAR = "x@far.test"


@pytest.fixture
def office(tmp_path: Path) -> Office:
    office = Office(tmp_path)
    office.add_users("alice", "bob")
    return office


def database(office: Office) -> Path:
    return office.data / "spool/queue.db"


def queue_one(office: Office) -> str:
    """A letter that waits."""
    with office.submission("bob") as client:
        client.sendmail("bob@office.test", [FAR], "Subject: far\n\naway\n")
    assert eventually(lambda: [each["state"] for each in office.queue()] == ["deferred"])
    (found,) = office.queue()
    id: str = found["id"]
    return id


def test_a_damaged_database_is_saved_at_the_start(office: Office) -> None:
    try:
        office.start()
        id = queue_one(office)
        office.stop()
        database(office).write_bytes(b"x" * 100 + database(office).read_bytes()[100:])
        found = office.cli("queue", "fsck", code=1)
        assert found == "" or "Error" not in found, "what is wrong is no failure of the command"
        office.start()
        office.wait_for_log("queue.db", "is no database", "1 letters were saved", "see: mailstack queue fsck")
        assert [each["id"] for each in office.queue()] == [id]
        assert office.cli("queue", "fsck").endswith("Nothing is wrong. 1 file kept for a while.\n")
        # What has no row any more is kept, too, and sent on when the administrator says so.
        office.stop()
        database(office).write_bytes(b"")
        office.start()
        office.wait_for_log(id, "its rows are lost; the file is in spool/quarantine")
        assert office.queue() == []
        assert f"{id} is in the queue" in office.cli("queue", "fsck", "--release", id, "--to", "alice@office.test")
        (path,) = office.wait_for_files("alice")
        assert b"Subject: far" in path.read_bytes()
        office.wait_for_log(id, "put into the queue again by the administrator")
        assert "Traceback" not in office.log()
    finally:
        office.close()


def test_damage_while_it_runs_is_told_and_the_process_lives(office: Office) -> None:
    try:
        office.start()
        queue_one(office)
        # As a disk does that gives back nonsense: for the newest pages, and for those below them.
        for ending in ("", "-wal"):
            path = Path(f"{database(office)}{ending}")
            with path.open("r+b") as file:
                file.seek(0)
                file.write(os.urandom(path.stat().st_size))
        with closing(sqlite3.connect(database(office), timeout=1)) as db, pytest.raises(sqlite3.DatabaseError):
            db.execute("PRAGMA integrity_check").fetchall()

        def refused() -> bool:
            with office.smtp() as client:
                client.ehlo()
                if client.mail("a@far.test")[0] == 451:
                    return True
                client.rcpt("alice@office.test")
                return client.data("Subject: x\n\ny\n")[0] == 451

        assert eventually(refused)
        office.wait_for_log("ALARM", "the queue's database is damaged", "451")
        assert office.ended is None
        office.kill()
        office.start()
        with office.smtp() as client:
            client.sendmail("a@far.test", ["bob@office.test"], "Subject: after\n\ny\n")
        office.wait_for_files("bob")
        assert "Traceback" not in office.log()
    finally:
        office.close()


def test_a_newer_queue_is_left_alone(office: Office) -> None:
    office.start()
    office.stop()
    with closing(sqlite3.connect(database(office))) as db:
        db.executescript(f"CREATE TABLE news (id TEXT); PRAGMA user_version = {VERSION + 1}")
    before = database(office).read_bytes()
    process = office.launch()
    assert process.wait(30) == 1
    office.wait_for_log("cannot start", "of a newer mailstack")
    assert database(office).read_bytes() == before


def test_what_else_may_be_damaged_stops_nobody(office: Office) -> None:
    """Whatever can be made again, or lost."""
    try:
        office.start()
        with office.smtp() as client:
            client.sendmail("a@far.test", ["alice@office.test"], "Subject: x\n\ny\n")
        office.wait_for_files("alice")
        office.stop()
        # Letters whose names do not say their sizes, so that there are files to remember them in.
        (path,) = office.files("alice")
        path.rename(path.with_name("1.M2.host"))
        state = office.data / "state"
        files = [*state.glob("*.json*"), *state.glob("history/*"), state / "secret", state / "sent.db"]
        files += [office.maildir("alice") / name for name in ("mailstack.sizes", "mailstack.ends")]
        for octets in (os.urandom(999), b""):
            for file in files:
                file.write_bytes(octets)
            office.start()
            with office.pop3("alice") as client:
                assert client.stat()[0] == 1
            with office.submission("bob") as smtp:
                smtp.sendmail("bob@office.test", ["bob@office.test"], "Subject: x\n\ny\n")
            office.stop()
        assert "Traceback" not in office.log()
    finally:
        office.close()
