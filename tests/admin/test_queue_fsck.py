"""``mailstack queue fsck``."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from mailstack.spool import fsck
from mailstack.spool.lock import locked
from tests.admin.office import NOW, Office
from tests.spool.test_spool import open_spool

CONTENT = b"Return-Path: <a@far.test>\nDelivered-To: alice@office.test\nReceived: here\nSubject: x\n\nbody\n"


@pytest.fixture(autouse=True)
def _letters(office: Office) -> None:
    for id in ("L1", "L2"):
        office.queue.add(id, "alice@office.test", content=CONTENT, arrived=NOW - 60)


def spool(office: Office) -> Path:
    return office.folder / "data/spool"


def look(office: Office, *args: str) -> list[dict[str, Any]]:
    result = office.run("queue", "fsck", "--json", *args)
    found: list[dict[str, Any]] = json.loads(result.stdout)
    assert result.exit_code == any(each["wrong"] for each in found), result.output
    return found


def test_nothing_is_wrong(office: Office) -> None:
    before = {path: path.read_bytes() for path in spool(office).glob("queue.db*")}
    result = office.run("queue", "fsck")
    assert (result.exit_code, result.stdout) == (0, "Nothing is wrong.\n")
    assert look(office) == []
    assert {path: path.read_bytes() for path in spool(office).glob("queue.db*")} == before


def test_where_no_server_has_been(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    office = Office(tmp_path / "new")
    assert look(office) == []
    assert office.run("queue", "fsck").stdout == "There is no queue yet.\n"


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (lambda path: path.write_bytes(b"x"), "file", "its file has 1 octets instead of"),
        (lambda path: path.write_bytes(CONTENT.upper()), "file", "other content"),
        (Path.unlink, "file", "its file is missing"),
    ],
)
@pytest.mark.parametrize("running", [False, True])
def test_a_file(office: Office, damage: Any, kind: str, words: str, running: bool) -> None:
    damage(spool(office) / "messages/L1")
    lock = locked(spool(office) / "lock") if running else None
    (found,) = look(office)
    assert (found["kind"], found["name"]) == (kind, "L1") and words in found["what"]
    assert "queue bounce L1" in found["advice"]
    text = office.run("queue", "fsck").stdout
    assert text.startswith(f"L1: {found['what']}\n    ") and text.endswith("1 thing is wrong.\n")
    if lock is not None:
        assert "another mailstack is using" in office.run("queue", "fsck", "--repair").output
        os.close(lock)


def test_what_the_next_start_writes_once_more_is_not_wrong(office: Office) -> None:
    """A small letter, after a power loss."""
    database = sqlite3.connect(spool(office) / "queue.db", isolation_level=None)
    for id, content in (("L1", CONTENT), ("L2", CONTENT.upper())):
        database.execute("INSERT OR REPLACE INTO contents VALUES (?, ?)", (id, content))
        (spool(office) / "messages" / id).write_bytes(b"")
    database.close()
    assert [each["name"] for each in look(office)] == ["L2"]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE recipients SET address = 'bob@office.test' WHERE id = 'L1'", "its envelope is not what was accepted"),
        ("UPDATE recipients SET state = 'actiwe' WHERE id = 'L1'", "in no state that there is"),
        ("UPDATE recipients SET next_attempt = -5 WHERE id = 'L1'", "next attempt is at a time that cannot be"),
        ("UPDATE messages SET arrived = 9e15 WHERE id = 'L1'", "has come at a time that cannot be"),
        ("DELETE FROM recipients WHERE id = 'L1'", "it has no recipients"),
        ("UPDATE recipients SET attempts = -1 WHERE id = 'L1'", "less than never"),
    ],
)
def test_rows(office: Office, statement: str, words: str) -> None:
    office.queue.script(statement)
    (found,) = look(office)
    assert (found["kind"], found["name"]) == ("rows", "L1") and words in found["what"]


def test_rows_without_a_letter_and_its_file(office: Office) -> None:
    office.queue.script("DELETE FROM messages WHERE id = 'L1'")
    assert [(each["kind"], each["name"]) for each in look(office)] == [("rows", "L1"), ("place", "messages/L1")]
    assert [(each["kind"], each["name"]) for each in look(office, "--repair")] == [("lost", "quarantine/L1")]


def test_what_lies_around(office: Office) -> None:
    folder = spool(office)
    (folder / "messages/L1").chmod(0o644)
    (folder / "messages/L9").mkdir()
    (folder / "queue.db.damaged-20260101T000000Z").touch()
    (folder / "holiday.jpg").touch()
    found = {each["name"]: each for each in look(office)}
    assert found.keys() == {"messages/L1", "messages/L9", "queue.db.damaged-20260101T000000Z", "holiday.jpg"}
    assert "mode 644" in found["messages/L1"]["what"]
    assert not found["queue.db.damaged-20260101T000000Z"]["wrong"]


def test_a_file_that_is_just_arriving_is_nothing_wrong(office: Office) -> None:
    path = spool(office) / "messages/L9"
    path.write_bytes(b"half")
    os.utime(path, (NOW - 5, NOW - 5))
    assert [each["name"] for each in look(office)] == ["messages/L9"]
    lock = locked(spool(office) / "lock")
    assert look(office) == []
    os.close(lock)


@pytest.mark.parametrize("running", [False, True])
def test_a_database_that_is_none(office: Office, running: bool) -> None:
    (spool(office) / "queue.db").write_bytes(b"this is no database " * 500)
    lock = locked(spool(office) / "lock") if running else None
    (found,) = look(office)
    assert (found["kind"], found["name"]) == ("database", "queue.db") and "--repair" in found["advice"]
    if lock is not None:
        os.close(lock)


def test_many_letters_are_read_page_by_page(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsck, "PAGE", 1)
    office.queue.add("L3", "a@x.test", "b@x.test")
    (spool(office) / "messages/L3").write_bytes(b"")
    assert [each["name"] for each in look(office)] == ["L3"]


def test_repair_does_what_a_start_does_and_looks_at_each_file(office: Office) -> None:
    (spool(office) / "messages/L2").write_bytes(CONTENT.lower())
    (spool(office) / "queue.db").write_bytes(b"x" * 100 + (spool(office) / "queue.db").read_bytes()[100:])
    result = office.run("queue", "fsck", "--repair")
    assert result.exit_code == 1
    assert "queue.db: it is no database" in result.stdout and "2 letters were saved" in result.stdout
    assert "L2: its file has other content than what was accepted; it is on hold now" in result.stdout
    assert office.queue.rows("SELECT id, state FROM recipients ORDER BY id") == [("L1", "active"), ("L2", "hold")]
    assert "Nothing was to be repaired." in office.run("queue", "fsck", "--repair").stdout


def _lose(office: Office) -> None:
    (spool(office) / "queue.db").unlink()
    open_spool(office.folder / "data", office.queue.run).close()


def test_what_is_lost_can_be_sent_on(office: Office) -> None:
    office.users.write_text("alice@office.test:{PLAIN}secret\n")
    office.aliases.touch()
    _lose(office)
    found = {each["name"]: each for each in look(office)}
    assert "fsck --release L1: send it on" in found["quarantine/L1"]["advice"]
    result = office.run("queue", "fsck", "--release", "L1")
    assert result.exit_code == 0, result.output
    assert result.stdout == "L1 is in the queue: from a@far.test to alice@office.test\n"
    result = office.run("queue", "fsck", "--release", "L2", "--to", "x@far.test", "--to", "alice@office.test")
    assert result.stdout == "L2 is in the queue: from a@far.test to x@far.test, alice@office.test\n"
    assert [each for each in look(office) if each["wrong"]] == []
    spool_ = open_spool(office.folder / "data", office.queue.run)
    letter, _ = spool_._reader.letter("L1")
    assert letter is not None and str(letter.sender) == "a@far.test"
    assert office.queue.run(spool_.faults([letter])) == {}
    assert CONTENT[letter.relay_offset :].startswith(b"Received:")
    spool_.close()


def test_what_cannot_be_sent_on(office: Office) -> None:
    def refused(*args: str) -> str:
        result = office.run("queue", "fsck", "--release", *args)
        assert result.exit_code == 1, result.output
        return result.stderr

    assert "not on hold" in refused("L1", "--to", "x@far.test")
    assert "no file of a letter L7" in refused("L7")
    assert "nobody here is called nobody@office.test" in refused("L1", "--to", "nobody")
    (spool(office) / "messages/L1").write_bytes(CONTENT.lower())
    assert "begin as our files do" in refused("L1", "--to", "x@far.test")
    office.run("queue", "hold", "L2")
    (spool(office) / "messages/L2").write_bytes(CONTENT + b"x")
    assert "not what was accepted" in refused("L2", "--to", "x@far.test")
    _lose(office)
    (spool(office) / "quarantine/L2").write_bytes(CONTENT.replace(b"Delivered-To: alice@office.test\n", b""))
    assert "had several recipients" in refused("L2")
    assert office.run("queue", "fsck", "--to", "x@far.test").exit_code == 64
    assert office.run("queue", "fsck", "--repair", "--release", "L1").exit_code == 64


def test_a_letter_whose_rows_are_damaged_goes_to_whom_the_administrator_says(office: Office) -> None:
    office.queue.script("UPDATE recipients SET address = 'bob@office.test', state = 'hold' WHERE id = 'L1'")
    assert "--release L1" in look(office)[0]["advice"]
    result = office.run("queue", "fsck", "--release", "L1", "--to", "x@far.test")
    assert result.exit_code == 0, result.output
    assert office.queue.rows("SELECT address, state FROM recipients WHERE id = 'L1'") == [("x@far.test", "active")]
    assert look(office) == []
