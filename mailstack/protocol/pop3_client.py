"""The client's side of POP3 without I/O: octets in, events out; commands in, octets out. RFC 1939, 2449, 5034.

Commands may be sent ahead (PIPELINING): what a server says is taken for the answers in the order of the commands. What
is in memory is one line, or one piece of a letter as it was fed, whatever the server sends.
"""

from __future__ import annotations

import re
from collections import deque
from enum import Enum, auto

from attrs import frozen

from mailstack.protocol.lines import Line, LineReader
from mailstack.protocol.pop3_multiline import MultilineDecoder
from mailstack.protocol.replies import printable

MAX_LINE = 4_096  # octets with its end, of a status line or a line of a list; RFC 2449 §4 asks for 512

#: RFC 1939 §3, and the "+ " of RFC 5034 §4.
_STATUS = re.compile(
    rb"(?:(?P<ok>\+OK)|(?P<err>-ERR)|(?P<challenge>\+))(?: +(?P<text>.*)|\Z)", re.DOTALL | re.IGNORECASE
)
_RESPONSE_CODE = re.compile(r"\[([A-Za-z0-9/-]+)\] *")  # RFC 2449 §8


class Shape(Enum):
    """What follows a good status line."""

    LINE = auto()  #: nothing
    LIST = auto()  #: lines, each a :class:`Row`
    LETTER = auto()  #: octets, in :class:`Piece`


@frozen
class Answer:
    """A status line. After a good one to a LIST or LETTER its body follows, up to :class:`Complete`."""

    positive: bool
    text: str  #: printable, without the response code
    code: str = ""  #: RFC 2449 §8, in capitals: IN-USE, LOGIN-DELAY, AUTH, SYS/TEMP, SYS/PERM, …
    challenge: bytes | None = None  #: of SASL, in base64; the exchange goes on

    def __str__(self) -> str:
        return f"{f'[{self.code}] ' if self.code else ''}{self.text}" or "(without a reason)"


@frozen
class Row:
    """A line of a list, without its end and its stuffed dot."""

    text: bytes


@frozen
class Piece:
    """Octets of a letter as the server has it: CRLF line ends, if it keeps to the rules."""

    octets: bytes


@frozen
class Complete:
    """The body was whole."""


@frozen
class Garbled:
    """What came is no answer: nothing that follows can be trusted."""

    reason: str


Event = Answer | Row | Piece | Complete | Garbled


class Pop3Client:
    """One session. The greeting is the first answer, as if it had been asked for. After :class:`Garbled` and in TLS a
    new one begins."""

    def __init__(self, greeting: bool = True) -> None:
        """``greeting``: False inside of TLS after STLS, where none is given."""
        self._lines = LineReader()
        self._owed = deque([Shape.LINE] if greeting else [])
        self._body: Shape | None = None
        self._letter = MultilineDecoder()
        self._ended = False

    @property
    def owed(self) -> int:
        """Commands whose answers have not come to their ends."""
        return len(self._owed) + (self._body is not None or self._ended)

    @property
    def pending(self) -> bool:
        """Whether octets wait that no event has told of."""
        return len(self._lines) > 0

    def say(self, line: bytes, shape: Shape = Shape.LINE) -> bytes:
        """The octets of a command. ValueError: it would be two."""
        if b"\r" in line or b"\n" in line or b"\0" in line:
            raise ValueError("a command is one line")
        self._owed.append(shape)
        return line + b"\r\n"

    def receive(self, data: bytes) -> None:
        self._lines.feed(data)

    def next_event(self) -> Event | None:
        """None: more octets are needed."""
        if self._ended:
            self._ended = False
            return Complete()
        if self._body is Shape.LETTER:
            return self._next_of_letter()
        line = self._lines.next(MAX_LINE)
        if line is None:
            # Its end may never come.
            return _too_long() if self._lines.holds(MAX_LINE) else None
        if not isinstance(line, Line):
            return _too_long()
        return self._status(line.text) if self._body is None else self._row(line.text)

    def _status(self, text: bytes) -> Event:
        if not self._owed:
            return Garbled(f"the server speaks without being asked: {printable(text[:80])}")
        found = _STATUS.match(text)
        if found is None:
            return Garbled(f"this is no answer of POP3: {printable(text[:80])}")
        shape, said = self._owed.popleft(), found["text"] or b""
        if found["challenge"]:
            return Answer(True, "", challenge=said.strip())
        positive = bool(found["ok"])
        if positive and shape is not Shape.LINE:
            self._body, self._letter = shape, MultilineDecoder()
        words = printable(said).strip()
        code = _RESPONSE_CODE.match(words)
        return Answer(positive, words[code.end() :], code[1].upper()) if code else Answer(positive, words)

    def _row(self, text: bytes) -> Event:
        if text == b".":
            self._body = None
            return Complete()
        return Row(text.removeprefix(b"."))

    def _next_of_letter(self) -> Event | None:
        data = self._lines.take()
        if not data:
            return None
        content, rest = self._letter.feed(data)
        if rest is None:
            return Piece(content) if content else None
        self._lines.feed(rest)
        self._body = None
        if not content:
            return Complete()
        self._ended = True  # told next
        return Piece(content)


def _too_long() -> Garbled:
    return Garbled(f"a line of more than {MAX_LINE} octets where an answer was due")
