"""The disk is full: 452, and nothing is lost or left."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.live.letters import letter
from tests.live.office import Office
from tests.live.programs import need_root
from tests.live.wire import Wire

FRESH = 1.1  # seconds until the server looks at the disk again


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    need_root()
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def office(small_disk: Path, tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path, {"server": {"data": str(small_disk / "data")}, "limits": {"message_size": "1MiB"}})
    made.data = small_disk / "data"
    try:
        made.add_users("alice")
        yield made.start()
    finally:
        made.close()


def fill(disk: Path, room: int) -> Path:
    """Takes all the room of the disk but so many octets."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    os.truncate(ballast, max(0, ballast.stat().st_size - room))
    return ballast


@pytest.mark.parametrize(("attached", "room"), [(600_000, 200_000), (10_000, 0)])
def test_disk_full(small_disk: Path, office: Office, attached: int, room: int) -> None:
    """Whether it shows while a large letter arrives or when a small one is written: the client keeps it."""
    content = letter("full", attached).replace(b"\r\n.", b"\r\n..") + b".\r\n"
    with Wire(office.port.smtp) as wire:
        wire.ask(b"EHLO client.test")
        wire.ask(b"MAIL FROM:<friend@far.test>")
        assert wire.ask(b"RCPT TO:<alice@office.test>").startswith("250 ")
        ballast = fill(small_disk, room)
        reply = wire.ask(b"DATA")
        if reply.startswith("354 "):
            wire.send(content)
            reply = wire.reply()
        assert reply.startswith("452 4.3.1 ")
        assert office.files("alice") == []
        ballast.unlink()
        time.sleep(FRESH)
        wire.envelope("friend@far.test", "alice@office.test")
        wire.send(content)
        assert wire.reply().startswith("250 ")
        office.wait_for_files("alice", 1)
        office.wait_for_empty_queue()


def test_little_space(small_disk: Path, office: Office) -> None:
    """Less than one and a half of the largest letter: put off at MAIL, before it has come for nothing; and counted."""
    ballast = fill(small_disk, 1_000_000)
    time.sleep(FRESH)
    with Wire(office.port.smtp) as wire:
        wire.ask(b"EHLO client.test")
        assert wire.ask(b"MAIL FROM:<friend@far.test>").startswith("452 4.3.1 ")
        ballast.unlink()
        time.sleep(FRESH)
        assert wire.ask(b"MAIL FROM:<friend@far.test>").startswith("250 ")
    (found,) = [each for each in json.loads(office.cli("limits", "--json")) if each["name"] == "free_space"]
    assert (found["struck"], found["last_client"]) == (1, "127.0.0.1")
