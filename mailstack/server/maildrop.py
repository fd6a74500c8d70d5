"""One POP3 session's view of a mailbox: numbers from 1, marks for deletion, what was fetched. RFC 1939 §5, §7."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from attrs import define

from mailstack.interfaces.mailboxes import IMailbox, Item
from mailstack.protocol.pop3_body import top
from mailstack.protocol.pop3_events import Delete, Event, List, Reset, Response, Retrieve, Stat, Top, Uidl, err, ok

PIECE = 64 * 1024  # octets of a letter that are read at once
LINES = 1000  # of a listing that are made at once

NO_SUCH_MESSAGE = err("no-such-message")
GONE = err("gone")


@define
class Tally:
    """How often letters were fetched, and how many octets of them (CRLF line ends)."""

    count: int = 0
    octets: int = 0

    def __str__(self) -> str:
        return f"{self.count}/{self.octets}"


class Maildrop:
    """Answers the commands of the TRANSACTION state. Nothing is removed here."""

    def __init__(self, mailbox: IMailbox) -> None:
        self.mailbox = mailbox
        self.count = len(mailbox.items)  #: of messages, as the session began
        self.size = sum(item.size for item in mailbox.items)
        self.retrieved = Tally()
        self.topped = Tally()
        self.fetched: set[int] = set()  #: indexes of the letters that RETR has sent to their ends
        self._marked: set[int] = set()
        self._marked_size = 0
        self._letter: BinaryIO | None = None

    @property
    def marked(self) -> list[int]:
        """The messages to remove at QUIT, as indexes of the mailbox."""
        return sorted(self._marked)

    def close(self) -> None:
        """Also when a letter was only half sent."""
        self._close_letter()
        self.mailbox.close()

    def answer(self, event: Event) -> Response:
        """OSError when a letter can't be read."""
        number = getattr(event, "number", None)
        if number is not None and not self._has(number - 1):
            return NO_SUCH_MESSAGE
        match event:
            case Stat():
                return ok(data="{} {}".format(*self._left))
            case List(None):
                return self._summary(self._listing(lambda item: item.size))
            case List(int(number)):
                return ok(data=f"{number} {self._item(number).size}")
            case Uidl(None):
                return ok("", self._listing(lambda item: item.uid))
            case Uidl(int(number)):
                return ok(data=f"{number} {self._item(number).uid}")
            case Retrieve(number):
                return self._retrieve(number)
            case Top(number, lines):
                return self._top(number, lines)
            case Delete(number):
                return self._mark(number)
            case Reset():
                return self._unmark_all()
        raise TypeError(f"not about a mailbox: {event}")

    # ---- Numbers

    def _has(self, index: int) -> bool:
        return 0 <= index < self.count and index not in self._marked

    def _item(self, number: int) -> Item:
        return self.mailbox.items[number - 1]

    @property
    def _left(self) -> tuple[int, int]:
        """Messages that are not marked, and their octets."""
        return self.count - len(self._marked), self.size - self._marked_size

    def _summary(self, body: Iterator[bytes] | None = None) -> Response:
        count, octets = self._left
        return ok("messages", body, count=count, octets=octets)

    def _listing(self, column: Callable[[Item], object]) -> Iterator[bytes]:
        for start in range(0, self.count, LINES):
            numbers = range(start + 1, min(start + LINES, self.count) + 1)
            lines = [f"{number} {column(self._item(number))}\n" for number in numbers if self._has(number - 1)]
            yield "".join(lines).encode("ascii")

    # ---- Marks

    def _mark(self, number: int) -> Response:
        self._marked.add(number - 1)
        self._marked_size += self._item(number).size
        return ok("marked", number=number)

    def _unmark_all(self) -> Response:
        self._marked.clear()
        self._marked_size = 0
        return self._summary()

    # ---- Letters

    def _retrieve(self, number: int) -> Response:
        if not self._open(number):
            return GONE
        return ok("octets", self._noting(number - 1), octets=self._item(number).size)

    def _top(self, number: int, lines: int) -> Response:
        if not self._open(number):
            return GONE
        return ok("", self._counted(top(self._pieces(), lines), self.topped))

    def _noting(self, index: int) -> Iterator[bytes]:
        yield from self._counted(self._pieces(), self.retrieved)
        self.fetched.add(index)

    def _open(self, number: int) -> bool:
        self._close_letter()
        try:
            self._letter = self.mailbox.open(number - 1)
        except FileNotFoundError:
            return False
        return True

    def _pieces(self) -> Iterator[bytes]:
        assert self._letter is not None, "a letter is opened first"
        while piece := self._letter.read(PIECE):
            yield piece

    def _counted(self, pieces: Iterator[bytes], tally: Tally) -> Iterator[bytes]:
        tally.count += 1
        for piece in pieces:
            tally.octets += len(piece) + piece.count(b"\n")
            yield piece
        self._close_letter()

    def _close_letter(self) -> None:
        letter, self._letter = self._letter, None
        if letter is not None:
            letter.close()
