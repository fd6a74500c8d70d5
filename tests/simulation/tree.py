"""The files of a server: their names and nodes, and copies of them in another folder."""

from __future__ import annotations

import os
from pathlib import Path

DATABASE, WAL = "spool/queue.db", "spool/queue.db-wal"
MUTABLE = (DATABASE, WAL)
#: Never synced: a kill leaves them as they are, a power loss as it likes.
LOCK, INDEX = "spool/lock", "spool/queue.db-shm"
PASSING = (INDEX, LOCK)


def tree(root: Path) -> dict[str, dict[str, int]]:
    """By folder, names and nodes."""
    found: dict[str, dict[str, int]] = {}
    stack = [""]
    while stack:
        folder = stack.pop()
        names = found[folder] = {}
        with os.scandir(root / folder) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}".lstrip("/")
                if entry.is_dir(follow_symlinks=False):
                    stack.append(path)
                elif path not in PASSING:
                    names[entry.name] = entry.inode()
    return found


def names_in(root: Path, folder: str) -> dict[str, int]:
    with os.scandir(root / folder) as entries:
        return {
            entry.name: entry.inode()
            for entry in entries
            if not entry.is_dir(follow_symlinks=False) and f"{folder}/{entry.name}" not in PASSING
        }


def copied(
    old_root: Path, new_root: Path, folders: dict[str, dict[str, int]], contents: dict[int, bytes | None]
) -> dict[int, int]:
    """None: a file as it is. Returns the new numbers of nodes that are others now."""
    where: dict[int, str] = {}
    moved: dict[int, int] = {}
    before = _paths(old_root)
    for folder in sorted(folders):
        (new_root / folder).mkdir(parents=True, exist_ok=True)
        for name, node in folders[folder].items():
            target = f"{new_root}/{folder}/{name}"
            content = contents[node]
            if node in where:
                os.link(where[node], target)
            elif content is None:
                os.link(before[node], target)
            else:
                with open(target, "xb") as file:  # noqa: PTH123 - one of thousands
                    file.write(content)
                moved[node] = Path(target).stat().st_ino
            where.setdefault(node, target)
    return moved


def _paths(root: Path) -> dict[int, str]:
    found = {}
    for folder, _, files in os.walk(root):
        for name in files:
            path = f"{folder}/{name}"
            found[Path(path).stat().st_ino] = path
    return found
