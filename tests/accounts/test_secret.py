"""A secret that outlives restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.accounts.secret import SIZE, kept


def test_it_is_the_same_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state" / "secret"
    made = kept(path)
    assert len(made) == SIZE
    assert kept(path) == made
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * (SIZE + 1)])
def test_a_damaged_one_is_made_again(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(damage)
    assert kept(path) == kept(path) != damage


def test_two_servers_have_two(tmp_path: Path) -> None:
    assert kept(tmp_path / "a") != kept(tmp_path / "b")
