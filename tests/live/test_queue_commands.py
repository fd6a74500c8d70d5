"""What the administrator does to the queue while the server runs, and at a terminal."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.live.conftest import MakeOffice
from tests.live.office import BIN, Office
from tests.live.sink import Sink, as_usual
from tests.live.terminal import run_in_terminal
from tests.live.test_queue import LATER, bounce_in, deferred, retrying, send
from tests.live.waiting import eventually

MOMENT = 2.5  # seconds in which a server that wants to make an attempt would have made it


def states(office: Office) -> list[str]:
    return [letter["state"] for letter in office.queue()]


def sql(office: Office, *statements: str) -> None:
    with closing(sqlite3.connect(office.data / "spool/queue.db", timeout=10)) as db, db:
        for statement in statements:
            db.execute(statement)


def test_nothing_happens_while_it_is_on_hold(make_office: MakeOffice, sink: Sink) -> None:
    """Although all its times are over: that of the next try, those of warnings, its lifetime."""
    sink.answer = LATER
    office = make_office(retrying(sink, "1h")).start()
    send(office)
    (id,) = deferred(office)
    assert office.cli("queue", "hold", id) == "1 letter on hold\n"
    assert states(office) == ["hold"]
    tried = len(sink.times("RCPT"))
    sql(office, "UPDATE messages SET arrived = 1000", "UPDATE recipients SET next_attempt = 1000")
    time.sleep(MOMENT)
    assert len(sink.times("RCPT")) == tried
    assert office.files("alice") == [] and states(office) == ["hold"]
    assert "on hold by the administrator" in office.cli("queue", "show", id)
    sink.answer = as_usual
    assert office.cli("queue", "release", id) == "1 letter released\n"
    assert eventually(lambda: sink.letters)
    office.wait_for_empty_queue()


def test_hold_outlives_a_restart(make_office: MakeOffice, sink: Sink) -> None:
    sink.answer = LATER
    office = make_office(retrying(sink, "1h")).start()
    send(office)
    (id,) = deferred(office)
    office.stop()
    office.cli("queue", "hold", "--all")
    sink.answer = as_usual
    office.start()
    time.sleep(MOMENT)
    assert states(office) == ["hold"] and sink.letters == []
    office.cli("queue", "release", id)
    assert eventually(lambda: sink.letters)


def test_the_sender_hears_that_a_letter_was_returned(make_office: MakeOffice, sink: Sink) -> None:
    """Once, also when the letter was returned while no server ran."""
    sink.answer = LATER
    office = make_office(retrying(sink, "1h")).start()
    send(office)
    send(office, "y@away.test")
    first, second = deferred(office, 2)
    office.cli("queue", "bounce", first, "--reason", "the address has changed")
    (path,) = office.wait_for_files("alice")
    office.stop()
    office.cli("queue", "bounce", second)
    office.start()
    office.wait_for_files("alice", 2)
    office.wait_for_empty_queue()
    report = bounce_in(path)
    text, status, returned = report.iter_parts()
    recipient = status.get_payload(1)
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.7.0")
    assert "Returned by the administrator: the address has changed" in " ".join(text.get_content().split())
    assert "Subject: away" in returned.as_string()


def test_drop_by_filter(make_office: MakeOffice, sink: Sink) -> None:
    sink.answer = LATER
    office = make_office(retrying(sink, "1h")).start()
    send(office, "x@away.test", "y@elsewhere.test")
    send(office, "y@elsewhere.test")
    first, _ = deferred(office, 2)
    office.cli("queue", "drop", "--recipient", "@elsewhere.test", code=64)
    assert office.cli("queue", "drop", "--recipient", "@elsewhere.test", "--yes") == "2 letters removed\n"
    (letter,) = office.queue()
    assert letter["id"] == first
    assert [each["state"] for each in letter["recipients"]] == ["deferred", "dropped"]
    sink.answer = as_usual
    office.cli("queue", "retry", "--destination", "smtp:*")
    office.wait_for_empty_queue()
    assert [taken.recipients for taken in sink.letters] == [["x@away.test"]]
    assert office.files("alice") == []


def fill(office: Office, number: int) -> None:
    """So many letters more, as the one that is there, and without files."""
    counting = f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {number}) SELECT n FROM c"
    for table in ("messages", "recipients"):
        with closing(sqlite3.connect(office.data / "spool/queue.db")) as db:
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
        names = ", ".join(columns)
        sql(office, f"INSERT INTO {table} (id, {names}) SELECT id || n, {names} FROM {table}, ({counting})")


@pytest.fixture
def long_queue(make_office: MakeOffice, sink: Sink) -> Office:
    sink.answer = LATER
    office = make_office(retrying(sink, "1h")).start()
    send(office)
    deferred(office)
    office.stop()
    fill(office, 3000)
    return office


def test_a_reader_that_has_seen_enough(long_queue: Office) -> None:
    """| head: no error, no traceback."""
    for words in ("list", "list --json", "summary"):
        command = f"{BIN}/mailstack -c {long_queue.ini} queue {words} | head -1"
        done = subprocess.run(command, shell=True, text=True, capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "") and done.stdout.count("\n") == 1
    assert len(json.loads(long_queue.cli("queue", "list", "--json"))) == 3001


def test_a_long_job_shows_its_progress_at_a_terminal(long_queue: Office, tmp_path: Path) -> None:
    words = ("-c", long_queue.ini, "queue", "hold", "--all", "--yes")
    code, drawn = run_in_terminal(str(BIN / "mailstack"), *words, home=tmp_path)
    assert code == 0
    assert "100%" in drawn and "hold" in drawn
    assert "3,001 letters on hold" in drawn
    assert "%" not in long_queue.cli("queue", "release", "--state", "deferred"), "a script sees none"


def test_colours_only_at_a_terminal(long_queue: Office, tmp_path: Path) -> None:
    words = ("-c", long_queue.ini, "queue", "list", "--limit", "1")
    _, drawn = run_in_terminal(str(BIN / "mailstack"), *words, home=tmp_path)
    assert "\x1b[33mdeferred\x1b[0m" in drawn
    assert "\x1b" not in long_queue.cli("queue", "list", "--limit", "1")
