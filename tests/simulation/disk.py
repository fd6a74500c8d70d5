"""A disk that keeps what was synced, and of everything else what chance wants.

The files are real ones. Beside them stands what a power loss could not take any more: which names the directories have,
and the content of each file. A file is a node, as in the file system: links to it share its content. POSIX promises no
order between what was not synced, so each name and each page comes or stays away by itself.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field

from mailstack import durable
from mailstack.spool import contents as spool_contents
from mailstack.spool import recovery, store
from tests.simulation.pages import PAGE, changed, with_page
from tests.simulation.tree import DATABASE, INDEX, MUTABLE, PASSING, WAL, copied, names_in, tree

ARRIVING = "spool/messages/"
WAL_HEADER = 32  # octets, sqlite.org/fileformat2.html §4.1

_written_anew: set[int] = set()  #: nodes, since somebody has looked


def _write_anew(path: Path) -> None:
    """A write that changes nothing, so that nobody could see it."""
    durable.write_anew(path)
    _written_anew.add(path.stat().st_ino)


def _write_over(path: Path, content: bytes, create: bool) -> None:
    """Likewise."""
    durable.write_over(path, content, create)
    _written_anew.add(path.stat().st_ino)


recovery.write_anew = store.write_anew = _write_anew
spool_contents.write_over = _write_over


class SimulatedLogSync:
    """Hears of all pages of the log that were given up, whoever has heard of them: once."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self._disk = disk
        self._path = path
        self._heard = disk.holes

    def __call__(self) -> None:
        try:
            self._disk.sync_log(self._path, self._heard)
        finally:
            self._heard = self._disk.holes

    def close(self) -> None:
        pass


@define
class Flight:
    """What a sync has seen when it began, on its way to the disk."""

    folders: dict[str, dict[str, int]] = field(factory=dict)  #: by path, names and nodes
    contents: dict[int, bytes] = field(factory=dict)
    number: int = 0  #: in the order of their beginnings
    failed: bool = False  #: of all that there is


class Disk:
    """Of one server, from start to start in another folder each time: whoever still has the old one does no harm."""

    def __init__(self, base: Path, rng: Random) -> None:
        self._base = base
        self._rng = rng
        self._life = 0
        self._folders: dict[str, dict[str, int]] = {}  #: durable names
        self._contents: dict[int, bytes] = {}  #: durable contents, by node
        self._refused: dict[int, dict[int, bytes]] = {}  #: pages that the kernel believes written, and that are not
        self._flights: list[Flight] = []
        self._begun = 0  #: flights, ever
        self._landed: dict[int, int] = {}  #: by node, the newest flight that has brought its content
        #: log and database, on their way to the disk: another sync takes nothing from them
        self._writing: dict[int, bytes] = {}
        self._checkpoint: tuple[bytes, bytes] | None = None  #: log and database before it
        self._index = b""  #: of the log, as the kernel has written it at some moment
        self.broken = 0.0  #: how likely a sync fails
        self.lies = False  #: syncs do nothing
        self.blind = False  #: syncs of directories do nothing
        self.failures = 0
        self.holes = 0  #: how often the log may have got one
        self.now: Callable[[], float] = lambda: 0.0
        self.log_failed: float | None = None  #: since when the log is not durable, though it was to be
        self.root = base / "0"
        self.root.mkdir(parents=True)

    # ---- What is there now

    def _now(self) -> dict[str, dict[str, int]]:
        return tree(self.root)

    def _read(self, path: str) -> bytes:
        with open(f"{self.root}/{path}", "rb") as file:  # noqa: PTH123 - one of thousands
            return file.read()

    # ---- Syncs, as mailstack.durable has them

    def open_sync(self, folder: Path, by_file: bool) -> Any:
        return self._sync if by_file else self._sync_all

    def open_log_sync(self, path: Path) -> Any:
        return SimulatedLogSync(self, path)

    def sync_log(self, path: Path, heard: int) -> None:
        try:
            if self.holes > heard:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            self._sync([path])
            self._writing.update(self._flights[-1].contents)
        except OSError:
            self.log_failed = self.now() if self.log_failed is None else self.log_failed
            raise
        self.log_failed = None

    def _sync(self, paths: Iterable[Path]) -> None:
        self.after_checkpoint()
        self._write_index()
        flight = Flight()
        for name in sorted(map(str, paths)):
            path = os.path.relpath(name, self.root).lstrip(".")
            try:
                node = Path(name).stat().st_ino
                if Path(name).is_dir():
                    flight.folders[path] = names_in(self.root, path)
                else:
                    flight.contents[node] = self._read(path)
            except FileNotFoundError:
                continue
        self._take_off(flight)

    def _write_index(self) -> None:
        """The kernel does so when it likes."""
        if self._rng.random() < 0.2 and (self.root / INDEX).exists():
            self._index = self._read(INDEX)

    def _sync_all(self, paths: Iterable[Path]) -> None:
        self.after_checkpoint()
        self._write_index()
        try:
            self._take_off(self._everything())
        except OSError:
            self._flights.append(Flight(failed=True))
            raise

    def _everything(self) -> Flight:
        flight = Flight(self._now())
        for folder, names in flight.folders.items():
            for name, node in names.items():
                path = f"{folder}/{name}".lstrip("/")
                if (
                    node not in self._contents
                    or path in MUTABLE
                    or node in _written_anew
                    or self._has_grown(node, path)
                ):
                    flight.contents[node] = self._read(path)
        return flight

    def _has_grown(self, node: int, path: str) -> bool:
        """A large letter, whose beginning was synced with something else."""
        return path.startswith(ARRIVING) and os.stat(f"{self.root}/{path}").st_size > len(self._contents[node])  # noqa: PTH116

    def _take_off(self, flight: Flight) -> None:
        if self.broken and self._rng.random() < self.broken:
            self.failures += 1
            self._refuse(flight)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._flights.append(self._numbered(flight))

    def _numbered(self, flight: Flight) -> Flight:
        self._begun += 1
        flight.number = self._begun
        return flight

    def _refuse(self, flight: Flight) -> None:
        """Some pages have come to the disk. The kernel gives up the others, and holds them to be written."""
        log = (self.root / WAL).stat().st_ino if (self.root / WAL).exists() else None
        for node, content in flight.contents.items():
            old = self._before(node, content)
            refused = self._refused.setdefault(node, {})
            if len(content) < len(old) and self._rng.random() < 0.5:
                old = old[: len(content)]
            writing = self._writing.get(node, b"")
            for start in changed(old, content):
                page = content[start : start + PAGE]
                if self._rng.random() < 0.5 or page == writing[start : start + PAGE]:
                    old = with_page(old, content, start)
                else:
                    refused[start] = page
            self._contents[node] = old
            self.holes += node == log and bool(refused)

    def taken_off(self) -> list[Flight]:
        """Those that have begun since the last call."""
        flights, self._flights = self._flights, []
        return flights

    def land(self, flight: Flight) -> None:
        """The sync returns: it is durable. One that has failed does not say what it was about: perhaps what has come in
        the meantime."""
        if flight.failed:
            self._refuse(self._everything())
        if self.lies:
            return
        for node, content in flight.contents.items():
            # One that has begun later may have been quicker.
            if self._landed.get(node, 0) <= flight.number:
                self._landed[node] = flight.number
                self._contents[node] = self._without_refused(node, content)
                self._writing.pop(node, None)
        if not self.blind:
            self._folders.update(flight.folders)

    def _without_refused(self, node: int, content: bytes) -> bytes:
        """A page that was given up, and was not written again, does not come by a second sync."""
        if node in _written_anew:
            _written_anew.discard(node)
            self._refused.pop(node, None)
        refused = self._refused.get(node)
        if not refused:
            return content
        old = self._contents.get(node, b"")
        for start, page in list(refused.items()):
            if content[start : start + PAGE] == page:
                # Where nothing was before, the file has grown over nothing.
                before = old[start : start + PAGE].ljust(len(page), b"\0")
                content = content[:start] + before + content[start + len(page) :]
            else:
                del refused[start]
        return content

    def _before(self, node: int, now: bytes) -> bytes:
        """What is durable of a file. SQLite syncs the header of a log that begins anew before what follows."""
        old = self._contents.get(node, b"")
        if now[:4] in (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83") and old[:WAL_HEADER] != now[:WAL_HEADER]:
            return now[:WAL_HEADER] + old[WAL_HEADER:]
        return old

    # ---- SQLite's own syncs

    def before_checkpoint(self) -> None:
        """SQLite may make one now."""
        if not (self.root / DATABASE).exists():
            return
        log = self._read(WAL) if (self.root / WAL).exists() else b""
        self._checkpoint = log, self._read(DATABASE)

    def after_checkpoint(self) -> None:
        """SQLite has synced its log, and copied it into the database; the sync of that one is on its way. Or over, if
        the log is empty now."""
        if self._checkpoint is None:
            return
        (log, database), self._checkpoint = self._checkpoint, None
        now = self._read(DATABASE)
        if self.lies or now == database or not (self.root / WAL).exists():
            return
        node = (self.root / WAL).stat().st_ino
        self._contents[node] = self._without_refused(node, log)
        flight = self._numbered(Flight({}, {(self.root / DATABASE).stat().st_ino: now}))
        # Another sync that is on its way does not bring back what it has seen of the log before.
        self._landed[node] = flight.number
        if (self.root / WAL).stat().st_size:
            self._writing.update(flight.contents)
            self._flights.append(flight)
        else:
            self.land(flight)

    def closed(self) -> None:
        """The last connection to the database was closed: SQLite has copied its log, synced, and removed it."""
        node = (self.root / DATABASE).stat().st_ino
        if not self.lies:
            self._contents[node] = self._read(DATABASE)

    # ---- The end, and what is left

    def settle(self) -> None:
        """All that is there is durable: the server was set up long ago."""
        self._folders = self._now()
        self._refused.clear()
        self._contents = {
            node: self._read(f"{folder}/{name}".lstrip("/"))
            for folder, names in self._folders.items()
            for name, node in names.items()
        }

    def kill(self) -> None:
        """The process is gone; what it has written is not."""
        self._landed.clear()
        self._writing.clear()
        now = self._now()
        contents = {}
        for folder, names in now.items():
            for name, node in names.items():
                path = f"{folder}/{name}".lstrip("/")
                contents[node] = self._read(path) if path in MUTABLE else None
        passing = {path: self._read(path) for path in PASSING if (self.root / path).exists()}
        moved = self._move_to(now, contents)
        for path, content in passing.items():
            (self.root / path).write_bytes(content)
        for old, new in moved.items():
            if old in self._contents:
                self._contents[new] = self._contents.pop(old)
            if old in self._refused:
                self._refused[new] = self._refused.pop(old)
        for names in self._folders.values():
            names |= {name: moved[node] for name, node in names.items() if node in moved}

    def lose_power(self) -> None:
        """What was not synced is there or not, page by page and name by name."""
        self._flights.clear()
        self._landed.clear()
        self._writing.clear()
        likely = self._rng.choice((0.0, 1.0, 0.5, self._rng.random()))
        now = self._now()
        paths = {node: f"{folder}/{name}".lstrip("/") for folder, names in now.items() for name, node in names.items()}
        left: dict[str, dict[str, int]] = {}
        for folder, names in sorted(now.items()):
            durable = self._folders.get(folder, {})
            left[folder] = {}
            for name in sorted({*names, *durable}):
                new, old = names.get(name), durable.get(name)
                chosen = new if new == old or self._rng.random() < likely else old
                if chosen is not None:
                    left[folder][name] = chosen
        contents: dict[int, bytes | None] = {}
        for names in left.values():
            for node in names.values():
                if node not in contents:
                    contents[node] = self._after_the_loss(node, paths.get(node), likely)
        index = self._index_after_the_loss()
        self._move_to(left, contents)
        if index:
            (self.root / INDEX).write_bytes(index)
        self.settle()

    def _index_after_the_loss(self) -> bytes:
        """Older than the log, newer, or both; b"" when it is gone. The lock is of a system that has ended: as good as
        none."""
        new = self._read(INDEX) if (self.root / INDEX).exists() else b""
        mixed = self._index
        for start in changed(mixed, new):
            if self._rng.random() < 0.5:
                mixed = with_page(mixed, new, start)
        return self._rng.choice((b"", self._index, mixed, new))

    def _after_the_loss(self, node: int, path: str | None, likely: float) -> bytes | None:
        """None: the file as it is."""
        if path is None:
            return self._contents.get(node, b"")
        now = self._read(path)
        old = self._before(node, now)
        if now == old:
            return now if path in MUTABLE else None
        mixed = old[: len(now)] if self._rng.random() < likely else old
        refused = self._refused.get(node, {})
        for start in changed(old, now):
            if start not in refused and self._rng.random() < likely:
                mixed = with_page(mixed, now, start)
        if len(mixed) > len(old) and self._rng.random() < 0.3:
            mixed = mixed[: self._rng.randrange(len(old), len(mixed) + 1)]
        # How long it is may come to the disk before what stands in it.
        return mixed.ljust(len(now), b"\0") if self._rng.random() < 0.2 else mixed

    def _move_to(self, folders: dict[str, dict[str, int]], contents: dict[int, bytes | None]) -> dict[int, int]:
        """A new folder with these files; the new numbers of nodes that are others now."""
        old_root, self._life = self.root, self._life + 1
        self.root = self._base / str(self._life)
        return copied(old_root, self.root, folders, contents)
