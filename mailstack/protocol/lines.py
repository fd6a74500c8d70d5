"""Command lines out of a stream of octets."""

from __future__ import annotations

from attrs import frozen


@frozen
class Line:
    """One line without its end. ``strict`` is False when it did not end in CRLF, or holds a stray CR."""

    text: bytes
    strict: bool = True


@frozen
class TooLong:
    """A line above the limit was thrown away, to its end."""


class LineReader:
    """Cuts what arrives into lines, in bounded memory.

    A bare LF ends a line too, marked as not strict: so somebody with a bare telnet gets an answer, and nothing hides
    in a line that others would read as two.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._skipping = False

    def __len__(self) -> int:
        """Octets that wait."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self, limit: int) -> Line | TooLong | None:
        """The next line; None: more is needed. ``limit`` is in octets, its end included."""
        if not self._buffer:
            return None
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            if len(self._buffer) >= limit:
                self._skipping = True
                self.take()
            return None
        raw = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        self._searched = 0
        if self._skipping or len(raw) > limit:
            self._skipping = False
            return TooLong()
        strict = raw.endswith(b"\r\n")
        text = raw[:-2] if strict else raw[:-1]
        return Line(text, strict and b"\r" not in text)

    def take(self) -> bytes:
        """All that waits, unread: for a stream that goes on as something else (message data, TLS)."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        return rest
