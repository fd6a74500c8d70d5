"""One Maildir for reading: other programs may deliver, flag, move and remove letters at the same time.

A session sees the letters that were there when it began. It changes nothing but what it deletes: letters stay in
``new`` until a program that knows flags takes them over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from zope.interface import implementer

from mailstack.interfaces.mailboxes import IMailbox, Item
from mailstack.maildir import names
from mailstack.maildir.sizes import wire_octets


@implementer(IMailbox)
class Mailbox:
    """One Maildir, ``new`` and ``cur`` together. ``release`` is called once, at the end."""

    def __init__(self, folder: Path, release: Callable[[Path], None]) -> None:
        self._folder = folder
        self._release: Callable[[Path], None] | None = release
        self._paths = _scan(folder)
        sizes = self._sizes()
        self._bases = sorted(sizes, key=names.age)
        uids = names.unique_ids(self._bases)
        self.items: Sequence[Item] = [Item(uid, sizes[base]) for uid, base in zip(uids, self._bases, strict=True)]

    def open(self, index: int) -> BinaryIO:
        return self._open(self._bases[index])

    def letter_id(self, index: int) -> str | None:
        return names.letter_id(self._bases[index])

    def arrived(self, index: int) -> int | None:
        return names.age(self._bases[index])[0] or None

    def surrogates(self) -> Mapping[int, int]:
        sizes = ((index, names.surrogate_size(base)) for index, base in enumerate(self._bases) if ",U=" in base)
        return {index: size for index, size in sizes if size is not None}

    def delete(self, indexes: Iterable[int]) -> Sequence[int]:
        bases = {index: self._bases[index] for index in indexes}
        left = [index for index, base in bases.items() if not self._remove(base)]
        if not left:
            return left
        try:
            self._paths = _scan(self._folder)
        except OSError:
            return left
        # What has another name by now is found by its base; what is not there needs nothing.
        return [index for index in left if bases[index] in self._paths and not self._remove(bases[index])]

    def close(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release(self._folder)

    def _open(self, base: str) -> BinaryIO:
        if base in self._paths:
            with suppress(FileNotFoundError):
                return (self._folder / self._paths[base]).open("rb")
        self._paths = _scan(self._folder)
        if base not in self._paths:
            raise FileNotFoundError(f"{self._folder}: {base} is gone")
        return (self._folder / self._paths[base]).open("rb")

    def _remove(self, base: str) -> bool:
        """False when it has another name by now, is gone, or can't be removed."""
        path = self._paths.get(base)
        if path is None:
            return False
        try:
            (self._folder / path).unlink()
        except OSError:
            return False
        return True

    def _sizes(self) -> dict[str, int]:
        sizes = {base: self._size(base) for base in list(self._paths)}
        return {base: size for base, size in sizes.items() if size is not None}

    def _size(self, base: str) -> int | None:
        """None when the letter has gone meanwhile."""
        named = names.wire_size(base)
        if named is not None:
            return named
        try:
            with self._open(base) as letter:
                return wire_octets(letter)
        except FileNotFoundError:
            return None
        except OSError:
            # It can't be read now, and RETR will say so. The others can: don't refuse them.
            return 0


def _scan(folder: Path) -> dict[str, str]:
    """The letters: base name → path below ``folder``.

    ``new`` comes first: a letter that is moved to ``cur`` meanwhile is seen twice rather than not at all.
    """
    found: dict[str, str] = {}
    for place in ("new", "cur"):
        try:
            entries = os.scandir(folder / place)
        except FileNotFoundError:
            continue
        with entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_file():
                    found[names.base(entry.name)] = f"{place}/{entry.name}"
    return found
