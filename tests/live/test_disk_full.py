"""The disk is full: 452, and nothing is lost or left."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.letters import letter
from tests.live.office import Office
from tests.live.programs import need_root
from tests.live.wire import Wire


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


@pytest.mark.parametrize("attached", [3_500_000, 600_000])
def test_disk_full(small_disk: Path, tmp_path: Path, attached: int) -> None:
    """Whether it shows while a large letter arrives or when a small one is written: the client keeps it."""
    office = Office(tmp_path, {"server": {"data": str(small_disk / "data")}})
    office.data = small_disk / "data"
    try:
        office.add_users("alice")
        office.start()
        codes = []
        with Wire(office.port.smtp) as wire:
            while "452" not in codes and len(codes) < 10:
                wire.envelope("friend@far.test", "alice@office.test")
                wire.send(letter("full", attached).replace(b"\r\n.", b"\r\n..") + b".\r\n")
                reply = wire.reply()
                codes.append(reply[:3])
            assert reply.startswith("452 4.3.1 ")
            office.wait_for_files("alice", codes.count("250"))
            office.wait_for_empty_queue()
            wire.envelope("friend@far.test", "alice@office.test")
            assert wire.ask(b"Subject: small\r\n\r\n.").startswith("250 ")
        assert len(office.wait_for_files("alice", codes.count("250") + 1)) == codes.count("250") + 1
    finally:
        office.close()
