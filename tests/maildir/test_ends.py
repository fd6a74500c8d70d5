"""Letters of others whose last line has no end: sizes agree with the wire, and each file is looked at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.maildir import ends
from mailstack.maildir.ends import FEW, FILE
from tests.maildir.contract import sizes as sizes_of
from tests.maildir.test_foreign import Maildir


@pytest.fixture
def maildir(tmp_path: Path) -> Maildir:
    return Maildir(tmp_path / "alice")


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose ends were looked at."""
    found: list[str] = []
    ends_well = ends._ends_well

    def noted(path: bytes) -> bool:
        found.append(Path(path.decode()).name)
        return ends_well(path)

    monkeypatch.setattr(ends, "_ends_well", noted)
    return found


def test_end_that_the_name_does_not_count(maildir: Maildir) -> None:
    """Dovecot's does not, others' do, and an empty letter has none."""
    maildir.put("new/1.a.host,S=3,W=4", b"a\nb")
    maildir.put("new/2.b.host,S=3,W=6", b"a\nb")
    maildir.put("cur/3.c.host,S=2,W=2:2,S", b"a\r")
    maildir.put("cur/4.d.host,S=0,W=0:2,S", b"")
    maildir.put("cur/5.e.host,S=4,W=6:2,S", b"a\nb\n")
    assert sizes_of(maildir.open()) == [6, 6, 4, 0, 6]


def test_names_of_ours_are_believed(maildir: Maildir, looked: list[str]) -> None:
    maildir.put("new/1.Q4Xy9.host,S=2,W=9")
    maildir.put("new/2.Uold%2Eid.host,S=2,W=8")
    assert sizes_of(maildir.open()) == [9, 8]
    assert looked == []


def test_each_is_looked_at_once(maildir: Maildir, looked: list[str]) -> None:
    """Over a restart; then only who came since."""
    for number in range(FEW + 1):
        maildir.put(f"new/{number}.a.host,S=1,W=1", b"x")
        maildir.put(f"cur/{number}.b.host,S=2,W=3:2,S", b"x\n")
    assert set(sizes_of(maildir.open())) == {3}
    assert len(looked) == 2 * (FEW + 1)
    looked.clear()
    box = maildir.open()
    assert set(sizes_of(box)) == {3}
    box.close()
    # The first ones are looked at sooner than the file is read.
    assert len(looked) == FEW
    looked.clear()
    maildir.put("cur/1000.c.host,S=1,W=1:2,S", b"x")
    assert set(sizes_of(maildir.open(running=True))) == {3}
    assert looked == ["1000.c.host,S=1,W=1:2,S"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "gone", "folder", "link"])
def test_damaged_memory_costs_only_time(maildir: Maildir, looked: list[str], damage: str) -> None:
    for number in range(2 * FEW):
        maildir.put(f"new/{number}.a.host,S=1,W=1", b"x")
    maildir.open()
    looked.clear()
    file = maildir.folder / FILE
    whole = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage == "link":
        file.symlink_to("/dev/zero")
    elif damage != "gone":
        file.write_bytes({"cut": whole[:-1], "flipped": whole[:-1] + b"\xff", "empty": b""}[damage])
    assert set(sizes_of(maildir.open())) == {3}
    assert len(looked) == 2 * FEW


def test_memory_forgets_letters_that_are_gone(maildir: Maildir) -> None:
    paths = [maildir.put(f"new/{number}.a.host,S=2,W=3") for number in range(5 * FEW)]
    maildir.open()
    large = (maildir.folder / FILE).stat().st_size
    for path in paths[: 3 * FEW]:
        path.unlink()
    maildir.put("new/1000.b.host,S=2,W=3")
    maildir.open()
    assert (maildir.folder / FILE).stat().st_size < large / 2


def test_what_was_seen_is_saved_from_time_to_time(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who hangs up while a large Maildir is looked at begins there the next time."""
    monkeypatch.setattr(ends, "SAVED_EVERY", 0.0)
    monkeypatch.setattr(ends.Ends, "save", lambda self: None)
    for number in range(3 * FEW):
        content = b"x" if number % 2 else b"x\n"
        maildir.put(f"new/{number}.a.host,W={len(content) + content.count(10)}", content)
    maildir.open()
    good, others = ends._load(maildir.folder / FILE)
    assert len(good) + len(others) >= 2 * FEW - 1
    assert set(others.values()) == {3}
