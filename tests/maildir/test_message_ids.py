"""The index of Message-IDs agrees with the folder, whatever others do to either."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mailstack.maildir import message_ids
from mailstack.maildir.message_ids import MessageIds, message_id


class Folder:
    def __init__(self, root: Path) -> None:
        self.path = root / ".Sent"
        for part in ("tmp", "new", "cur"):
            (self.path / part).mkdir(parents=True)
        self.file = root / "state" / "sent.db"
        self.index = MessageIds(self.file)
        self.time = 1_000_000_000_000_000_000

    def put(self, name: str, id: str, place: str = "cur") -> Path:
        """As another program does."""
        file = self.path / place / name
        file.write_bytes(f"Subject: x\nMessage-ID: <{id}>\n\nMessage-ID: <in-the-body>\n".encode())
        self.touch(place)
        return file

    def touch(self, place: str = "cur") -> None:
        """Files come too quickly here for the clock of the file system."""
        self.time += 1_000_000
        os.utime(self.path / place, ns=(self.time, self.time))

    def has(self, id: str, base: str = "none") -> bool:
        letter = self.path / "tmp" / "letter"
        letter.write_bytes(f"Message-ID: <{id}>\n\n".encode())
        return self.index.find(self.path, base, message_id(letter)) is not None


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_what_is_there_is_known(folder: Folder) -> None:
    folder.put("1.a.host", "one", "new")
    folder.put("2.b.host:2,S", "two")
    assert folder.has("one") and folder.has("two")
    assert not folder.has("three") and not folder.has("in-the-body")
    assert folder.has("three", base="2.b.host")


def test_what_others_do_is_seen(folder: Folder) -> None:
    """They add letters, change flags, remove."""
    assert not folder.has("one")
    file = folder.put("1.a.host:2,", "one")
    assert folder.has("one")
    file.rename(file.with_name("1.a.host:2,FS"))
    folder.touch()
    assert folder.has("one")
    file.with_name("1.a.host:2,FS").unlink()
    folder.touch()
    assert not folder.has("one")


def test_a_removal_within_one_tick_of_the_clock(folder: Folder) -> None:
    """Rather two copies than none: what the index says is looked for."""
    file = folder.put("1.a.host:2,", "one")
    assert folder.has("one")
    at = (folder.path / "cur").stat().st_mtime_ns
    file.unlink()
    os.utime(folder.path / "cur", ns=(at, at))
    assert not folder.has("one")


def test_letters_are_read_once(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counting(letter: Path) -> bytes:
        read.append(letter.name)
        return message_id(letter)

    monkeypatch.setattr(message_ids, "message_id", counting)
    for number in range(5):
        folder.put(f"{number}.x.host:2,S", str(number))
    for _ in range(3):
        assert folder.has("3")
    assert len(read) == 5
    folder.put("9.x.host:2,", "nine")
    assert folder.has("nine")
    assert len(read) == 6
    folder.index.close()
    folder.index = MessageIds(folder.file)
    assert folder.has("nine")
    assert len(read) == 6


def test_our_own_are_not_read_again(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not folder.has("one")
    file = folder.put("1.a.host:2,S", "one")
    folder.index.add(folder.path, "1.a.host", message_id(file))
    with monkeypatch.context() as patch:
        patch.setattr(message_ids, "_letters", lambda folder: iter([("1.a.host", str(file))]))
        patch.setattr(message_ids, "nlargest", lambda *args, **keys: pytest.fail("it looks at all of them"))
        assert folder.has("one")


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 1000, None])
def test_a_lost_index_is_made_again(folder: Folder, damage: bytes | None) -> None:
    folder.put("1.a.host:2,S", "one")
    assert folder.has("one")
    folder.index.close()
    if damage is None:
        folder.file.unlink()
    else:
        folder.file.write_bytes(damage)
    folder.index = MessageIds(folder.file)
    assert folder.has("one") and not folder.has("two")


def test_an_index_of_another_shape_is_made_again(folder: Folder) -> None:
    folder.put("1.a.host:2,S", "one")
    with closing(sqlite3.connect(folder.file.parent.parent / "other")) as db:
        db.execute("CREATE TABLE letters (something TEXT)")
        db.execute("PRAGMA journal_mode = WAL")
    folder.file.parent.mkdir()
    (folder.file.parent.parent / "other").rename(folder.file)
    assert folder.has("one") and not folder.has("two")


def test_an_index_that_cannot_be_written_is_an_error(folder: Folder) -> None:
    """Of SQLite or of the disk; and when it can be, all is well."""
    folder.file.parent.parent.joinpath("state").write_text("no folder")
    for _ in range(2):
        with pytest.raises((OSError, sqlite3.Error)):
            folder.has("one")
    folder.file.parent.unlink()
    assert not folder.has("one")


def test_the_newest_are_kept(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the time in the name; so neither memory nor the index grow with the folder."""
    monkeypatch.setattr(message_ids, "MOST", 3)
    for number in range(8):
        folder.put(f"{100 + number}.x.host:2,S", str(number))
    assert [number for number in range(8) if folder.has(str(number))] == [5, 6, 7]
    for number in range(10, 20):
        assert not folder.has(str(number))
        file = folder.put(f"{100 + number}.x.host:2,S", str(number))
        folder.index.add(folder.path, f"{100 + number}.x.host", message_id(file))
        rows = folder.index._open().execute("SELECT count(*) FROM letters").fetchone()[0]
        assert rows <= 2 * 3
    assert folder.has("19") and not folder.has("5")


def test_folders_are_apart(folder: Folder, tmp_path: Path) -> None:
    folder.put("1.a.host:2,S", "one")
    assert folder.has("one")
    folder.path = tmp_path / "bob" / ".Sent"
    for part in ("tmp", "cur"):
        (folder.path / part).mkdir(parents=True)
    assert not folder.has("one"), "without new/, too"


def test_what_is_no_letter_is_not_read(folder: Folder, tmp_path: Path) -> None:
    """A FIFO would block, a link may lead anywhere."""
    os.mkfifo(folder.path / "cur/1.fifo.host")
    (tmp_path / "elsewhere").write_bytes(b"Message-ID: <elsewhere>\n\n")
    (folder.path / "cur/2.link.host").symlink_to(tmp_path / "elsewhere")
    folder.touch()
    assert not folder.has("elsewhere")
    assert not folder.has("one")


def test_odd_letters(folder: Folder, tmp_path: Path) -> None:
    """Names that are no text, letters that cannot be read, without a Message-ID, with CRLF, folded, without a body."""
    (folder.path / "cur" / os.fsdecode(b"1.\xff.host:2,S")).write_bytes(b"MESSAGE-Id:\r\n <odd>\r\n\r\nx")
    (folder.path / "cur" / "2.dir.host").mkdir()
    (folder.path / "cur" / "3.none.host").write_bytes(b"Subject: x\n\nMessage-ID: <body>\n")
    (folder.path / "cur" / "4.end.host").write_bytes(b"Message-ID: <end>")
    (folder.path / "cur" / ".5.hidden").write_bytes(b"Message-ID: <hidden>\n\n")
    assert folder.has("odd") and folder.has("end")
    assert not folder.has("body") and not folder.has("hidden")
    assert folder.index.find(folder.path, "none", b"") is None, "letters without one are not the same"


@pytest.mark.parametrize(
    "header",
    [b"", b"\nMessage-ID: <x>\n", b"X-Message-ID: <x>\n\n", b"Message-ID:\n\n", b"x" * 100_000 + b"\nMessage-ID: <x>"],
)
def test_letters_without_a_message_id(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "letter").write_bytes(header)
    assert message_id(tmp_path / "letter") == b""
    assert message_id(tmp_path / "gone") == b""


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_stops_nobody(folder: Folder, make: Callable[[Path], None]) -> None:
    """One thread saves the copies of all: a pipe that nobody writes to would hold it for ever."""
    make(folder.path / "cur" / "1.a.host:2,S")
    folder.put("2.b.host:2,S", "two")
    assert folder.has("two")
