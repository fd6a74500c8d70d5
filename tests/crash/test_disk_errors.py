"""A few of the faults of :mod:`.disk_errors`; and what only a restart shows."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.disk_errors import play, send
from tests.crash.faults import CannotMount, Injection, SmallDisk
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
    except CannotMount as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    assert tally.problems == []
    assert tally.refused and len(tally.acknowledged) > 10


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    need_root()
    try:
        made = SmallDisk(tmp_path)
    except CannotMount as error:
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
        try:
            office.start()
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
            disk.fill()  # once more: the start has let go of the log of the database
            time.sleep(1.5)  # the room is asked for once a second
            assert send(office, "local1", "alice@office.test").startswith("452 4.3.1 ")
            disk.empty()
            assert eventually(lambda: send(office, "local2", "alice@office.test").startswith("250 "))
            office.wait_for_files("alice", 1)
            office.stop()
        finally:
            office.close()
        seen = found(each.content for each in sink.letters)
        assert (seen.lost(names), seen.twice, seen.damaged) == (set(), set(), [])


def test_a_system_without_descriptors_costs_no_time(tmp_path: Path) -> None:
    """Somebody waits, and accept(2) fails: that is not asked again and again."""
    program("strace")
    office = Office(tmp_path)
    office.add_users("alice")
    try:
        office.start()
        injection = Injection(office, "accept4", "error=ENFILE")
        try:
            with socket.create_connection(("127.0.0.1", office.port.smtp)) as client:
                before = seconds_of(office)
                time.sleep(1.0)
                assert seconds_of(office) - before < 0.3
                injection.close()
                client.settimeout(20)
                assert client.recv(100).startswith(b"220 "), "it was kept waiting, and no more"
        finally:
            injection.close()
        office.stop()
    finally:
        office.close()


def seconds_of(office: Office) -> float:
    """That the process has used of a processor."""
    fields = Path(f"/proc/{office.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_all_descriptors_in_use(tmp_path: Path) -> None:
    """By clients who do nothing: the others hear it, our users' letters that are here go on, and the doctor knows."""
    office = Office(tmp_path, {"limits": {"connections_per_client": "1000", "connections": "1000"}})
    office.add_users("alice")
    office.descriptors = 128
    idle: list[socket.socket] = []
    try:
        office.start()
        refused = b""
        while not refused.startswith(b"421"):
            idle.append(socket.create_connection(("127.0.0.1", office.port.smtp), 20))
            refused = idle[-1].recv(200)
            assert len(idle) < 128
        office.wait_for_log("disk: ALARM files")
        with idle[0] as client:
            client.sendall(b"HELO x\r\nMAIL FROM:<a@far.test>\r\nRCPT TO:<alice@office.test>\r\nDATA\r\n")
            client.sendall(b"Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
            office.wait_for_files("alice", 1)
        while idle:
            idle.pop().close()
        office.wait_for_log("disk: over files")
        office.stop()
    finally:
        office.close()
