"""One Maildir for reading: other programs may deliver, flag, move and remove letters at the same time.

A session sees the letters that were there when it began. It changes nothing but what it deletes: letters stay in
``new`` until a program that knows flags takes them over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, combinations
from pathlib import Path

from zope.interface import implementer

from mailstack.durable import sync_paths
from mailstack.interfaces.mailboxes import IMailbox, Letter
from mailstack.maildir import raw_names as names
from mailstack.maildir.files import opened
from mailstack.maildir.listed import AT_ONCE, CUR, NEW, breathe, held
from mailstack.maildir.shelf import Shelf
from mailstack.maildir.sizes import key

PIECE = 64 * 1024  # octets of a listing that are made at once
FIRST_MAILDIR = 820_454_400  # Unix time, 1996: a name with an earlier time counts something else
LOOKS = 3  # for letters that other programs move while we delete

#: What other programs mostly rename a letter to.
_FLAGS = [b":2," + bytes(flags) for count in range(7) for flags in combinations(b"DFPRST", count)]


class StoredLetter:
    """A file, which is read without a buffer: all of a small one comes with one call."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def read(self, most: int, /) -> bytes:
        assert self._fd is not None, "it is closed"
        return os.read(self._fd, most)

    def fileno(self) -> int:
        assert self._fd is not None, "it is closed"
        return self._fd

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


@implementer(IMailbox)
class Mailbox:
    """One Maildir, ``new`` and ``cur`` together. ``release`` is called once, at the end."""

    def __init__(self, folder: Path, release: Callable[[Path], None], shelf: Shelf) -> None:
        self._path = folder
        self._folder = os.fsencode(folder)
        self._release: Callable[[Path], None] | None = release
        self._shelf = shelf
        self._index = shelf.index(folder)
        self._latest = self._index  # where the letters are by now, by other numbers
        self.count = len(self._index)
        self.octets = self._index.octets

    def size(self, index: int) -> int:
        return self._index.sizes[index]

    def uid(self, index: int) -> str:
        return self._index.uid(index).decode("ascii")

    def size_lines(self, start: int, stop: int) -> Iterator[bytes]:
        for first in range(start, stop, AT_ONCE):
            sizes = self._index.sizes[first : min(first + AT_ONCE, stop)]
            yield b"".join([b"%d %d\r\n" % line for line in enumerate(sizes, first + 1)])

    def uid_lines(self, start: int, stop: int) -> Iterator[bytes]:
        text = self._index.uid_lines.lines(start, stop)
        return (bytes(text[at : at + PIECE]) for at in range(0, len(text), PIECE))

    def letter_id(self, index: int) -> str | None:
        return names.letter_id(self._index.base(index))

    def arrived(self, index: int) -> int | None:
        time = names.time(self._index.base(index))
        return time if time is not None and time >= FIRST_MAILDIR else None

    def surrogates(self) -> Mapping[int, int]:
        # Asked at each log-in, on the reactor's thread; who has sent one such letter must not make it take long.
        at = list(self._index.rests.holding(names.SURROGATE))
        sizes = ((index, names.surrogate_size(self._index.base(index))) for index in at)
        return {index: size for index, size in sizes if size is not None}

    # ---- Letters

    def open(self, index: int) -> Letter:
        return StoredLetter(self._open(index))

    def _open(self, index: int) -> int:
        file = self._file(index)
        if file is not None:
            with suppress(FileNotFoundError):
                return self._opened(*file)
        base = self._index.base(index)
        for place, name in self._guesses(base):
            with suppress(FileNotFoundError):
                return self._opened(place, name)
        raise FileNotFoundError(f"{self._path}: {os.fsdecode(base)} is not where it was")

    def _opened(self, place: bytes, name: bytes) -> int:
        directory = held(self._folder, place)
        try:
            return opened(name, directory)
        finally:
            os.close(directory)

    def look_again(self) -> None:
        self._latest = self._shelf.index(self._path)

    def measured(self, index: int, octets: int) -> None:
        if octets == self._index.sizes[index]:
            return
        file = self._file(index)
        if file is not None:
            with suppress(OSError):
                found = os.lstat(b"/".join((self._folder, *file)))
                self._latest.wrong[key(names.stem(self._index.base(index)), found)] = octets

    def _file(self, index: int) -> tuple[bytes, bytes] | None:
        """None: it was not there when we looked last."""
        if self._latest is not self._index:
            found = self._latest.find(self._index.base(index))
            if found is None:
                return None
            index = found
        return self._latest.file(index)

    def _guesses(self, base: bytes) -> Iterator[tuple[bytes, bytes]]:
        """A look at the whole directory would take longer than these few failures."""
        yield from ((CUR, base + flags) for flags in _FLAGS)
        yield CUR, base
        yield NEW, base

    # ---- The end

    def delete(self, indexes: Iterable[int]) -> Sequence[int]:
        """The +OK of QUIT says that they are gone, also after a crash: a client that keeps no list of its own would
        fetch them twice. So the directories are synced, once for all letters."""
        wanted = list(indexes)
        removed: set[Path] = set()
        left = self._remove_all(wanted, removed)
        try:
            sync_paths(removed)
        except OSError:
            return wanted
        return left

    def _remove_all(self, left: Sequence[int], removed: set[Path]) -> Sequence[int]:
        for look in range(LOOKS):
            if look:
                # What has another name by now is found by its base.
                try:
                    self.look_again()
                except OSError:
                    break
                left = [index for index in left if not self._is_gone(index)]
            left = [index for index in self._paced(left) if not self._remove(index, removed, guess=look > 0)]
            if not left:
                break
        return left

    def _is_gone(self, index: int) -> bool:
        """By another program; only a look in quiet can tell, and it was just now."""
        return self._latest.exact and self._file(index) is None

    def _paced(self, indexes: Sequence[int]) -> Iterator[int]:
        for count, index in enumerate(indexes, 1):
            yield index
            if not count % AT_ONCE:
                breathe()

    def _remove(self, index: int, removed: set[Path], guess: bool) -> bool:
        """False when it has another name by now, or can't be removed. ``removed`` gets the directory that changed."""
        file = self._file(index)
        files = [] if file is None else [file]
        for place, name in chain(files, self._guesses(self._index.base(index)) if guess else ()):
            try:
                self._unlink(place, name)
            except FileNotFoundError:
                continue
            except OSError:
                return False
            removed.add(self._path / os.fsdecode(place))
            return True
        return False

    def _unlink(self, place: bytes, name: bytes) -> None:
        directory = held(self._folder, place)
        try:
            os.unlink(name, dir_fd=directory)
        finally:
            os.close(directory)

    def close(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release(self._path)
