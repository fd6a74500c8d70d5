"""The file with the last sessions: when it is written, and what stands in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mailstack.interfaces.sessions import Identity, IRecording, ISessions
from mailstack.model.transcript import Transcript
from mailstack.server import session_file
from mailstack.server.sessions import LONGEST_PAUSE, PAUSE, Sessions
from tests.fakes import ListLog

KEPT = 3


class Place:
    """A folder, and a server that starts there again and again."""

    def __init__(self, folder: Path) -> None:
        self.path = session_file.path_below(folder)
        self.clock = Clock()
        self.log = ListLog()
        self.writes = 0
        self.error: OSError | None = None
        self.slow: Deferred[None] | None = None
        self.start()

    def start(self, keep: int = KEPT) -> None:
        self.sessions = Sessions(keep, self.path, self._run, self.clock, lambda: 1e9, self.log)
        self.sessions.startService()

    def stop(self) -> None:
        self.sessions.stopService()

    async def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        self.writes += 1
        if self.slow is not None:
            await self.slow
        if self.error is not None:
            raise self.error
        return function(*args)

    def begin(self) -> IRecording:
        return self.sessions.begin("smtp", 25, lambda: Identity("192.0.2.7"))

    def talk(self) -> None:
        recording = self.begin()
        recording.add(b"NOOP")
        recording.end()

    def read(self) -> list[Transcript]:
        return session_file.read(self.path)

    @property
    def ids(self) -> list[int]:
        return [each.id for each in self.read()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_it_provides_what_it_says(place: Place) -> None:
    assert verifyObject(ISessions, place.sessions)


def test_a_session_is_there_within_a_second(place: Place) -> None:
    place.talk()
    assert place.read() == []
    place.clock.advance(PAUSE)
    (transcript,) = place.read()
    assert (transcript.client, transcript.ended, transcript.commands) == ("192.0.2.7", "lost", 1)
    assert place.path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in place.path.parent.iterdir()] == [place.path.name]


def test_many_sessions_are_one_writing(place: Place) -> None:
    """Of those that ended, the last ones are kept."""
    for _ in range(10):
        place.talk()
    place.clock.advance(PAUSE)
    assert place.writes == 1
    assert place.ids == [8, 9, 10]


def test_nothing_is_done_when_nothing_happens(place: Place) -> None:
    place.talk()
    place.clock.pump([PAUSE] * 10)
    assert place.writes == 1
    assert not place.clock.getDelayedCalls()


def test_open_sessions(place: Place) -> None:
    """They stand in the file as open, and are written again only when something was said."""
    recording = place.begin()
    place.clock.pump([PAUSE] * 5)
    assert [each.ended for each in place.read()] == [""]
    assert place.writes == 1
    recording.add(b"NOOP")
    place.clock.advance(PAUSE)
    assert place.writes == 2
    assert place.read()[0].commands == 1
    recording.end()
    place.clock.advance(PAUSE)
    assert [each.ended for each in place.read()] == ["lost"]
    assert not place.clock.getDelayedCalls()


def test_many_open_sessions(place: Place) -> None:
    """The youngest, beside those that have ended."""
    for _ in range(10):
        place.talk()
    for _ in range(10):
        place.begin()
    place.clock.advance(PAUSE)
    assert place.ids == [8, 9, 10, 18, 19, 20]


def test_stop_writes_what_is_left(place: Place) -> None:
    place.talk()
    place.stop()
    assert place.ids == [1]
    assert not place.clock.getDelayedCalls()


def test_stop_waits_for_what_is_being_written(place: Place) -> None:
    place.slow = Deferred()
    place.talk()
    place.clock.advance(PAUSE)
    place.talk()
    stopped: list[object] = []
    place.sessions.stopService().addCallback(stopped.append)
    assert (stopped, place.writes) == ([], 1)
    place.slow.callback(None)
    place.slow = None
    assert len(stopped) == 1
    assert place.ids == [1, 2]
    assert not place.clock.getDelayedCalls()


def test_one_writing_at_a_time(place: Place) -> None:
    """The next one waits longer, the longer this one has taken."""
    place.slow = Deferred()
    place.talk()
    place.clock.advance(PAUSE)
    place.talk()
    place.clock.advance(LONGEST_PAUSE)
    assert place.writes == 1
    place.slow.callback(None)
    place.slow = None
    place.clock.advance(LONGEST_PAUSE - 1)
    assert place.writes == 1
    place.clock.advance(1)
    assert place.writes == 2
    assert place.ids == [1, 2]


def test_what_goes_on_while_it_is_written(place: Place) -> None:
    """The thread has a copy: what is said meanwhile comes with the next writing."""
    recording = place.begin()
    recording.add(b"NOOP")
    place.slow = Deferred()
    place.clock.advance(PAUSE)
    recording.add(b"RSET")
    recording.end()
    place.slow.callback(None)
    place.slow = None
    assert [(each.commands, each.ended) for each in place.read()] == [(1, "")]
    place.clock.advance(LONGEST_PAUSE)
    assert [(each.commands, each.ended) for each in place.read()] == [(2, "lost")]


def test_restart(place: Place) -> None:
    """What is there stays as the oldest, what was open has ended, and ids go on."""
    place.talk()
    place.begin()
    place.clock.advance(PAUSE)
    place.start()
    place.talk()
    place.clock.advance(PAUSE)
    assert [(each.id, each.ended) for each in place.read()] == [(1, "lost"), (2, "lost"), (3, "lost")]
    place.talk()
    place.clock.advance(PAUSE)
    assert place.ids == [2, 3, 4]


def test_restart_with_a_file_that_is_broken(place: Place) -> None:
    place.talk()
    place.clock.advance(PAUSE)
    with place.path.open("ab") as file:
        file.write(b'{"id": 17, "li')
    place.start()
    place.talk()
    place.clock.advance(PAUSE)
    assert place.ids == [1, 2]


def test_restart_where_nothing_can_be_read(tmp_path: Path) -> None:
    """The server takes mail all the same."""
    (tmp_path / "state").write_bytes(b"a file where a folder should be")
    place = Place(tmp_path)
    assert len(place.log.warnings) == 1
    place.talk()
    place.clock.advance(PAUSE)


def test_none_are_kept(place: Place) -> None:
    """And what was kept before is removed."""
    place.talk()
    place.stop()
    place.start(keep=0)
    place.talk()
    place.stop()
    assert not place.path.exists()
    assert not place.clock.getDelayedCalls()


def test_a_disk_that_refuses(place: Place) -> None:
    """It is told once, and nothing is lost when the disk works again."""
    place.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for _ in range(3):
        place.talk()
        place.clock.advance(PAUSE)
    assert [id for id, _ in place.log.warnings] == ["sessions"]
    place.error = None
    place.talk()
    place.clock.advance(PAUSE)
    assert place.ids == [2, 3, 4]
