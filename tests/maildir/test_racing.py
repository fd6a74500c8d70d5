"""Other programs rename, bring and remove files just while a Maildir is looked at."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailstack.maildir import listed, sizes
from mailstack.maildir.looking import LOOKS
from tests.maildir.contract import content, uids
from tests.maildir.contract import sizes as sizes_of
from tests.maildir.test_foreign import Maildir

Entries = list[tuple[bytes, int]]


@pytest.fixture
def maildir(tmp_path: Path) -> Maildir:
    return Maildir(tmp_path / "alice")


class Rush:
    """During each listing of a directory ``during`` is called, with the directory's name and the number of the look;
    the names that it returns are in the listing under neither name."""

    def __init__(self, patch: pytest.MonkeyPatch, during: Callable[[str, int], set[bytes]]) -> None:
        self.looks = 0
        self._entries = listed._entries
        self._during = during
        patch.setattr(listed, "_entries", self._listing)

    def _listing(self, fd: int) -> Iterator[Entries]:
        place = Path(f"/proc/self/fd/{fd}").readlink().name
        self.looks += place == "new"
        found = [entry for entries in self._entries(fd) for entry in entries]
        hidden = self._during(place, self.looks)
        yield [entry for entry in found if entry[0] not in hidden]


def renamed(path: Path, flags: str) -> Path:
    return path.rename(path.with_name(f"{path.name.partition(':')[0]}:2,{flags}"))


class Flagged:
    """A file that gets other flags in the first ``looks`` listings, and is seen under neither name."""

    def __init__(self, path: Path, looks: int) -> None:
        self.path = path
        self._looks = looks

    def __call__(self, place: str, look: int) -> set[bytes]:
        if place != "cur" or look > self._looks:
            return set()
        before = os.fsencode(self.path.name)
        self.path = renamed(self.path, f"S{'abcdefghi'[look]}")
        return {before, os.fsencode(self.path.name)}


@pytest.mark.parametrize("looks", range(1, LOOKS))
def test_letter_that_is_renamed_during_a_listing_is_there(
    maildir: Maildir, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """One listing may have it under neither name."""
    maildir.put("cur/1.a.host,S=2,W=3:2,")
    flagged = Flagged(maildir.put("cur/2.b.host,S=2,W=3:2,", b"y\n"), looks)
    rush = Rush(monkeypatch, flagged)
    box = maildir.open()
    assert uids(box) == ["1.a.host", "2.b.host"]
    assert content(box.open(1)) == b"y\n"
    assert rush.looks == looks + 1, "as soon as nothing was changed meanwhile, that is it"


def test_each_look_misses_another_letter(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it never gets quiet, what any look has seen counts, under the last name."""
    paths = [maildir.put(f"cur/{number}.a.host,S=2,W=3:2,") for number in range(LOOKS)]

    def during(place: str, look: int) -> set[bytes]:
        if place == "new" or look > LOOKS:
            return set()
        which = look % len(paths)
        before, paths[which] = paths[which], renamed(paths[which], f"S{'abcdefghijk'[look]}")
        return {os.fsencode(before.name), os.fsencode(paths[which].name)}

    Rush(monkeypatch, during)
    box = maildir.open()
    assert uids(box) == [f"{number}.a.host" for number in range(LOOKS)]
    box.look_again()
    for number in range(LOOKS):
        assert content(box.open(number)) == b"x\n"


def test_deleting_what_is_renamed_meanwhile(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is removed, or said to be left: never taken for gone."""
    flagged = Flagged(maildir.put("cur/1.a.host,S=2,W=3:2,"), 0)
    box = maildir.open()
    flagged.path = renamed(flagged.path, "Sz")
    flagged._looks = LOOKS - 1
    Rush(monkeypatch, flagged)
    assert box.delete([0]) == []
    assert not list((maildir.folder / "cur").iterdir())


def test_deleting_what_no_look_finds_in_the_rush(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can say that it is gone, so it is said to be left."""
    maildir.put("cur/0.a.host,S=2,W=3:2,")
    path = maildir.put("cur/1.a.host,S=2,W=3:2,")
    box = maildir.open()
    hidden = renamed(path, "Sz")
    other = maildir.put("cur/2.b.host,S=2,W=3:2,")

    def during(place: str, look: int) -> set[bytes]:
        nonlocal other
        other = renamed(other, "" if other.name.endswith("S") else "S")
        return {os.fsencode(hidden.name)}

    Rush(monkeypatch, during)
    # Its listing has it never, but other files are renamed all the time.
    assert box.delete([1]) == [1]
    assert hidden.exists()


@pytest.mark.parametrize("by", ["reading", "deleting"])
def test_letter_that_is_removed_in_the_rush_is_gone(maildir: Maildir, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """Also if the look that found it was united with later ones, and nothing had to be seen in its file."""
    other = maildir.put("cur/2.Qb.host,S=2,W=3:2,")
    path = maildir.put("cur/1.Qa.host,S=2,W=3:2,")

    def during(place: str, look: int) -> set[bytes]:
        nonlocal other
        if place == "cur" and look <= LOOKS:
            other = renamed(other, "" if other.name.endswith("S") else "S")
            if look == LOOKS - 1 and path.exists():
                path.unlink()
        return set()

    Rush(monkeypatch, during)
    box = maildir.open()
    assert uids(box) == ["1.Qa.host", "2.Qb.host"]
    if by == "deleting":
        assert box.delete([0]) == []
        return
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            box.open(0)
        box.look_again()
    assert content(box.open(1)) == b"x\n"


def test_measures_that_change_in_the_rush(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    """A letter that is seen under two names is one, with the id that it always has."""
    path = maildir.put("cur/1.a.host:2,")

    def during(place: str, look: int) -> set[bytes]:
        nonlocal path
        if place == "cur":
            path = path.rename(path.with_name(f"1.a.host,S=2,W={2 + look % 2}:2,"))
        return set()

    rush = Rush(monkeypatch, during)
    entries, names = listed._entries, []

    def everything(fd: int) -> Iterator[Entries]:
        """Old names, too."""
        for found in entries(fd):
            names.extend(found)
            yield list(names)

    monkeypatch.setattr(listed, "_entries", everything)
    assert uids(maildir.open()) == ["1.a.host"]
    assert rush.looks == LOOKS


def test_letter_that_is_renamed_before_it_is_measured(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file has another name by then than in the listing."""
    paths = [maildir.put(f"cur/{number}.a.host:2,") for number in range(3)]
    opened = sizes.opened

    def renaming(path: bytes) -> int:
        fd = opened(path)
        if b"/cur/" in path:
            monkeypatch.setattr(sizes, "opened", opened)
            for each in paths:
                renamed(each, "Sx")
        return fd

    monkeypatch.setattr(sizes, "opened", renaming)
    box = maildir.open()
    assert sizes_of(box) == [3, 3, 3]
    assert content(box.open(2)) == b"x\n"


def test_letter_that_is_removed_before_it_is_measured(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [maildir.put(f"cur/{number}.a.host:2,") for number in range(3)]
    opened = sizes.opened

    def removing(path: bytes) -> int:
        if b"/cur/" in path:
            paths[2].unlink(missing_ok=True)
        return opened(path)

    monkeypatch.setattr(sizes, "opened", removing)
    assert uids(maildir.open()) == ["0.a.host", "1.a.host"]


@pytest.mark.parametrize("what", ["place", "folder"])
def test_directory_that_is_removed_while_it_is_listed(
    maildir: Maildir, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    maildir.put("new/1.a.host,S=2,W=3")
    maildir.put("cur/2.b.host,S=2,W=3")
    entries = listed._entries

    def removed(fd: int) -> Iterator[Entries]:
        shutil.rmtree(maildir.folder / "cur" if what == "place" else maildir.folder, ignore_errors=True)
        yield from entries(fd)
        raise FileNotFoundError(errno.ENOENT, "as of getdents64")

    monkeypatch.setattr(listed, "_entries", removed)
    assert uids(maildir.open()) == (["1.a.host"] if what == "place" else [])


# ---- For real

_HAMMER = """
import os, random, sys
folder, names = sys.argv[1], os.listdir(sys.argv[1])
print(flush=True)
while names:
    old = random.choice(names)
    base, colon, flags = old.partition(":")
    new = base + (":2," if "S" in flags else ":2,S")
    try:
        os.rename(f"{folder}/{old}", f"{folder}/{new}")
    except FileNotFoundError:
        names.remove(old)
        continue
    names[names.index(old)] = new
"""
MANY = 4000
SECONDS = 3.0


def test_another_process_that_never_stops_to_rename(maildir: Maildir) -> None:
    """No session misses a letter, and what is said to be removed is."""
    stems = [f"{1_700_000_000 + number}.M{number}P1.host" for number in range(MANY)]
    for stem in stems:
        (maildir.folder / f"cur/{stem},S=2,W=3:2,").write_bytes(b"x\n")
    with subprocess.Popen([sys.executable, "-c", _HAMMER, maildir.folder / "cur"], stdout=subprocess.PIPE) as hammer:
        try:
            assert hammer.stdout is not None
            hammer.stdout.readline()
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                box = maildir.open(running=True)
                found = uids(box)
                assert (len(found), set(stems).difference(found)) == (MANY, set())
                box.close()
            box = maildir.open(running=True)
            left = box.delete(range(MANY))
        finally:
            hammer.kill()
    assert {uids(box)[index] for index in left} == {
        path.name.partition(",")[0] for path in (maildir.folder / "cur").iterdir()
    }
