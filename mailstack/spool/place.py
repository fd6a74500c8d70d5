"""What the file system of the spool has to give, and whether it is there at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FOLDERS = ("mail", "spool", "state", "tls")


def room(folder: Path) -> tuple[int, int | None, bool]:
    """Of its file system: octets that we may still write, inodes that we may still take (None: it does not count them),
    and whether it is read-only. OSError."""
    state = os.statvfs(folder)
    inodes = state.f_favail if state.f_files else None
    return state.f_bavail * state.f_frsize, inodes, bool(state.f_flag & os.ST_RDONLY)


def must_be_mounted(data: Path) -> None:
    """OSError: nothing may be begun in ``data`` before its file system is there."""
    with suppress(FileNotFoundError):  # no fstab: then nothing can be said
        fstab = Path("/etc/fstab").read_text("utf-8", "replace")
        point = not_mounted(data, fstab, Path("/proc/self/mounts").read_text("utf-8", "replace"))
        if point is not None:
            raise OSError(f"{point} is in /etc/fstab, but not mounted: what is written below it would be hidden later")


def not_mounted(data: Path, fstab: str, mounts: str) -> str | None:
    """The mount point at or above ``data``, or in one of its folders, that is in fstab(5), and not mounted; both are
    given as text. What would be written there is hidden as soon as it is mounted."""
    mounted = {fields[1] for fields in map(str.split, mounts.splitlines()) if len(fields) > 1}
    for line in fstab.splitlines():
        fields = line.split("#", 1)[0].split()
        if len(fields) < 3 or fields[2] in ("swap", "none") or not fields[1].startswith("/"):
            continue
        point = fields[1].rstrip("/") or "/"
        path = Path(point.replace("\\040", " "))
        ours = data.is_relative_to(path) or any(path.is_relative_to(data / name) for name in FOLDERS)
        if point != "/" and ours and point not in mounted:
            return point
    return None
