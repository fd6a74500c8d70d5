"""A mailbox for a client that has not said UTF8: letters that need UTF-8 in the header come in another form.

RFC 6856 §2.1 forbids to send them as they are. To refuse them, as it allows, would leave people without mail whose
program never says UTF8, and those are nearly all programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from io import BufferedReader, RawIOBase
from typing import BinaryIO, overload

from attrs import evolve
from zope.interface import implementer

from mailstack.interfaces.mailboxes import IMailbox, Item
from mailstack.message.surrogate import surrogate

PIECE = 64 * 1024  # octets that are read at once


def conventional(mailbox: IMailbox) -> IMailbox:
    """The mailbox itself, if no letter in it needs UTF-8."""
    surrogates = mailbox.surrogates()
    return Conventional(mailbox, surrogates) if surrogates else mailbox


@implementer(IMailbox)
class Conventional:
    """``surrogates`` has the octets of each letter that comes in another form."""

    def __init__(self, mailbox: IMailbox, surrogates: Mapping[int, int]) -> None:
        self._mailbox = mailbox
        self._surrogates = surrogates
        self.items: Sequence[Item] = Items(mailbox.items, surrogates)

    def open(self, index: int) -> BinaryIO:
        letter = self._mailbox.open(index)
        return BufferedReader(SurrogateFile(letter), PIECE) if index in self._surrogates else letter

    def letter_id(self, index: int) -> str | None:
        return self._mailbox.letter_id(index)

    def arrived(self, index: int) -> int | None:
        return self._mailbox.arrived(index)

    def surrogates(self) -> Mapping[int, int]:
        return {}

    def delete(self, indexes: Iterable[int]) -> Sequence[int]:
        return self._mailbox.delete(indexes)

    def close(self) -> None:
        self._mailbox.close()


class Items(Sequence[Item]):
    """The same with other sizes for some."""

    def __init__(self, items: Sequence[Item], sizes: Mapping[int, int]) -> None:
        self._items = items
        self._sizes = sizes

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        item = self._items[place]
        return evolve(item, size=self._sizes[place]) if place in self._sizes else item


class SurrogateFile(RawIOBase):
    """What is made of a letter while it is read."""

    def __init__(self, letter: BinaryIO) -> None:
        self._letter = letter
        self._pieces: Iterator[bytes] = surrogate(iter(partial(letter.read, PIECE), b""))
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # there is no type for it yet
        if not self._held:
            self._held = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count

    def close(self) -> None:
        self._letter.close()
        super().close()
