"""Whoever may write a list must not be able to stop the server with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailstack.accounts import aliases, lines


def test_a_fifo_is_no_list(tmp_path: Path) -> None:
    """Its end is never seen, and until then everybody would wait."""
    os.mkfifo(tmp_path / "list")
    with pytest.raises(OSError, match="it is no file"):
        lines.text_of(tmp_path / "list")
    (tmp_path / "aliases").write_text(f"team@office.test: :include:{tmp_path / 'list'}\n")
    found = aliases.read(tmp_path / "aliases", ["office.test"])
    assert found.aliases["team@office.test"].unsure
    assert any("it is no file" in line.wrong for line in found.broken)


def test_a_device_is_no_list() -> None:
    """One that never ends would take all memory."""
    with pytest.raises(OSError, match="it is no file"):
        lines.text_of(Path("/dev/zero"))


def test_a_folder_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        lines.text_of(tmp_path)


def test_a_list_without_measure_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "users").open("wb") as file:
        file.truncate(lines.MAX_SIZE + 1)
    with pytest.raises(OSError, match="more than 16 MiB"):
        lines.text_of(tmp_path / "users")


def test_a_link_leads_to_a_list(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a@office.test\n")
    (tmp_path / "link").symlink_to(tmp_path / "list")
    assert lines.text_of(tmp_path / "link") == "a@office.test\n"
