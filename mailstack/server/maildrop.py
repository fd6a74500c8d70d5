"""One POP3 session's view of a mailbox: numbers from 1, marks for deletion, what was fetched. RFC 1939 §5, §7."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from attrs import define

from mailstack.interfaces.mailboxes import IMailbox, Letter
from mailstack.model.wire_size import WireCount, wire_octets
from mailstack.protocol.pop3_body import WireLines, top
from mailstack.protocol.pop3_events import Delete, Event, List, Reset, Response, Retrieve, Stat, Top, Uidl, err, ok

PIECE = 64 * 1024  # octets of a letter that are read at once

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
        self.count = mailbox.count  #: of messages, as the session began
        self.size = mailbox.octets
        self.retrieved = Tally()
        self.topped = Tally()
        self.fetched: set[int] = set()  #: indexes of the letters that RETR has sent to their ends
        self._marked: set[int] = set()
        self._marked_size = 0
        self._letter: Letter | None = None

    @property
    def marked(self) -> list[int]:
        """The messages to remove at QUIT, as indexes of the mailbox."""
        return sorted(self._marked)

    def close(self) -> None:
        """Also when a letter was only half sent."""
        self._close_letter()
        self.mailbox.close()

    def answer(self, event: Event) -> Response:
        """FileNotFoundError when a letter is not where it was: :meth:`IMailbox.look_again`, then ask once more. Another
        OSError when it can't be read."""
        number = getattr(event, "number", None)
        if number is not None and not self._has(number - 1):
            return NO_SUCH_MESSAGE
        match event:
            case Stat():
                return ok(data="{} {}".format(*self._left))
            case List(None):
                return self._summary(self._listing(self.mailbox.size_lines))
            case List(int(number)):
                return ok(data=f"{number} {self.mailbox.size(number - 1)}")
            case Uidl(None):
                return ok("", self._listing(self.mailbox.uid_lines))
            case Uidl(int(number)):
                return ok(data=f"{number} {self.mailbox.uid(number - 1)}")
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

    @property
    def _left(self) -> tuple[int, int]:
        """Messages that are not marked, and their octets."""
        return self.count - len(self._marked), self.size - self._marked_size

    def _summary(self, body: WireLines | None = None) -> Response:
        count, octets = self._left
        return ok("messages", body, count=count, octets=octets)

    def _listing(self, lines: Callable[[int, int], Iterable[bytes]]) -> WireLines:
        return WireLines(piece for start, stop in self._unmarked() for piece in lines(start, stop))

    def _unmarked(self) -> Iterator[tuple[int, int]]:
        """The runs of messages between those that are marked: from the one index to before the other."""
        start = 0
        for marked in [*self.marked, self.count]:
            if start < marked:
                yield start, marked
            start = marked + 1

    # ---- Marks

    def _mark(self, number: int) -> Response:
        self._marked.add(number - 1)
        self._marked_size += self.mailbox.size(number - 1)
        return ok("marked", number=number)

    def _unmark_all(self) -> Response:
        self._marked.clear()
        self._marked_size = 0
        return self._summary()

    # ---- Letters

    def _retrieve(self, number: int) -> Response:
        """What fits into one piece is counted before its size is told: it may be that its name lies."""
        index, first = number - 1, self._open(number)
        if self._letter is not None:
            return ok("octets", self._noting(index, self._pieces(first)), octets=self.mailbox.size(index))
        octets = wire_octets([first])
        self.retrieved.count += 1
        self.retrieved.octets += octets
        self._note(index, octets)
        return ok("octets", [first], octets=octets)

    def _top(self, number: int, lines: int) -> Response:
        return ok("", self._counted(top(self._pieces(self._open(number)), lines), self.topped))

    def _noting(self, index: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
        before = self.retrieved.octets
        yield from self._counted(pieces, self.retrieved)
        self._note(index, self.retrieved.octets - before)

    def _note(self, index: int, octets: int) -> None:
        self.fetched.add(index)
        self.mailbox.measured(index, octets)

    def _open(self, number: int) -> bytes:
        """The first piece; the letter stays open if there may be more."""
        self._close_letter()
        self._letter = self.mailbox.open(number - 1)
        first = self._letter.read(PIECE)
        if len(first) < PIECE:
            self._close_letter()
        return first

    def _pieces(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            yield piece
            piece = self._letter.read(PIECE) if self._letter else b""

    def _counted(self, pieces: Iterator[bytes], tally: Tally) -> Iterator[bytes]:
        tally.count += 1
        before, count = tally.octets, WireCount()
        for piece in pieces:
            count.take(piece)
            tally.octets = before + count.so_far
            yield piece
        tally.octets = before + count.octets
        self._close_letter()

    def _close_letter(self) -> None:
        letter, self._letter = self._letter, None
        if letter is not None:
            letter.close()
