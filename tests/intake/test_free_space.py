"""How much room there is: asked once a second at most."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from mailstack.config.limits import FEW_INODES
from mailstack.intake.free_space import FreeSpace


def test_asked_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    time, free = 5.0, 7

    def statvfs(folder: Path) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=free, f_frsize=4096, f_files=0, f_favail=0)

    monkeypatch.setattr(os, "statvfs", statvfs)
    space = FreeSpace(Path("data"), lambda: time)
    assert space() == 7 * 4096
    time, free = 5.9, 2
    assert space() == 7 * 4096
    time = 6.0
    assert space() == 2 * 4096


def test_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        FreeSpace(tmp_path / "gone", lambda: 0.0)()


def test_real_disk(tmp_path: Path) -> None:
    assert FreeSpace(tmp_path, lambda: 0.0)() > 0


@pytest.mark.parametrize(("inodes", "room"), [(FEW_INODES, 4096), (FEW_INODES - 1, 0)])
def test_without_inodes_there_is_no_room(monkeypatch: pytest.MonkeyPatch, inodes: int, room: int) -> None:
    state = SimpleNamespace(f_bavail=1, f_frsize=4096, f_files=1000, f_favail=inodes)
    monkeypatch.setattr(os, "statvfs", lambda folder: state)
    assert FreeSpace(Path("data"), lambda: 0.0)() == room
