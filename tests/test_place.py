"""Whether what stands there is what was there at the start."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mailstack.place import Place, folder


def test_moved_away_and_back(tmp_path: Path) -> None:
    data, away = tmp_path / "data", tmp_path / "away"
    data.mkdir()
    place = Place(data)
    place.remember()
    data.rename(away)
    with pytest.raises(FileNotFoundError):
        place.verify()
    data.mkdir()
    with pytest.raises(OSError, match="not the one") as caught:
        place.verify()
    assert caught.value.errno == errno.ESTALE
    data.rmdir()
    away.rename(data)
    place.verify()


def test_nothing_is_expected_before_it_is_remembered(tmp_path: Path) -> None:
    mail = tmp_path / "mail"
    known = Place(mail, identity=folder)
    known.verify()
    mail.mkdir()
    known.remember()
    known.verify()
    mail.rename(tmp_path / "away")
    mail.mkdir()
    with pytest.raises(OSError, match="not the one"):
        known.verify()
