"""Crashes at each step of an import: every letter is there in the end, once, whole, and under its name."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mailstack import durable
from mailstack.admin import import_box
from mailstack.admin.import_box import Arrival, Box, bases
from mailstack.admin.import_known import Known, Offer
from mailstack.admin.import_record import InUse, Record
from mailstack.maildir import names

LETTERS = {f"id{number}": b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(5)}


class Crash(BaseException):
    """The process is no more."""


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "box"
        self.path = folder / "state/INBOX"

    @contextmanager
    def open(self, source: str = "here") -> Iterator[tuple[Box, Known, Record]]:
        record = Record(self.path, source)
        try:
            box = Box(self.folder, record, durable.sync_paths, "host", room=0)
            yield box, Known(source, record.pasts, box.open()), record
        finally:
            record.close()

    def bring(self, letters: dict[str, bytes], removed: set[str] | None = None) -> int:
        """What is new; how many that were."""
        with self.open() as (box, known, _):
            number = 0
            for id, content in letters.items():
                offer = Offer(id, id, len(content))
                if known.has(offer):
                    continue
                assert removed is None or id not in removed
                draft = box.draft(lf_is_odd=True)
                draft.write(content)
                draft.finish()
                box.add(draft, Arrival(id, known.keep(offer), len(content), 1700000000 + number))
                number += 1
            box.flush()
        return number

    def contents(self) -> dict[str, bytes]:
        """By unique-id; a letter that is there twice fails the test."""
        files = [path for part in ("new", "cur") for path in (self.folder / part).glob("*")]
        uids = names.unique_ids([names.base(path.name) for path in files])
        assert len(set(uids)) == len(files)
        return {uid: path.read_bytes().replace(b"\n", b"\r\n") for uid, path in zip(uids, files, strict=True)}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(import_box, "BATCH_LETTERS", 2)
    return Place(tmp_path)


class Watch:
    """Counts the steps on the disk, and crashes before or after number ``at``."""

    STEPS = (
        (durable, "sync_paths"),
        (durable, "write_all"),
        (durable, "move"),
        (os, "utime"),
        (os, "open"),
    )

    def __init__(self, patch: pytest.MonkeyPatch, at: int | None, after: bool) -> None:
        self.count = 0
        self._at = at
        self._after = after
        for module, name in self.STEPS:
            patch.setattr(module, name, self._watched(getattr(module, name)))

    def _watched(self, real: Any) -> Any:
        def step(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            crash = self.count == self._at
            if crash and not self._after:
                raise Crash
            result = real(*arguments, **named)
            if crash:
                raise Crash
            return result

        return step


def steps(folder: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        watch = Watch(patch, None, after=False)
        Place(folder).bring(LETTERS)
    return watch.count


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_each_step(place: Place, tmp_path: Path, after: bool) -> None:
    total = steps(tmp_path / "count")
    assert total > 40
    for at in range(1, total + 1):
        one = Place(tmp_path / f"crash-{at}")
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
            Watch(patch, at, after)
            one.bring(LETTERS)
        one.bring(LETTERS)
        assert one.contents() == LETTERS, at
        assert list((one.folder / "tmp").iterdir()) == []
        assert one.bring(LETTERS) == 0


def test_what_was_removed_meanwhile_does_not_come_again(place: Place, tmp_path: Path) -> None:
    """Whatever was published before the crash, and fetched and removed after it."""
    chance = random.Random(7)
    total = steps(tmp_path / "count")
    for at in range(1, total + 1, 2):
        one = Place(tmp_path / f"crash-{at}")
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
            Watch(patch, at, after=False)
            one.bring(LETTERS)
        removed = set()
        for path in list((one.folder / "new").glob("*")):
            if chance.random() < 0.5:
                removed.update(names.unique_ids([path.name]))
                path.unlink()
        one.bring(LETTERS, removed)
        assert one.contents() == {id: content for id, content in LETTERS.items() if id not in removed}


def test_an_old_crash(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may have tidied tmp up since: what is neither there nor in the mailbox comes once more, as nothing may be
    lost."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        patch.setattr(durable, "move", lambda source, target: (_ for _ in ()).throw(Crash))
        place.bring(LETTERS)
    for path in (place.folder / "tmp").iterdir():
        path.unlink()
    long_ago = place.path.stat().st_mtime - import_box.KEPT_IN_TMP - 1
    os.utime(place.path, (long_ago, long_ago))
    assert place.bring(LETTERS) == 5
    assert place.contents() == LETTERS


def test_a_sync_that_fails_is_final(place: Place) -> None:
    """What it covered is written anew."""
    with pytest.MonkeyPatch.context() as patch:
        real = durable.sync_paths

        def sync_paths(paths: Any) -> None:
            paths = list(paths)
            if any(path.name.startswith("import.") for path in paths):
                raise OSError(5, "Input/output error")
            real(paths)

        patch.setattr(durable, "sync_paths", sync_paths)
        with pytest.raises(OSError, match="Input/output"):
            place.bring(LETTERS)
    assert list((place.folder / "tmp").glob("import.*")) == []
    assert place.contents() == {}
    assert place.bring(LETTERS) == 5


@pytest.mark.parametrize(
    "torn", [b'["letter", "id3", "id', b'["letter"]', b"\xff\xfe", b'{"a": 1}', b"[]", b"null", b'["x"]\n']
)
def test_a_torn_line_of_the_record(place: Place, torn: bytes) -> None:
    first = dict(list(LETTERS.items())[:2])
    place.bring(first)
    with place.path.open("ab") as record:
        record.write(torn)
    assert place.bring(LETTERS) == 3
    assert place.bring(LETTERS) == 0
    assert place.contents() == LETTERS


def test_one_import_at_a_time(place: Place) -> None:
    with place.open(), pytest.raises(InUse), place.open():
        pass
    place.bring(LETTERS)


def test_names_have_room_for_flags(place: Place) -> None:
    """A long name of ours and a long unique-id: other programs must be able to add all their flags."""
    record = Record(place.path, "here")
    box = Box(place.folder, record, durable.sync_paths, "h" * 255, room=0)
    known = Known("here", record.pasts, box.open())
    uid = "%" * 30 + "x" * 40
    draft = box.draft(lf_is_odd=True)
    draft.finish()
    box.add(draft, Arrival("id", known.keep(Offer("id", uid, None)), None, 1700000000))
    box.flush()
    record.close()
    (base,) = bases(place.folder)
    assert len(base) <= 255 - len(":2,") - 36
    assert names.unique_ids([base]) == [uid]


def test_letters_of_others_in_tmp_stay(place: Place) -> None:
    for part in ("tmp", "new", "cur"):
        durable.make_folders(place.folder / part)
    (place.folder / "tmp/1700000000.Q1.host").touch()
    place.bring(LETTERS)
    assert [path.name for path in (place.folder / "tmp").iterdir()] == ["1700000000.Q1.host"]
