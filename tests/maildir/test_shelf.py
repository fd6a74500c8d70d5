"""When an index may be believed, and how much is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from attrs import evolve

from mailstack.maildir import freed, listed, looking, shelf
from mailstack.maildir.index import Index
from mailstack.maildir.listed import TICK, Stamp, Stamps, stamps
from mailstack.maildir.shelf import Shelf

MINUTE = 60 * 1_000_000_000


class Looks:
    """A Maildir, a clock, and how often the directories were listed."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.count = 0
        for place in ("new", "cur"):
            (folder / place).mkdir(parents=True)
        self.put("new/1.a")
        self.now = self.time() + MINUTE
        self.shelf = Shelf(clock=lambda: self.now)
        self._letters = looking.letters
        patch.setattr(looking, "letters", self._counted)

    def _counted(self, folder: Path) -> object:
        self.count += 1
        return self._letters(folder)

    def time(self) -> int:
        """When a directory was changed last."""
        found = stamps(self.folder)
        return max(stamp.changed for stamp in (found.new, found.cur) if stamp is not None)

    def put(self, name: str, content: bytes = b"x\n") -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def letters(self) -> list[bytes]:
        index = self.shelf.index(self.folder)
        return [index.file(at)[1] for at in range(len(index))]


@pytest.fixture
def looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(tmp_path / "alice", monkeypatch)


def test_unchanged_maildir_is_listed_once(looks: Looks) -> None:
    assert looks.letters() == looks.letters() == [b"1.a"]
    assert looks.count == 1


def test_what_was_changed_a_moment_ago_is_listed_again(looks: Looks) -> None:
    """It may be changed once more within the same tick of the clock, and nobody could tell."""
    looks.now = looks.time() + TICK
    looks.letters()
    looks.now += MINUTE
    looks.letters()
    assert looks.count == 2, "old by now, but it was young when it was listed"
    looks.letters()
    assert looks.count == 2


def test_change_within_one_tick_is_seen(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system whose clock stands."""
    before = stamps(looks.folder)
    for module in (looking, shelf):
        monkeypatch.setattr(module, "stamps", lambda folder: before)
    looks.now = looks.time() + TICK // 2
    assert looks.letters() == [b"1.a"]
    looks.put("new/2.b")
    assert looks.letters() == [b"1.a", b"2.b"]


def test_time_in_the_future_is_never_believed(looks: Looks) -> None:
    looks.now = looks.time() - MINUTE
    looks.letters()
    looks.letters()
    assert looks.count == 2


@pytest.mark.parametrize("by", ["delivery", "removal", "flags", "seen", "replaced letter"])
def test_foreign_change_is_seen(looks: Looks, by: str) -> None:
    looks.put("cur/0.z:2,")
    before = looks.letters()
    if by == "delivery":
        looks.put("new/2.b")
    elif by == "removal":
        (looks.folder / "new/1.a").unlink()
    elif by == "flags":
        (looks.folder / "cur/0.z:2,").rename(looks.folder / "cur/0.z:2,S")
    elif by == "seen":
        (looks.folder / "new/1.a").rename(looks.folder / "cur/1.a:2,S")
    else:
        looks.put("tmp", b"longer\n").rename(looks.folder / "new/1.a")
        assert looks.shelf.index(looks.folder).octets == len("longer\r\n") + len("x\r\n")
        return
    assert looks.letters() != before


@pytest.mark.parametrize("times", ["new", "set back"])
def test_directory_in_the_place_of_another(looks: Looks, times: str) -> None:
    """Also if its time is the same: rsync sets that, but not the inode, nor when it was last changed."""
    looks.letters()
    found = (looks.folder / "new").stat()
    (looks.folder / "new").rename(looks.folder / "aside")
    (looks.folder / "new").mkdir()
    looks.put("new/3.c")
    if times == "set back":
        os.utime(looks.folder / "new", ns=(found.st_atime_ns, found.st_mtime_ns))
    assert looks.letters() == [b"3.c"]


def test_time_that_is_set_back(looks: Looks) -> None:
    """By a restore into the same directory."""
    looks.letters()
    found = (looks.folder / "new").stat()
    looks.put("new/2.b")
    os.utime(looks.folder / "new", ns=(found.st_atime_ns, found.st_mtime_ns))
    assert looks.letters() == [b"1.a", b"2.b"]


def test_directories_that_come_and_go(looks: Looks) -> None:
    looks.letters()
    (looks.folder / "new").rename(looks.folder / "aside")
    assert looks.letters() == []
    (looks.folder / "aside").rename(looks.folder / "new")
    assert looks.letters() == [b"1.a"]


def test_what_is_kept_is_bounded(looks: Looks, tmp_path: Path) -> None:
    """The least used goes."""
    one: Index = looks.shelf.index(looks.folder)
    looks.shelf = Shelf(most=2 * one.memory, clock=lambda: looks.now)
    others = [tmp_path / name for name in ("bob", "carol")]
    for folder in (looks.folder, others[0], looks.folder, others[1]):
        looks.shelf.index(folder)
    looks.count = 0
    looks.shelf.index(looks.folder)
    assert looks.count == 0
    looks.shelf.index(others[0])
    assert looks.count == 1


def test_a_million_letters_have_room() -> None:
    """Or each session would list them again. ``test_index`` says what one takes."""
    assert shelf.MOST >= 1_000_000 * 100


def test_stamp_is_settled_by_its_youngest_time() -> None:
    old = Stamp(1, 2, 0, 0)
    assert old.settled(TICK + 1)
    assert not evolve(old, modified=1).settled(TICK + 1)
    assert not evolve(old, changed=1).settled(TICK + 1)
    assert not Stamps(None, old).settled(TICK)
    assert Stamps(None, None).settled(0)


def test_letters_that_are_measured_are_measured_again(looks: Looks) -> None:
    """After a change in the directory: another file may have the same name."""
    looks.shelf.index(looks.folder)
    looks.put("tmp", b"longer\n").rename(looks.folder / "new/1.a")
    looks.put("new/2.b,W=7")
    index = looks.shelf.index(looks.folder)
    assert list(index.sizes) == [len("longer\r\n"), 7]


def test_names_come_also_without_getdents(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "_libc", object())
    (looks.folder / "new/2.link").symlink_to("1.a")
    assert looks.letters() == [b"1.a"]


def test_a_large_directory_is_listed_whole(looks: Looks) -> None:
    """With more than one call."""
    for number in range(3000):
        (looks.folder / f"cur/{number}.{'x' * 60}").touch()
    assert len(set(looks.letters())) == 3001


@pytest.mark.parametrize("libc", ["ours", "another"])
def test_memory_goes_back_where_that_is_possible(monkeypatch: pytest.MonkeyPatch, libc: str) -> None:
    if libc == "another":
        monkeypatch.setattr(freed, "_libc", object())
    freed.one_arena()
    freed.give_back()
