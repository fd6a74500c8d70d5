"""What survives a power loss: the only place that syncs, links and renames.

Everything here blocks and raises OSError. A failed sync is final: what it covered must be written anew, because the
kernel marks the pages clean and a second sync would succeed without having written them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from mailstack.owners import give, take_after

_libc = ctypes.CDLL(None, use_errno=True)
_fdatasync = getattr(os, "fdatasync", os.fsync)

#: A hard link is refused: another file system, one without links, or too many of them. A copy will do.
NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}

SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h
MAX_OPEN = 100  # files synced together
MAX_REMEMBERED = 100_000  # directories whose file system is known


class NotOpened(OSError):
    """These ``paths`` could not be opened to be synced; all the others are durable, and nothing was given up."""

    def __init__(self, error: OSError, paths: Iterable[Path]) -> None:
        super().__init__(error.errno, error.strerror, error.filename)
        self.paths = set(paths)


class Sync(Protocol):
    """One way to make files and directories durable."""

    def __call__(self, paths: Iterable[Path]) -> None:
        """On return they are. A path that is gone meanwhile needs nothing. NotOpened; any other OSError means all."""


def sync_paths(paths: Iterable[Path]) -> None:
    """Each file and directory by itself: for a file system that is shared with others.

    Many are sent on their way before the first one is waited for. So they come into one commit of the journal, and
    twenty cost little more than one.
    """
    refused = _sync_each(list(paths))
    if refused:
        raise NotOpened(next(iter(refused.values())), refused)


def _sync_each(paths: list[Path]) -> dict[Path, OSError]:
    """What could not be opened."""
    refused: dict[Path, OSError] = {}
    for first in range(0, len(paths), MAX_OPEN):
        with ExitStack() as stack:
            group = paths[first : first + MAX_OPEN]
            opened = [fd for path in group if (fd := _opened(path, stack, refused)) is not None]
            for fd in opened:
                _start_writing(fd)
            for fd in opened:
                os.fsync(fd)
    return refused


def _opened(path: Path, stack: ExitStack, refused: dict[Path, OSError]) -> int | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        refused[path] = error
        return None
    stack.callback(os.close, fd)
    return fd


def _start_writing(fd: int) -> None:
    """Only a hint: what goes wrong here goes wrong again in the sync, which tells.

    What is on the disk when syncfs(2) begins costs it one commit of the journal less: ext4 notes that new blocks have
    their content in a commit of its own, unless that happens before.
    """
    if hasattr(_libc, "sync_file_range"):
        _libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), SYNC_FILE_RANGE_WRITE)


class FilesystemSync:
    """The whole file system of ``folder`` with one call, whatever was written: syncfs(2).

    Since Linux 5.8 it reports write errors that happened after ``folder`` was opened. Paths that turn out to lie on
    another file system (a mount inside ``folder``) are synced by themselves.
    """

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._device = os.fstat(self._fd).st_dev
        self._covered: set[Path] = set()

    def __call__(self, paths: Iterable[Path]) -> None:
        try:
            sync_paths([path for path in paths if path not in self._covered and not self._covers(path)])
        finally:
            if _libc.syncfs(self._fd):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))

    def _covers(self, path: Path) -> bool:
        """Remembered, because each system call of a second thread may have to wait for the first one."""
        try:
            covered = path.stat().st_dev == self._device
        except FileNotFoundError:
            return True
        if covered and len(self._covered) < MAX_REMEMBERED:
            self._covered.add(path)
        return covered

    def close(self) -> None:
        os.close(self._fd)


def opened(folder: Path, by_file: bool) -> Sync:
    """The way to make durable what is in ``folder``; a :class:`FilesystemSync` is to be closed."""
    return sync_paths if by_file else FilesystemSync(folder)


class LogSync:
    """Of one file that is written again and again: fdatasync(2), which leaves the journal of the file system alone
    unless the file has grown. Kept open, it hears of each error, whoever else has heard of it."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __call__(self) -> None:
        _fdatasync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


class Syncs(NamedTuple):
    """How things are made durable."""

    of_folder: Callable[[Path, bool], Sync]  #: all in it; whether each file by itself
    of_log: Callable[[Path], LogSync]


SYNCS = Syncs(opened, LogSync)


def own_filesystem(folder: Path) -> bool:
    """Whether ``folder`` is on another file system than ``/``, so that syncing all of it bothers nobody else."""
    return hasattr(_libc, "syncfs") and folder.stat().st_dev != Path("/").stat().st_dev


def write_new(path: str | Path, content: bytes, mode: int = 0o600, hurry: bool = True) -> None:
    """A file that was not there; not durable yet, but on its way to the disk, unless there is no ``hurry``. After an
    error nothing of it is left."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        write_all(fd, content)
        if hurry:
            _start_writing(fd)
    except BaseException:
        os.unlink(path)  # noqa: PTH108 - it is mostly text, see DiskSpool
        raise
    finally:
        os.close(fd)


def write_all(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def hard_link(source: str, target: str) -> bool:
    """Make ``target`` the same file as ``source``; the name is not durable yet. False: links are impossible here.
    FileExistsError when the target is there."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        return False
    return True


def copy_into(source: str, target: str, scratch: str) -> None:
    """Where links are impossible: a copy that appears complete, by way of ``scratch`` on the target's file system.
    Durable with its name: whoever syncs a file system may not know of that one. FileExistsError when the target is
    there. After any other error it is not, as far as the disk allows that."""
    try:
        _copy_durably(Path(source), Path(scratch))
        move(Path(scratch), Path(target))
    finally:
        Path(scratch).unlink(missing_ok=True)
    try:
        sync_paths([Path(target).parent])
    except OSError:
        with suppress(OSError):
            Path(target).unlink()
        raise


def _copy_durably(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    with source.open("rb") as original, target.open("xb") as copy:
        while block := original.read(1 << 20):
            copy.write(block)
        copy.flush()
        os.fchmod(copy.fileno(), 0o600)
        os.fsync(copy.fileno())


def move(source: Path, target: Path) -> None:
    """Rename without replacing, not durable yet. FileExistsError. One process alone makes a name, so the check and the
    act may be two steps."""
    if target.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def make_folders(path: Path, mode: int = 0o700, within: Path | None = None) -> None:
    """A directory, and its missing parents with the mode that the umask leaves them, durable at once: rare, so each is
    synced by itself. Made by root, they belong to whom their parent belongs. ``within`` must be there already: where a
    file system was unmounted, or a folder moved away, nothing is made in its place. FileNotFoundError.

    What is below ``within`` is made durable even if it is there: a sync may have failed, or a crash come before it."""
    if within is not None and not within.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(within))
    folders = [path]
    for parent in path.parents:
        if parent == within or (within is None and parent.exists()):
            break
        folders.append(parent)
    for folder in reversed(folders):
        try:
            folder.mkdir(mode if folder == path else 0o777)
        except FileExistsError:
            pass
        else:
            give(folder, folder.parent)
        sync_paths([folder.parent])


def write_anew(path: Path) -> None:
    """A file's content once more, in its place, though nothing of it changes: after a failed sync the kernel takes
    pages for written that are not, and only what is written again comes to the disk by the next one."""
    with path.open("r+b", buffering=0) as file:
        while block := file.read(1 << 20):
            file.seek(-len(block), os.SEEK_CUR)
            write_all(file.fileno(), block)


def write_over(path: Path, content: bytes, create: bool) -> None:
    """The whole content of a file that had it before, in its place: so all links to it have it, too. One that is not
    there is made if ``create``. Not durable yet."""
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(path, flags | os.O_CREAT if create else flags, 0o600)
    try:
        write_all(fd, content)
        os.ftruncate(fd, len(content))
    finally:
        os.close(fd)


def replace(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Swap a file's content in one durable step; an existing file keeps its owner and mode."""
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            take_after(file.fileno(), path, mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_paths([path.parent])


def swap(path: Path, content: bytes) -> None:
    """Swap a file's content in one step, for our own user's eyes; not durable, for what may be lost. One writer at a
    time: a crash leaves one more file at most."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    write_new(scratch, content)
    scratch.replace(path)
