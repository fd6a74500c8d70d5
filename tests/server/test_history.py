"""The history of letters: what is kept of the log, where, for how long, and what goes wrong without harm."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mailstack.config.settings import DAY, Log
from mailstack.interfaces.log import IEventLog
from mailstack.server import history, history_file
from mailstack.server.history import LOOK, PAUSE, SOON, History, RememberingLog
from mailstack.server.history_file import append, day_of, decode, encode, prune
from tests.fakes import ListLog

NOON = 1_795_694_400.0  # 2026-11-26T12:00:00Z
ID = "K0YEACMR8AN7"


class Place:
    """A server that has started in a folder."""

    def __init__(self, folder: Path, settings: Log | None = None) -> None:
        self.folder = history_file.folder_below(folder)
        self.clock = Clock()
        self.time = NOON
        self.below = ListLog()
        self.settings = settings or Log()
        self.history = History(self.settings, folder, self._run, self.clock, lambda: self.time, self.below)
        self.log = RememberingLog(self.below, self.history)

    async def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    def start(self) -> Place:
        self.history.startService()
        return self

    def pass_(self, seconds: float) -> None:
        self.time += seconds
        self.clock.advance(seconds)

    def text(self, day: str = "2026-11-26") -> str:
        path = self.folder / f"{day}.jsonl"
        return path.read_text("utf-8") if path.exists() else ""

    def ids(self, day: str = "2026-11-26") -> list[str]:
        return [json.loads(line)["id"] for line in self.text(day).splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path).start()


def test_is_a_log(place: Place) -> None:
    assert verifyObject(IEventLog, place.log)


def test_one_line(place: Place) -> None:
    """As in the JSON log: what is None is left out, trailing underscores are cut."""
    place.log.event(ID, what="x", from_="<a@b.test>", no=None, size=3)
    place.clock.advance(0)
    assert place.text() == (
        f'{{"time":"2026-11-26T12:00:00.000Z","id":"{ID}","what":"x","from":"<a@b.test>","size":"3"}}\n'
    )
    assert (place.folder / "2026-11-26.jsonl").stat().st_mode & 0o777 == 0o600
    assert place.folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_was_removed_is_made_again(place: Place) -> None:
    place.log.event(ID, what="x")
    place.clock.advance(0)
    shutil.rmtree(place.folder)
    place.log.event(ID, what="y")
    place.clock.advance(1)
    assert [json.loads(line)["what"] for line in place.text().splitlines()] == ["y"]
    assert place.folder.stat().st_mode & 0o777 == 0o700 and not place.below.warnings


def test_nothing_is_made_in_the_place_of_a_data_folder_that_was_moved(place: Place) -> None:
    place.folder.parent.rename(place.folder.parent.with_name("away"))
    place.log.event(ID, what="x")
    place.clock.advance(1)
    assert not place.folder.parent.exists() and place.below.warnings


def test_what_several_share_stands_behind_what_is_their_own(place: Place) -> None:
    place.log.each(ID, [{"to": "<a>"}, {"to": "<b>", "orig_to": "<c>"}], dsn="2.0.0", no=None)
    place.log.event(ID, what="x")
    place.clock.advance(0)
    assert place.below.events[0] == (ID, {"to": "<a>", "dsn": "2.0.0", "no": None})
    assert [list(json.loads(line).values())[2:] for line in place.text().splitlines()] == [
        ["<a>", "2.0.0"],
        ["<b>", "<c>", "2.0.0"],
        ["x"],
    ]


def test_the_log_is_told_all_the_same(place: Place) -> None:
    place.log.event(ID, a=1)
    place.log.warn("pop3", b=2)
    place.log.detail("pop3", c=3)
    place.log.failure(ID, "oops")
    assert place.below.events == [(ID, {"a": 1})]
    assert place.below.warnings == [("pop3", {"b": 2})]
    assert place.below.details == [("pop3", {"c": 3})]
    assert place.below.failures == [f"{ID}: oops"]
    place.clock.advance(0)
    assert place.ids() == [ID, ID, "pop3", "pop3"]


@pytest.mark.parametrize(
    ("id", "what", "kept"),
    [
        (ID, "forwarded", True),
        (ID, "removed", False),
        ("012345678901", None, True),
        ("NOQUEUE", "reject: RCPT from unknown[192.0.2.1]: 550 5.1.1 No;", True),
        ("NOQUEUE", "unknown[192.0.2.1]: SASL PLAIN authentication succeeded,", False),
        ("pop3", "Fetched:", True),
        ("pop3-login", "Login:", False),
        ("mailstack", "stopped", False),
    ],
)
def test_what_is_kept(place: Place, id: str, what: str | None, kept: bool) -> None:
    place.log.event(id, what=what)
    place.clock.advance(0)
    assert place.ids() == [id] * kept


def test_one_write_for_what_comes_together(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one at once, what follows within a tenth of a second with the next one."""
    writes = []
    monkeypatch.setattr(history_file, "append", lambda path, octets: writes.append(octets.count(b"\n")))
    for _ in range(3):
        place.log.event(ID)
    place.clock.advance(0)
    assert writes == [3]
    place.log.event(ID)
    place.clock.advance(PAUSE / 2)
    place.log.event(ID)
    assert writes == [3]
    place.clock.advance(PAUSE / 2)
    assert writes == [3, 2]


def test_nothing_is_written_before_the_start(tmp_path: Path) -> None:
    """We may still be root; but it is not lost."""
    place = Place(tmp_path)
    place.log.event(ID)
    place.clock.advance(1)
    assert not place.folder.exists()
    place.start()
    place.clock.advance(0)
    assert place.ids() == [ID]


def test_a_stop_loses_nothing(place: Place) -> None:
    """What others say who stop after us is written at once, and no call is left behind."""
    place.log.event(ID)
    place.history.stopService()
    place.log.event(ID)
    assert place.ids() == [ID, ID]
    assert not place.clock.getDelayedCalls()


def test_a_day_ends_at_midnight_utc(place: Place) -> None:
    place.log.event(ID)
    place.clock.advance(0)
    place.pass_(DAY / 2)
    place.log.event(ID)
    place.clock.advance(PAUSE)
    assert place.ids() == place.ids("2026-11-27") == [ID]


def test_a_clock_that_is_set_back(place: Place) -> None:
    """Nothing is overwritten."""
    for seconds in (0.0, 10 * DAY, -10 * DAY):
        place.time += seconds
        place.log.event(ID)
        place.clock.advance(PAUSE)
    assert place.ids() == [ID, ID]
    assert place.ids("2026-12-06") == [ID]


def test_torn_line(place: Place) -> None:
    """What a crash has left stays a line by itself."""
    path = place.folder / "2026-11-26.jsonl"
    path.write_text('{"time":"2026-11-26T11:')
    place.log.event(ID)
    place.clock.advance(0)
    first, second = path.read_bytes().splitlines()
    assert decode(first) is None
    found = decode(second)
    assert found is not None and found.id == ID


def test_a_file_that_somebody_removes(place: Place) -> None:
    place.log.event(ID)
    place.clock.advance(PAUSE)
    (place.folder / "2026-11-26.jsonl").unlink()
    place.log.event(ID)
    place.clock.advance(PAUSE)
    assert place.ids() == [ID]


def test_full_disk(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """One warning, and it goes on when there is room again."""

    def full(path: Path, octets: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(history_file, "append", full)
        for _ in range(3):
            place.log.event(ID)
            place.clock.advance(PAUSE)
    place.log.event("LATER0000000")
    place.clock.advance(PAUSE)
    assert place.ids() == ["LATER0000000"]
    assert [what for _, what in place.below.warnings] == [
        {"what": f"not kept in {place.folder}: No space left on device"}
    ]


def test_share_of_a_day(tmp_path: Path) -> None:
    """From a quarter on strangers can add nothing by being refused, and nobody by fetching again and again; from a half
    on it is full."""
    place = Place(tmp_path, evolve(Log(), keep_size=4000)).start()
    path = place.folder / "2026-11-26.jsonl"
    for size, kept in ((999, ["NOQUEUE", "pop3", ID]), (1000, [ID]), (1999, [ID]), (2000, [])):
        path.write_bytes(b"\n" * size)
        place.log.event("NOQUEUE", what="reject: x")
        place.log.event("pop3", what="Disconnected: Logged out")
        place.log.event(ID)
        place.clock.advance(PAUSE)
        found = [event.id for line in path.read_bytes().splitlines() if (event := decode(line))]
        assert sorted(found) == sorted(kept)
    assert "keep_size" in str(place.below.warnings)


def test_too_much_before_a_write(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_WAITING", 2)
    for _ in range(5):
        place.log.event(ID)
    place.clock.advance(0)
    assert len(place.ids()) == 2


def test_no_history(tmp_path: Path) -> None:
    """[log] keep = 0s also removes what there is."""
    place = Place(tmp_path, evolve(Log(), keep=0.0))
    place.folder.mkdir(parents=True)
    (place.folder / "2026-11-20.jsonl").touch()
    (place.folder / "notes.txt").touch()
    place.start()
    place.log.event(ID)
    place.clock.advance(1)
    assert [path.name for path in place.folder.iterdir()] == ["notes.txt"]


def test_old_days_go_after_an_hour(tmp_path: Path) -> None:
    """A clock that is wrong at the start removes nothing."""
    place = Place(tmp_path)
    place.folder.mkdir(parents=True)
    for day in ("2026-10-26", "2026-10-27", "2027-01-01"):
        (place.folder / f"{day}.jsonl").touch()
    place.start()
    place.pass_(LOOK - 1)
    assert len(list(place.folder.iterdir())) == 3
    place.pass_(1)
    assert sorted(path.stem for path in place.folder.iterdir()) == ["2026-10-27", "2027-01-01"]
    place.history.stopService()
    assert not place.clock.getDelayedCalls()


def test_old_days_go_soon_where_the_clock_is_believed(tmp_path: Path) -> None:
    """A server that is started again every half an hour keeps no more than others."""
    place = Place(tmp_path)
    place.folder.mkdir(parents=True)
    for day in ("2026-10-26", "2026-11-20"):
        (place.folder / f"{day}.jsonl").touch()
    place.start()
    place.pass_(SOON)
    assert [path.stem for path in place.folder.iterdir()] == ["2026-11-20"]
    (place.folder / "2026-10-26.jsonl").touch()
    place.pass_(LOOK)
    assert [path.stem for path in place.folder.iterdir()] == ["2026-11-20"]


def test_oldest_days_go_first(tmp_path: Path) -> None:
    """Never today's, however much it is."""
    for number in range(20, 27):
        (tmp_path / f"2026-11-{number}.jsonl").write_bytes(b"x" * 100)
    removed = prune(tmp_path, date(2026, 11, 26), timedelta(days=30), 350)
    assert [each.date.day for each in removed] == [20, 21, 22, 23]
    prune(tmp_path, date(2026, 11, 26), timedelta(days=30), 0)
    assert [path.stem for path in tmp_path.iterdir()] == ["2026-11-26"]


def test_parts_of_a_day_count_as_a_day(tmp_path: Path) -> None:
    """What happened in the last moment of a day is kept for as long as was asked for."""
    for number in (23, 24, 25):
        (tmp_path / f"2026-11-{number}.jsonl").touch()
    prune(tmp_path, date(2026, 11, 26), timedelta(hours=36), 10**9)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["2026-11-24", "2026-11-25"]


NASTY = 'a"\\\r\n{}\x00\x1b[31m\x85\u2028\udcff中'


def test_whatever_a_client_says_is_one_line() -> None:
    text = encode([(NOON + 0.25, ID, [{"helo": NASTY, "to": "<x>"}], {})])
    line = text.encode("utf-8", "backslashreplace").removesuffix(b"\n")
    assert b"\n" not in line
    found = decode(line)
    assert found is not None
    assert found.time == NOON + 0.25
    assert found.field("to") == "<x>"
    assert found.field("helo").replace("\\udcff", "\udcff") == NASTY


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff",
        b"[]",
        b"1",
        b'{"time":"2026-11-26T12:00:00.000Z"}',
        b'{"time":1,"id":"x"}',
        b'{"time":"yesterday","id":"x"}',
        b'{"time":"2026-11-26T12:00:00.000Z","id":"K0YEA',
        b"[" * 100_000,
    ],
)
def test_lines_that_are_none_of_ours(line: bytes) -> None:
    assert decode(line) is None


def test_append_tells_the_size(tmp_path: Path) -> None:
    assert append(tmp_path / "x", b"one\n") == 4
    assert append(tmp_path / "x", b"torn") == 8
    assert append(tmp_path / "x", b"two\n") == 13
    assert (tmp_path / "x").read_bytes() == b"one\ntorn\ntwo\n"


def test_day_of() -> None:
    assert day_of(NOON) == date(2026, 11, 26)
