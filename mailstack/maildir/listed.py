"""Which letters are in a Maildir, and whether that is known still.

A directory may have 100,000 names, and a thread that makes as many system calls fights the reactor for the
interpreter's lock, each time anew (``os.scandir`` lets go of it and takes it again for every name). So some thousand
names come with one call, getdents64(2), and between two of them the thread pauses.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from struct import Struct
from time import sleep

from attrs import frozen

#: A change is only seen by its time, and the clock of a file system may tick as rarely as this (FAT); ext4's and XFS's
#: tick every 1 to 10 ms, NFS's may go wrong by something. Git calls it racy, Dovecot waits as well.
TICK = 2_000_000_000  # nanoseconds

AT_ONCE = 1000  # names that are worked on between two pauses: about a millisecond
PAUSE = 0.0003  # seconds in which others have the interpreter

_libc = ctypes.CDLL(None, use_errno=True)
_BUFFER = 128 * 1024  # octets for one getdents64(2): some 2,000 names
_Buffer = ctypes.c_char * _BUFFER  # made once: a type is a knot that only the collector of cycles unties
_HEAD = Struct("=HB")  # d_reclen and d_type of struct linux_dirent64, behind d_ino and d_off
_HEAD_AT, _NAME_AT = 16, 19
_DT_UNKNOWN, _DT_REG = 0, 8
_DOT = ord(".")

NEW, CUR = b"new", b"cur"
PLACES = (NEW, CUR)


def breathe() -> None:
    """Let the other threads go on; only a real pause makes the waiting one wake up."""
    sleep(PAUSE)


# ---- Has it changed?


@frozen
class Stamp:
    """A directory as it was at some moment: by its times, and so that another one in its place is noticed."""

    device: int
    inode: int
    modified: int  #: nanoseconds; programs may set it (``rsync -t``)
    changed: int  #: nanoseconds; only the kernel sets it

    @property
    def latest(self) -> int:
        return max(self.modified, self.changed)

    def settled(self, now: int) -> bool:
        """Whether each later change will have another time. What was changed just now, or in the future, may be changed
        once more within the same tick of the clock."""
        return now - self.latest > TICK


@frozen
class Stamps:
    """Of ``new`` and ``cur``; None: there is none."""

    new: Stamp | None
    cur: Stamp | None

    @property
    def latest(self) -> int:
        """When something came, went or was renamed, in nanoseconds; 0: nothing ever was."""
        return max((each.latest for each in (self.new, self.cur) if each is not None), default=0)

    def settled(self, now: int) -> bool:
        return all(each is None or each.settled(now) for each in (self.new, self.cur))


def stamps(folder: Path) -> Stamps:
    return Stamps(_stamp(folder / "new"), _stamp(folder / "cur"))


def _stamp(directory: Path) -> Stamp | None:
    try:
        found = os.stat(directory)  # noqa: PTH116 - half the time of Path.stat, at each log-in
    except FileNotFoundError:
        return None
    return Stamp(found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)


# ---- What is in it?


def held(folder: bytes, place: bytes) -> int:
    """``new`` or ``cur`` as a file descriptor. Whoever owns the Maildir may put a link in the place of a directory of
    his at any moment, also after a look at it: so none is followed, but to the Maildir itself. OSError."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    if not folder.rpartition(b"/")[2].startswith(b"."):
        return os.open(folder + b"/" + place, flags | os.O_NOFOLLOW)
    parent = os.open(folder, flags | os.O_NOFOLLOW)
    try:
        return os.open(place, flags | os.O_NOFOLLOW, dir_fd=parent)
    finally:
        os.close(parent)


def letters(folder: Path) -> Iterator[bytes]:
    """The paths of the letters' files, ``new/NAME`` and ``cur/NAME``.

    ``new`` is looked at first: a letter that is moved to ``cur`` meanwhile is seen twice rather than not at all. One
    that is renamed may be seen twice or not at all: :mod:`.looking`.
    Letters are regular files; no links, which may lead anywhere, no devices, which may block.
    """
    for place in PLACES:
        # It may be removed while it is read, too.
        with suppress(FileNotFoundError):
            fd = held(os.fsencode(folder), place)
            try:
                for entries in _entries(fd):
                    files = [name for name, kind in entries if name[0] != _DOT and _is_file(fd, name, kind)]
                    yield from [b"%b/%b" % (place, name) for name in files]
                    breathe()
            finally:
                os.close(fd)


def _is_file(fd: int, name: bytes, kind: int) -> bool:
    if kind != _DT_UNKNOWN:
        return kind == _DT_REG
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _entries(fd: int) -> Iterator[list[tuple[bytes, int]]]:
    """Names and kinds (d_type), some at a time."""
    if not hasattr(_libc, "getdents64"):
        yield [(os.fsencode(name), _DT_UNKNOWN) for name in os.listdir(fd)]
        return
    buffer = _Buffer()
    while (octets := _libc.getdents64(fd, buffer, ctypes.c_size_t(_BUFFER))) > 0:
        yield list(_parsed(buffer.raw[:octets]))
    if octets < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _parsed(raw: bytes) -> Iterator[tuple[bytes, int]]:
    at = 0
    while at < len(raw):
        length, kind = _HEAD.unpack_from(raw, at + _HEAD_AT)
        start = at + _NAME_AT
        yield raw[start : raw.index(0, start)], kind
        at += length
