"""A disk whose power can be cut: a file system on a loop device, and the shutdown ioctl of ext4 and xfs."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path
from types import TracebackType

from tests.live.programs import SEARCH

#: How each is made, without a word. xfs takes no less than 300 MB.
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
SIZE = 512 * 1024 * 1024  # octets, of which the image has those that are written

#: EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN, _IOR('X', 125, __u32): from now on nothing reaches the disk.
SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2  #: not even what the journal has in memory

UNMOUNTED = 10.0  # seconds until nobody uses it any more


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": SEARCH})
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout.strip()


def lacking(file_system: str) -> str:
    """What such a disk needs and this machine has not; "" if nothing."""
    if os.geteuid() != 0:
        return "only root can mount a disk"
    programs = [name for name in (MAKE[file_system][0], "losetup", "mount") if shutil.which(name, path=SEARCH) is None]
    return f"{programs[0]} is not installed" if programs else ""


class Disk:
    """``with Disk("ext4", folder) as disk: disk.mount`` is where it is mounted. OSError where that cannot be done."""

    def __init__(self, file_system: str, folder: Path) -> None:
        self._image = folder / "disk.img"
        self.path = folder / "disk"
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(SIZE)
        _run(*MAKE[file_system], self._image)
        self._device = ""
        self._mounted = False

    def __enter__(self) -> Disk:
        self._device = _run("losetup", "--find", "--show", self._image)
        try:
            self.mount()
        except OSError:
            _run("losetup", "--detach", self._device)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._mounted:
                self.unmount()
        finally:
            _run("losetup", "--detach", self._device)

    def mount(self) -> None:
        """The file system replays its journal."""
        _run("mount", self._device, self.path)
        self._mounted = True

    def unmount(self) -> None:
        end = time.monotonic() + UNMOUNTED
        while True:
            try:
                _run("umount", self.path)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self._mounted = False

    def sync(self) -> None:
        _run("sync", "--file-system", self.path)

    def cut(self) -> None:
        """What was not synced is lost. Until it is mounted again all calls end with EIO."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)
