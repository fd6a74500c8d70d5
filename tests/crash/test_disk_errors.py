"""A few of the faults of :mod:`.disk_errors`; and what only a restart shows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.disk_errors import play, send
from tests.crash.faults import SmallDisk
from tests.crash.letters import found
from tests.crash.system_calls import sections
from tests.live.office import Office
from tests.live.programs import need_root, program
from tests.live.sink import Sink, refuse
from tests.live.waiting import eventually

SECONDS = 1.5  # that a fault lasts
LETTERS = 30


@pytest.mark.parametrize("name", ["eio-10%", "full", "moved"])
def test_nothing_is_lost_and_it_recovers_by_itself(name: str, tmp_path: Path) -> None:
    need_root()
    program("strace")
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    try:
        tally = play(tmp_path, name, SECONDS, random.Random(seed))
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    assert tally.problems == []
    assert tally.refused and len(tally.acknowledged) > 10


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    need_root()
    try:
        made = SmallDisk(tmp_path)
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    yield made
    made.close()


def test_on_a_full_disk_nothing_is_sent_whose_mark_a_kill_would_take(tmp_path: Path, disk: SmallDisk) -> None:
    """Letters wait for a server that is away. It comes back when not one more block can be had; all go, and after a
    kill none goes again."""
    with Sink(refuse("RCPT", "450 4.3.2 not now")) as sink:
        place = {"server": {"data": str(disk.folder / "data")}, "limits": {"message_size": "64KiB"}}
        office = Office(tmp_path, sections(sink.port) | place)
        office.data = disk.folder / "data"
        office.add_users("alice", "sender")
        office.start()
        try:
            names = [f"relay{number}" for number in range(LETTERS)]
            assert all(send(office, name, f"x{name}@far.test").startswith("250") for name in names)
            office.wait_for_log("status=deferred")
            disk.fill()
            office.wait_for_log("disk: ALARM")
            sink.answer = lambda line: None
            assert eventually(lambda: len(sink.letters) == LETTERS), office.log()[-3000:]
            assert eventually(lambda: not office.queue()), office.queue()
            office.kill()
            office.start()
            assert send(office, "local1", "alice@office.test").startswith("452 4.3.1 ")
            disk.empty()
            assert eventually(lambda: send(office, "local2", "alice@office.test").startswith("250 "))
            office.wait_for_files("alice", 1)
            office.stop()
        finally:
            office.close()
        seen = found(each.content for each in sink.letters)
        assert (seen.lost(names), seen.twice, seen.damaged) == (set(), set(), [])
