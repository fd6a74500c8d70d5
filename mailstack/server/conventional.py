"""A mailbox for a client that has not said UTF8: letters that need UTF-8 in the header come in another form.

RFC 6856 §2.1 forbids to send them as they are. To refuse them, as it allows, would leave people without mail whose
program never says UTF8, and those are nearly all programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from zope.interface import implementer

from mailstack.interfaces.mailboxes import IMailbox, Letter
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
        self.count = mailbox.count
        self.octets = mailbox.octets + sum(octets - mailbox.size(index) for index, octets in surrogates.items())

    def size(self, index: int) -> int:
        return self._surrogates[index] if index in self._surrogates else self._mailbox.size(index)

    def uid(self, index: int) -> str:
        return self._mailbox.uid(index)

    def size_lines(self, start: int, stop: int) -> Iterator[bytes]:
        for special in sorted(index for index in self._surrogates if start <= index < stop):
            yield from self._mailbox.size_lines(start, special)
            yield b"%d %d\r\n" % (special + 1, self._surrogates[special])
            start = special + 1
        yield from self._mailbox.size_lines(start, stop)

    def uid_lines(self, start: int, stop: int) -> Iterable[bytes]:
        return self._mailbox.uid_lines(start, stop)

    def open(self, index: int) -> Letter:
        letter = self._mailbox.open(index)
        return SurrogateLetter(letter) if index in self._surrogates else letter

    def look_again(self) -> None:
        self._mailbox.look_again()

    def measured(self, index: int, octets: int) -> None:
        if index not in self._surrogates:
            self._mailbox.measured(index, octets)

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


class SurrogateLetter:
    """What is made of a letter while it is read."""

    def __init__(self, letter: Letter) -> None:
        self._letter = letter
        self._pieces: Iterator[bytes] = surrogate(iter(partial(letter.read, PIECE), b""))
        self._held = b""

    def read(self, most: int, /) -> bytes:
        pieces, size = [self._held], len(self._held)
        while size < most and (piece := next(self._pieces, b"")):
            pieces.append(piece)
            size += len(piece)
        whole = b"".join(pieces)
        self._held = whole[most:]
        return whole[:most]

    def close(self) -> None:
        self._letter.close()
