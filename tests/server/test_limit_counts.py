"""The counts of the limits: in the file a second later, over restarts, and never in anybody's way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attrs import define, field
from twisted.internet.task import Clock

from mailstack.server.limit_counts import LimitCounts
from mailstack.server.strikes import STATE_FILE, Strike, read
from tests.fakes import ListLog


@define
class Running:
    data: Path
    clock: Clock = field(factory=Clock)
    log: ListLog = field(factory=ListLog)

    def counts(self) -> LimitCounts:
        made = LimitCounts(self.data, self.clock, lambda: 1000 + self.clock.seconds(), self.log)
        made.startService()
        return made


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


def test_written_once_a_second_at_most(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = running.counts()
    for _ in range(3):
        counts.struck("errors", "192.0.2.7")
    counts.struck("connections", "")
    found = read(running.data)
    assert found is not None
    assert found.limits == {}
    running.clock.advance(1)
    found = read(running.data)
    assert found is not None
    assert found.since == 1000
    assert found.limits == {"errors": Strike(3, 1000, "192.0.2.7"), "connections": Strike(1, 1000, "")}
    assert not running.clock.getDelayedCalls(), "nothing has changed, so nothing is to be written"


def test_counts_go_on_after_a_restart(running: Running) -> None:
    counts = running.counts()
    counts.struck("errors", "192.0.2.7")
    counts.stopService()
    running.clock.advance(60)
    again = running.counts()
    again.struck("errors", "192.0.2.8")
    again.stopService()
    found = read(running.data)
    assert found is not None
    assert found.since == 1000
    assert found.limits == {"errors": Strike(2, 1060, "192.0.2.8")}
    assert not running.clock.getDelayedCalls()


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"since": 1}', b'{"since": 1, "limits": {"errors": 5}}'])
def test_file_that_makes_no_sense_is_begun_anew(running: Running, content: bytes) -> None:
    path = running.data / STATE_FILE
    path.parent.mkdir()
    path.write_bytes(content)
    assert read(running.data) is None
    running.counts()
    assert json.loads(path.read_bytes()) == {"since": 1000, "limits": {}}


def test_disk_that_refuses_is_told_once(running: Running) -> None:
    (running.data / "state").touch()
    counts = running.counts()
    for _ in range(3):
        counts.struck("errors", "192.0.2.7")
        running.clock.advance(1)
    assert len(running.log.warnings) == 1
    (running.data / "state").unlink()
    (running.data / "state").mkdir()
    counts.struck("errors", "192.0.2.7")
    running.clock.advance(1)
    found = read(running.data)
    assert found is not None
    assert found.limits["errors"].times == 4


def test_nothing_was_counted(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    assert not list(tmp_path.iterdir())
