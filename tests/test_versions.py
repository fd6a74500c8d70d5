"""Files that change: what is in use, what is being written, what can be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailstack.versions import WRITING, Signature, State, Versions, signatures

NOW = 1_767_312_000  # Unix time
ONE, OTHER = Path("one"), Path("other")


def signature(age: float = 0.0, inode: int = 1) -> Signature:
    return Signature(int((NOW - age) * 1e9), 10, inode)


def watched(together: bool) -> Versions:
    versions = Versions(lambda: NOW, together)
    versions.use = {ONE: signature(100, inode=1), OTHER: signature(100, inode=2)}
    return versions


def test_anything_is_new_at_first() -> None:
    assert Versions(lambda: NOW, together=False).state({ONE: signature()}) is State.NEW
    assert Versions(lambda: NOW, together=False).state({ONE: None}) is State.NEW


@pytest.mark.parametrize("together", [False, True])
def test_the_same_is_in_use(together: bool) -> None:
    versions = watched(together)
    assert versions.state(dict(versions.use)) is State.IN_USE


@pytest.mark.parametrize(
    ("new", "alone", "together"),
    [
        (signature(), State.BEING_WRITTEN, State.BEING_WRITTEN),
        (signature(WRITING), State.NEW, State.NEW),
        (signature(inode=9), State.NEW, State.BEING_WRITTEN),
        (None, State.NEW, State.NEW),
    ],
)
def test_what_has_changed(new: Signature | None, alone: State, together: State) -> None:
    """Written in its place, a while ago, replaced, gone."""
    for both, expected in ((False, alone), (True, together)):
        versions = watched(together=both)
        found = {**versions.use, ONE: new}
        assert versions.state(found) is expected
        assert versions.state(found) is State.NEW, "two looks are the same"


def test_signatures(tmp_path: Path) -> None:
    """A file that is not there, or cannot be, has none."""
    path = tmp_path / "one"
    path.write_bytes(b"12345")
    os.utime(path, (NOW, NOW))
    found = signatures([path, tmp_path / "none", Path("a\0b")])
    assert found[path] == Signature(NOW * 10**9, 5, path.stat().st_ino)
    assert [found[each] for each in (tmp_path / "none", Path("a\0b"))] == [None, None]
