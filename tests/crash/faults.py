"""What a disk can do to a running server, and how it is made to do it, and to stop."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from attrs import frozen

from tests.live.office import Office
from tests.live.programs import program
from tests.live.waiting import eventually

SIZE = 24  # MiB of the file system
#: Calls that only the disk gets: what sockets and the reactor use is left alone.
SYNCS = "fsync,fdatasync,syncfs"


class CannotMount(Exception):
    """There is no file system of one's own to be had here."""


class SmallDisk:
    """An ext4 of its own, on a loop device; only root can have one."""

    def __init__(self, folder: Path, *options: str) -> None:
        """CannotMount."""
        try:
            self._make(folder, options)
        except OSError as error:
            raise CannotMount(str(error)) from error

    def _make(self, folder: Path, options: Sequence[str]) -> None:
        self.folder = folder / "disk"
        self.folder.mkdir()
        self._image = folder / "image"
        with self._image.open("wb") as image:
            image.truncate(SIZE << 20)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", *options, self._image)
        self.device = _run("losetup", "-f", "--show", self._image).strip()
        try:
            self.mount()
        except OSError:
            _run("losetup", "-d", self.device)
            raise

    def mount(self) -> None:
        _run("mount", "-o", "errors=remount-ro", self.device, self.folder)

    def umount(self, *options: str) -> None:
        _run("umount", *options, self.folder)

    def close(self) -> None:
        with suppress(OSError):
            self.umount()
        _run("losetup", "-d", self.device)

    @property
    def ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        """To the last block."""
        with self.ballast.open("ab", buffering=0) as file:
            for octets in (1 << 20, 4096, 1):
                with suppress(OSError):
                    while True:
                        file.write(b"x" * octets)
            with suppress(OSError):
                os.fsync(file.fileno())

    def empty(self) -> None:
        self.ballast.unlink()


def _run(name: str, *words: object) -> str:
    done = subprocess.run([program(name), *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{name}: {done.stderr.strip()}")
    return done.stdout


# ---- System calls that fail


class Injection:
    """strace at a server that runs, in all its threads; they are held when this returns."""

    def __init__(self, office: Office, calls: str, how: str, *paths: Path) -> None:
        self._tasks = Path(f"/proc/{office.process.pid}/task")
        only = [word for path in paths for word in ("-P", str(path))]
        options = f"-f -q -p {office.process.pid} -o /dev/null -e trace={calls} -e inject={calls}:{how}"
        self._process = subprocess.Popen(
            [program("strace"), *options.split(), *only], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert eventually(self._holds_all), "strace may not trace"

    def _holds_all(self) -> bool:
        with suppress(OSError):
            return all("TracerPid:\t0\n" not in (task / "status").read_text() for task in self._tasks.iterdir())
        return False

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


@contextmanager
def _injected(office: Office, calls: str, how: str, *paths: Path) -> Iterator[None]:
    injection = Injection(office, calls, how, *paths)
    try:
        yield
    finally:
        injection.close()


# ---- The table


@frozen
class Fault:
    """``strikes`` is a context in which the disk is broken."""

    strikes: Callable[[Office, SmallDisk], Iterator[None]]
    condition: str  #: the alarm, "" where there may be none
    replies: tuple[str, ...]  #: what clients may hear meanwhile, besides 250
    lasting: bool = True  #: as long as it is there, the doctor sees it
    inodes: int = 0  #: that the file system has; 0: plenty
    restart: bool = False  #: it goes away only when the server was stopped


def _syncs(when: str) -> Callable[[Office, SmallDisk], Iterator[None]]:
    def strikes(office: Office, disk: SmallDisk) -> Iterator[None]:
        with _injected(office, SYNCS, f"error=EIO:when={when}"):
            yield

    return strikes


def _full(office: Office, disk: SmallDisk) -> Iterator[None]:
    disk.fill()
    yield
    disk.empty()


def _quota(office: Office, disk: SmallDisk) -> Iterator[None]:
    """Where SQLite writes and where it would be found out why; quotas of ext4 need tools that few have."""
    spool = office.data / "spool"
    with _injected(office, "pwrite64,write", "error=EDQUOT", spool / "queue.db-wal", spool / "probe"):
        yield


def _inodes(office: Office, disk: SmallDisk) -> Iterator[None]:
    made = []
    with suppress(OSError):
        for number in range(100_000):
            path = disk.folder / f"file{number}"
            path.touch()
            made.append(path)
    yield
    for path in made:
        path.unlink()


def _files(office: Office, disk: SmallDisk) -> Iterator[None]:
    """All that it may have are in use, but a few."""
    pid = office.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = max(int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 2, hard))
    yield
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def _system_files(office: Office, disk: SmallDisk) -> Iterator[None]:
    with _injected(office, "openat", "error=ENFILE"):
        yield


def _read_only(office: Office, disk: SmallDisk) -> Iterator[None]:
    """A read-only mount of the same folder above it: what is opened by name meets it. The server keeps its database
    open for writing, and so the kernel refuses to remount the file system itself."""
    _run("mount", "--bind", office.data, office.data)
    _run("mount", "-o", "remount,bind,ro", office.data)
    yield
    _run("umount", office.data)


def _ext4_error(office: Office, disk: SmallDisk) -> Iterator[None]:
    """What the kernel does when it finds the file system broken."""
    name = disk.device.rpartition("/")[2]
    Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("a test\n")
    yield
    office.stop()
    disk.umount()
    subprocess.run([program("fsck.ext4"), "-p", "-f", disk.device], capture_output=True)
    disk.mount()
    office.start()


def _moved(office: Office, disk: SmallDisk) -> Iterator[None]:
    away = disk.folder / "away"
    office.data.rename(away)
    yield
    # Nothing was made in its place, or this would fail.
    away.rename(office.data)


def _unmounted(office: Office, disk: SmallDisk) -> Iterator[None]:
    disk.umount("-l")
    yield
    left = [str(path) for path in disk.folder.iterdir()]
    disk.mount()
    assert not left, f"made below the mount point: {left}"


def _replaced(office: Office, disk: SmallDisk) -> Iterator[None]:
    """Somebody restores a backup while the server runs, thinks better of it, and puts the real one back."""
    away, other = disk.folder / "away", office.data
    office.data.rename(away)
    _run("cp", "-a", away, other)
    yield
    _run("rm", "-r", other)
    away.rename(office.data)


FAULTS = {
    **{f"eio-{number}": Fault(_syncs(f"{number}"), "", ("451",), lasting=False) for number in (1, 2, 3, 5, 8)},
    "eio-1%": Fault(_syncs("100+100"), "", ("451",), lasting=False),
    "eio-10%": Fault(_syncs("10+10"), "errors", ("451",), lasting=False),
    "eio": Fault(_syncs("1+"), "errors", ("451",), lasting=False),
    "full": Fault(_full, "full", ("452",)),
    "quota": Fault(_quota, "quota", ("452",), lasting=False),
    "inodes": Fault(_inodes, "inodes", ("452",), inodes=1024),
    "files": Fault(_files, "files", ("451", "421", ""), lasting=False),
    "system-files": Fault(_system_files, "files", ("451", "421"), lasting=False),
    "read-only": Fault(_read_only, "read-only", ("451",)),
    "ext4-error": Fault(_ext4_error, "read-only", ("451",), restart=True),
    "moved": Fault(_moved, "gone", ("451",)),
    "unmounted": Fault(_unmounted, "gone", ("451",)),
    "replaced": Fault(_replaced, "replaced", ("451",)),
}


@contextmanager
def struck(fault: Fault, office: Office, disk: SmallDisk) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(contextmanager(fault.strikes)(office, disk))
        yield
