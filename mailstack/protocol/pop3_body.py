"""The body of a multi-line response, in pieces, so that a letter of any size costs the memory of one piece."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from attrs import frozen

from mailstack.protocol.dots import DotEncoder

#: The end of the line before, and the empty line that ends a header. Foreign files may hold CRLF.
_EMPTY_LINE = re.compile(rb"\n\r?\n")


@frozen
class WireLines:
    """A body that is on the wire as it is: whole lines with CRLF, none of which begins with a dot."""

    pieces: Iterable[bytes]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)


def multiline(body: Iterable[bytes]) -> Iterator[bytes]:
    """As it goes over the wire, with its end: RFC 1939 §3."""
    if isinstance(body, WireLines):
        yield from body.pieces
        yield b".\r\n"
        return
    encoder = DotEncoder()
    for piece in body:
        yield encoder.encode(piece)
    yield encoder.finish()


def top(pieces: Iterable[bytes], lines: int) -> Iterator[bytes]:
    """The header, the empty line, and so many lines of the body: RFC 1939 §7. No piece is taken after that."""
    before, left = b"\n", -1  # -1: in the header
    for piece in pieces:
        start = 0
        if left < 0:
            empty = _EMPTY_LINE.search(before + piece)
            if empty is None:
                before = (before + piece)[-2:]
                yield piece
                continue
            start, left = empty.end() - len(before), lines
        end = _after_lines(piece, start, left)
        yield piece[:end]
        left -= piece.count(b"\n", start, end)
        if not left:
            return


def _after_lines(piece: bytes, start: int, lines: int) -> int:
    """Where the so manieth line ends; the end of the piece when it has fewer."""
    if piece.count(b"\n", start) < lines:
        return len(piece)
    for _ in range(lines):
        start = piece.index(b"\n", start) + 1
    return start
