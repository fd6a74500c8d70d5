"""Alarms: one line when one begins, one when it is over, few in between."""

from __future__ import annotations

import tomllib
from pathlib import Path
from string import Formatter

import pytest
from attrs import define, field
from twisted.internet.task import Clock

from mailstack.message.explain import LANGUAGES
from mailstack.model.condition import CONDITIONS, FULL
from mailstack.server.alarms import CALM, LONGEST_CALM, MEANING, REMIND, SELDOM, Alarms, english, path_below, read
from tests.fakes import ListLog


@define
class Running:
    data: Path
    clock: Clock = field(factory=Clock)
    log: ListLog = field(factory=ListLog)

    def begin(self) -> Alarms:
        alarms = Alarms(self.data, english(), self.clock, lambda: 1000 + self.clock.seconds(), self.log)
        alarms.startService()
        return alarms

    def turn(self, seconds: float) -> None:
        self.clock.pump([1.0] * round(seconds))

    @property
    def warnings(self) -> list[str]:
        return [f"{fields['what']} {fields['note']}" for _, fields in self.log.warnings]

    @property
    def events(self) -> list[str]:
        return [str(fields["what"]) for _, fields in self.log.events]


@pytest.fixture
def running(tmp_path: Path) -> Running:
    (tmp_path / "state").mkdir()
    return Running(tmp_path)


def test_one_line_when_it_begins_and_one_when_it_is_over(running: Running) -> None:
    alarms = running.begin()
    for _ in range(100):
        alarms.seen(FULL, "[Errno 28] No space left on device")
        running.turn(1)
    (line,) = running.warnings
    assert line.startswith("ALARM full: the disk is full")
    assert "No space left" in line
    assert str(running.data) in line.partition("What to do:")[2]
    alarms.over(FULL)
    running.turn(CALM)
    assert running.events == ["over full: it has lasted 99 s, and was seen 100 times"]
    assert len(running.warnings) == 1


def test_what_comes_back_in_time_was_never_over(running: Running) -> None:
    alarms = running.begin()
    for _ in range(10):
        alarms.seen(FULL, "x")
        alarms.over(FULL)
        running.turn(CALM - 2)
    assert (len(running.warnings), running.events) == (1, [])


def test_what_comes_and_goes_writes_fewer_and_fewer_lines(running: Running) -> None:
    alarms = running.begin()
    for _ in range(400):
        alarms.seen(FULL, "x")
        alarms.over(FULL)
        running.turn(30)
    lines = len(running.warnings) + len(running.events)
    assert lines < 20, "for 400 times in 3 hours"
    running.turn(LONGEST_CALM)
    assert running.events[-1].startswith("over full")


def test_reminders_are_seldom(running: Running) -> None:
    alarms = running.begin()
    alarms.seen(FULL, "x")
    running.turn(REMIND + 1)
    assert len(running.warnings) == 2
    assert running.warnings[1].startswith("still full, for 10 min")
    assert "make room" in running.warnings[1]
    running.turn(86_400)
    assert len(running.warnings) <= 2 + 86_400 / SELDOM + 6


def test_nobody_is_told_that_nothing_is_over(running: Running) -> None:
    alarms = running.begin()
    alarms.over(FULL)
    running.turn(60)
    assert running.events == []


def test_the_doctor_finds_those_that_last(running: Running) -> None:
    alarms = running.begin()
    assert read(running.data) == {}
    alarms.seen(FULL, "no space")
    running.turn(1)
    assert read(running.data) == {FULL: {"since": 1000.0, "detail": "no space"}}
    alarms.over(FULL)
    running.turn(CALM + 1)
    assert read(running.data) == {}


def test_written_when_the_disk_lets_us(running: Running) -> None:
    (running.data / "state").rmdir()
    alarms = running.begin()
    alarms.seen(FULL, "no space")
    running.turn(3)
    assert not (running.data / "state").exists(), "where a folder is gone, none is made"
    (running.data / "state").mkdir()
    running.turn(1)
    assert FULL in read(running.data)


@pytest.mark.parametrize("octets", [b"", b"[]", b"{", b'{"full": 1}', b'{"full": {"since": "x"}}', b"\xff"])
def test_a_file_that_makes_no_sense_has_no_alarms(running: Running, octets: bytes) -> None:
    path_below(running.data).write_bytes(octets)
    assert read(running.data) == {}


def test_no_timer_is_left_when_all_is_well(running: Running) -> None:
    alarms = running.begin()
    running.turn(2)
    assert running.clock.getDelayedCalls() == []
    alarms.seen(FULL, "x")
    alarms.stopService()
    assert running.clock.getDelayedCalls() == []


def test_each_condition_has_its_words_in_each_language() -> None:
    table = tomllib.loads(MEANING.read_text("utf-8"))
    for name in CONDITIONS:
        assert table["means"][name] and table["act"][name]
    for kind in table.values():
        for name, words in kind.items():
            assert set(words) == set(LANGUAGES), name
            facts = [{part[1] for part in Formatter().parse(words[each])} - {None} for each in LANGUAGES]
            assert facts[0] == facts[1], name
