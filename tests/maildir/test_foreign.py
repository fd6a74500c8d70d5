"""What other programs do to a Maildir, and odd things in it: letters keep their ids and sizes, and nothing blocks."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailstack.interfaces.mailboxes import IMailbox
from mailstack.maildir import mailbox, sizes
from mailstack.maildir.mailboxes import Mailboxes
from mailstack.maildir.sizes import FILE
from tests.maildir.contract import ALICE, content, uids
from tests.maildir.contract import sizes as sizes_of

YESTERDAY = 86_400


class Maildir:
    """One, of which each session begins with a server that has just started, unless ``running``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for place in ("tmp", "new", "cur"):
            (folder / place).mkdir(parents=True)
        self.mailboxes = self.started()

    def started(self) -> Mailboxes:
        return Mailboxes(self.folder.parent, lambda account: self.folder.name)

    def open(self, running: bool = False) -> IMailbox:
        if not running:
            self.mailboxes = self.started()
        return self.mailboxes.open(ALICE)

    def put(self, name: str | bytes, letter: bytes = b"x\n", age: float = YESTERDAY) -> Path:
        path = self.folder / os.fsdecode(name)
        path.write_bytes(letter)
        found = path.stat().st_mtime - age
        os.utime(path, (found, found))
        return path


@pytest.fixture
def maildir(tmp_path: Path) -> Maildir:
    return Maildir(tmp_path / "alice")


# ---- Ids


def flags(path: Path, root: Path, word: str) -> Path:
    base = path.name.partition(":")[0]
    return path.rename(root / "cur" / f"{base}:2,{''.join(sorted(set(word)))}")


def measures(path: Path, root: Path, word: str) -> Path:
    """Another program adds, mends or drops them."""
    base, colon, rest = path.name.partition(":")
    stem = base.partition(",")[0]
    added = {0: "", 1: ",S=2", 2: ",S=2,W=3", 3: ",W=3"}[len(word) % 4]
    return path.rename(path.with_name(stem + added + colon + rest))


def to_new(path: Path, root: Path, word: str) -> Path:
    return path.rename(root / "new" / path.name.partition(":")[0])


def copied(path: Path, root: Path, word: str) -> Path:
    """Restored from a backup: another inode, another time."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    return path


CHANGES: list[Callable[[Path, Path, str], Path]] = [flags, measures, to_new, copied]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(CHANGES), st.text("DFPRSTa", max_size=4)), max_size=12),
    st.integers(0, 12),
    st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_unique_ids_stay(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[int, Callable[[Path, Path, str], Path], str]],
    moved_after: int,
    running: bool,
) -> None:
    """Whatever happens to names, places, inodes and times, after a restart, and on another machine."""
    maildir = Maildir(tmp_path_factory.mktemp("box") / "alice")
    stems = ["1700000000.M1P2.host", "5.Uold-id%2E1.host", "odd name", "1." + "x" * 80]
    paths = [maildir.put(f"new/{stem}") for stem in stems]
    box = maildir.open()
    before = dict(zip(sorted(stems), sorted(uids(box)), strict=True))
    ids = {stem: box.uid(at) for at in range(4) for stem in stems if _stem(maildir, box, at) == stem}
    box.close()
    assert set(ids.values()) == set(before.values())
    for count, (which, change, word) in enumerate(changes):
        if count == moved_after:
            there = tmp_path_factory.mktemp("elsewhere") / "bob"
            shutil.copytree(maildir.folder, there)
            paths = [there / path.relative_to(maildir.folder) for path in paths]
            maildir.folder = there
            maildir.mailboxes = maildir.started()
        paths[which] = change(paths[which], maildir.folder, word)
        box = maildir.open(running)
        assert {_stem(maildir, box, at): box.uid(at) for at in range(box.count)} == ids
        assert sizes_of(box) == [3, 3, 3, 3]
        box.close()


def _stem(maildir: Maildir, box: IMailbox, at: int) -> str:
    """Of the file that is opened."""
    letter = box.open(at)
    assert isinstance(letter, mailbox.StoredLetter)
    return Path(f"/proc/self/fd/{letter.fileno()}").readlink().name.partition(":")[0].partition(",")[0]


def test_names_that_are_not_utf8(maildir: Maildir) -> None:
    maildir.put(b"new/1.\xff\xfe.host", b"odd\n")
    maildir.put(b"cur/2.\xe4\n.host:2,S", b"name\n")
    box = maildir.open()
    assert [content(box.open(at)) for at in range(2)] == [b"odd\n", b"name\n"]
    assert box.delete([0, 1]) == []
    assert maildir.open().count == 0


# ---- Sizes


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes that had to be counted."""
    found: list[int] = []
    real = sizes.counted

    def count(letter: Any) -> int:
        found.append(real(letter))
        return found[-1]

    monkeypatch.setattr(sizes, "counted", count)
    return found


def test_counted_size_is_remembered(maildir: Maildir, counted: list[int]) -> None:
    """Over a restart, and when the letter gets flags; but not for another letter with its name."""
    path = maildir.put("new/1.a.host,S=4", b"a\nb\n")
    maildir.put("new/2.b.host,W=x", b"c\n")
    assert sizes_of(maildir.open()) == [6, 3]
    assert counted == [6, 3]
    path.rename(maildir.folder / "cur/1.a.host,S=4:2,S")
    assert sizes_of(maildir.open()) == [6, 3]
    assert counted == [6, 3]
    maildir.put("cur/1.a.host,S=4:2,S", b"a\nb\nc\n", YESTERDAY + 1)
    assert sizes_of(maildir.open()) == [9, 3]
    assert counted == [6, 3, 9]


def test_young_letter_is_counted_again(maildir: Maildir, counted: list[int]) -> None:
    """It may still be written to, within one tick of the clock."""
    maildir.put("new/1.a.host", b"a\n", age=0)
    maildir.open()
    maildir.open()
    assert counted == [3, 3]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "gone", "folder", "fifo", "link"])
def test_damaged_memory_costs_only_time(maildir: Maildir, counted: list[int], damage: str) -> None:
    maildir.put("new/1.a.host", b"a\n")
    maildir.open()
    file = maildir.folder / FILE
    whole = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage == "fifo":
        os.mkfifo(file)
    elif damage == "link":
        file.symlink_to("/dev/zero")
    elif damage != "gone":
        file.write_bytes({"cut": whole[:-1], "flipped": whole[:-1] + b"\xff", "empty": b""}[damage])
    assert sizes_of(maildir.open()) == [3]
    assert counted == [3, 3]


def test_memory_forgets_letters_that_are_gone(maildir: Maildir) -> None:
    for number in range(50):
        maildir.put(f"new/{number}.a.host")
    maildir.open()
    large = (maildir.folder / FILE).stat().st_size
    for number in range(1, 50):
        (maildir.folder / f"new/{number}.a.host").unlink()
    maildir.put("new/99.b.host")
    maildir.open()
    assert (maildir.folder / FILE).stat().st_size < large / 10


def test_size_that_turns_out_to_be_wrong(maildir: Maildir) -> None:
    """The next session is told the right one, as are all after it, for that file."""
    path = maildir.put("new/1.a.host,S=2,W=99", b"x\n")
    box = maildir.open(running=True)
    assert sizes_of(box) == [99]
    box.measured(0, 3)
    box.close()
    assert sizes_of(box) == [99], "a session is a snapshot"
    box = maildir.open(running=True)
    assert sizes_of(box) == [3]
    box.measured(0, 3)
    box.close()
    path.rename(maildir.folder / "cur/1.a.host,S=2,W=99:2,S")
    assert sizes_of(maildir.open()) == [3]
    maildir.put("cur/1.a.host,S=2,W=99:2,S", b"x" * 97 + b"\n", YESTERDAY + 1)
    assert sizes_of(maildir.open()) == [99]


def test_measures_of_dovecot_that_come_back_with_a_copy(maildir: Maildir) -> None:
    """A letter without a last line end was counted while its name had no measures. Restored from a backup, with them,
    it is another file: what its name says lacks the two octets that are sent in place of that end."""
    path = maildir.put("cur/1.a.host:2,S", b"no end")
    assert sizes_of(maildir.open()) == [8]
    path.unlink()
    maildir.put("cur/1.a.host,S=6,W=6:2,S", b"no end", 2 * YESTERDAY)
    assert sizes_of(maildir.open()) == [8]


def test_letter_that_is_changed_in_place(maildir: Maildir) -> None:
    """No directory tells of it, but who fetches it does."""
    path = maildir.put("new/1.a.host", b"x\n")
    for place in ("new", "cur"):
        os.utime(maildir.folder / place, (0, 0))
    box = maildir.open(running=True)
    box.close()
    maildir.put(path.relative_to(maildir.folder).as_posix(), b"longer\n", YESTERDAY + 1)
    box = maildir.open(running=True)
    box.measured(0, sizes.counted(BytesIO(content(box.open(0)))))
    box.close()
    assert sizes_of(maildir.open(running=True)) == [8]


# ---- What is no letter


def test_nothing_but_regular_files_are_letters(maildir: Maildir) -> None:
    """A link may lead to what is not for this user, a FIFO would block, a device do anything."""
    new = maildir.folder / "new"
    (new / "1.folder").mkdir()
    (new / "2.link").symlink_to(maildir.put("tmp/elsewhere"))
    (new / "3.dangling").symlink_to("nowhere")
    os.mkfifo(new / "4.fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(new / "5.socket"))
    maildir.put("new/6.letter")
    assert uids(maildir.open()) == ["6.letter"]


@pytest.mark.parametrize("what", ["fifo", "link", "folder", "socket"])
def test_letter_that_turns_into_something_else(maildir: Maildir, what: str) -> None:
    """It is gone, and nobody waits for it."""
    path = maildir.put("new/1.a.host")
    box = maildir.open()
    path.unlink()
    if what == "fifo":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to(maildir.put("tmp/elsewhere"))
    elif what == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            box.open(0)
        box.look_again()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_letter_that_cannot_be_read(maildir: Maildir) -> None:
    """The others can be fetched."""
    maildir.put("new/1.a.host").chmod(0)
    maildir.put("new/2.b.host", b"two\n")
    box = maildir.open()
    assert sizes_of(box) == [0, 5]
    with pytest.raises(PermissionError):
        box.open(0)
    assert content(box.open(1)) == b"two\n"


# ---- While a session is open


@pytest.mark.parametrize(
    "name",
    ["cur/1.a.host,S=2,W=3:2,", "cur/1.a.host,S=2,W=3:2,FRS", "cur/1.a.host,S=2,W=3", "new/1.a.host,S=2,W=3"],
)
def test_renamed_letter_is_found_at_once(maildir: Maildir, name: str) -> None:
    """What other programs mostly do needs no look at the whole directory."""
    path = maildir.put("cur/1.a.host,S=2,W=3:2,S")
    box = maildir.open()
    path.rename(maildir.folder / name)
    assert content(box.open(0)) == b"x\n"


@pytest.mark.parametrize("name", ["cur/1.a.host,S=2,W=3:2,Sab", "cur/1.a.host:2,S", "new/1.a.host,W=3,S=2"])
def test_any_other_name_is_found_by_a_look(maildir: Maildir, name: str) -> None:
    path = maildir.put("new/1.a.host,S=2,W=3")
    maildir.put("new/2.b.host")
    box = maildir.open()
    path.rename(maildir.folder / name)
    maildir.put("new/0.before.host")
    with pytest.raises(FileNotFoundError):
        box.open(0)
    box.look_again()
    assert content(box.open(0)) == b"x\n"
    assert uids(box) == ["1.a.host", "2.b.host"]
    assert box.delete([0]) == []
    assert sorted(uids(maildir.open())) == ["0.before.host", "2.b.host"]


def test_directory_that_vanishes(maildir: Maildir) -> None:
    maildir.put("new/1.a.host")
    box = maildir.open()
    shutil.rmtree(maildir.folder)
    with pytest.raises(FileNotFoundError):
        box.open(0)
    assert box.delete([0]) == []


# ---- Deleting


def test_deletions_are_durable(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each directory, when all are removed."""
    synced: list[Path] = []

    def sync(paths: set[Path]) -> None:
        synced.extend(sorted(paths))
        assert not list((maildir.folder / "new").iterdir())

    monkeypatch.setattr(mailbox, "sync_paths", sync)
    maildir.put("new/1.a.host")
    maildir.put("new/2.b.host")
    maildir.put("cur/3.c.host:2,S")
    assert maildir.open().delete([0, 1, 2]) == []
    assert synced == [maildir.folder / "cur", maildir.folder / "new"]


def test_deletions_that_may_come_back_are_reported(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync(paths: set[Path]) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(mailbox, "sync_paths", sync)
    maildir.put("new/1.a.host")
    assert maildir.open().delete([0]) == [0]


def test_another_program_that_moves_what_is_deleted(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the removal, too."""
    first = maildir.put("new/1.a.host")
    box = maildir.open()
    second = first.rename(maildir.folder / "cur/1.a.host:2,Sa")
    unlink = os.unlink

    def racing(path: bytes, *, dir_fd: int | None = None) -> None:
        if second.exists():
            second.rename(maildir.folder / "cur/1.a.host:2,Sb")
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", racing)
    assert box.delete([0]) == []
    assert not list((maildir.folder / "cur").iterdir())
