"""The reserve: made whole or not at all, given up in two halves."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mailstack.spool import reserve
from mailstack.spool.reserve import LARGEST, PIECES, SMALLEST, Reserve, size_for


class Room:
    """Stands for posix_fallocate on a disk with so many octets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.octets = 10 * LARGEST
        self.number = errno.ENOSPC
        self._folder = folder
        monkeypatch.setattr(os, "posix_fallocate", self._allocate)

    def _allocate(self, fd: int, offset: int, octets: int) -> None:
        used = sum(path.stat().st_size for path in self._folder.iterdir())
        if used + octets > self.octets:
            raise OSError(self.number, os.strerror(self.number))
        os.ftruncate(fd, octets)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "reserve"


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Room:
    folder.parent.mkdir()
    return Room(monkeypatch, folder)


def made(folder: Path) -> Reserve:
    found = Reserve(folder)
    found.make()
    return found


def names(folder: Path) -> int:
    return len(list(folder.iterdir()))


def test_made_once_and_found_again(folder: Path, room: Room) -> None:
    assert made(folder).whole
    assert names(folder) == PIECES
    room.octets = 0
    assert made(folder).whole
    assert reserve.whole(folder.parent)


def test_given_up_in_two_halves(folder: Path, room: Room) -> None:
    kept = made(folder)
    assert kept.give_up(everything=False)
    assert (names(folder), kept.whole, kept.spent) == (PIECES // 2, False, False)
    assert not kept.give_up(everything=False), "the rest is for outcomes alone"
    assert kept.give_up(everything=True)
    assert (names(folder), kept.spent) == (0, True)
    assert not kept.give_up(everything=True)
    assert not reserve.whole(folder.parent)


def test_whoever_may_have_all_takes_one_half_first(folder: Path, room: Room) -> None:
    kept = made(folder)
    assert kept.give_up(everything=True)
    assert names(folder) == PIECES // 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_without_room_nothing_of_it_is_made(folder: Path, room: Room, number: int) -> None:
    room.octets, room.number = SMALLEST // 2, number
    kept = Reserve(folder)
    with pytest.raises(OSError, match=os.strerror(number)):
        kept.make()
    assert names(folder) == 0
    assert kept.spent


def test_what_was_needed_is_made_again_only_when_there_is_room_for_more(folder: Path, room: Room) -> None:
    kept = made(folder)
    kept.give_up(everything=True)
    room.octets = reserve.octets(folder.parent) * 2
    with pytest.raises(OSError, match="No space"):
        kept.make()
    assert names(folder) == PIECES // 2, "what is left is not touched"
    room.octets = 10 * LARGEST
    kept.make()
    assert kept.whole
    assert names(folder) == PIECES, "the room that was tried is free again"


def test_a_crash_in_the_middle_is_made_good(folder: Path, room: Room) -> None:
    made(folder)
    (folder / "03").unlink()
    os.truncate(folder / "04", 1)
    (folder / "slack-0").touch()
    assert not reserve.whole(folder.parent)
    assert made(folder).whole
    assert names(folder) == PIECES


def test_where_blocks_cannot_be_kept_they_are_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, offset: int, octets: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    folder.parent.mkdir()
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert made(folder).whole
    assert all(path.stat().st_blocks for path in folder.iterdir())


def test_no_reserve_is_none_that_was_given_up(tmp_path: Path) -> None:
    assert reserve.whole(tmp_path)
    assert reserve.octets(tmp_path) == 0


@pytest.mark.parametrize(("total", "octets"), [(0, SMALLEST), (64 << 20, 1 << 20), (1 << 40, LARGEST)])
def test_a_small_disk_has_a_small_one(total: int, octets: int) -> None:
    assert size_for(total) == octets
