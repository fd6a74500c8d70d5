"""How long a stored letter is on the wire."""

from __future__ import annotations

from typing import BinaryIO

PIECE = 256 * 1024  # octets read at once


def wire_octets(letter: BinaryIO) -> int:
    """Octets as :class:`~mailstack.protocol.dots.DotEncoder` sends them, without the stuffed dots and the final one.

    A lone LF counts as CRLF, and a last line without an end as if it had one.
    """
    total, last = 0, b"\n"
    while piece := letter.read(PIECE):
        total += len(piece) + piece.count(b"\n") - piece.count(b"\r\n")
        if last == b"\r" and piece.startswith(b"\n"):
            total -= 1
        last = piece[-1:]
    return total if last == b"\n" else total + 2
