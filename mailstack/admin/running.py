"""The server that runs on a data folder, as the system knows it. Its lock is not touched without need: a server that is
just starting must find it free."""

from __future__ import annotations

import os
from pathlib import Path

from mailstack.spool.mending import is_running

LOCKS = Path("/proc/locks")


def holder(data: Path) -> int | None:
    """The process that has the lock of the spool; None: nobody, or it cannot be told."""
    try:
        inode = (data / "spool" / "lock").stat().st_ino
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        # 12: FLOCK ADVISORY WRITE 4711 fe:00:1234 0 EOF; the device is another one on some file systems.
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
            return int(fields[4])
    return None


def runs(data: Path) -> bool:
    """Whether a server works on it, also where the system tells of no locks. OSError: nobody can tell."""
    return holder(data) is not None or is_running(data / "spool")


def started_with(config: Path) -> int | None:
    """A server that was started with this configuration, by its command line: where its folder is not where it was."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            folder = (process / "cwd").readlink()
        except OSError:
            continue  # it has ended, or is somebody else's
        options = [os.fsdecode(word).removeprefix("--config=") for word in words]
        ours = "mailstack" in options and any("twistd" in each for each in options[:2])
        if ours and any((folder / each).resolve() == config for each in options if each):
            return int(process.name)
    return None


def open_files(pid: int) -> tuple[int, int]:
    """How many a process has open, and how many it may have. OSError: it is gone, or somebody else's."""
    process = Path(f"/proc/{pid}")
    used = len(list((process / "fd").iterdir()))
    for line in (process / "limits").read_text().splitlines():
        if line.startswith("Max open files"):
            return used, int(line.split()[3])
    return used, used + 1
