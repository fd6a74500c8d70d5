"""Command lines out of a stream of octets."""

from __future__ import annotations

from attrs import frozen

TLS_RECORD = b"\x16\x03"  # RFC 8446 §5.1: a record of type handshake, version 3.x
START = 5  # octets that are kept of a line that is too long: an SMTP verb, and the blank behind it


@frozen
class Line:
    """One line without its end. ``strict`` is False when it did not end in CRLF, or holds a stray CR."""

    text: bytes
    strict: bool = True


@frozen
class TooLong:
    """A line above the limit was thrown away, to its end. ``start`` is what it began with."""

    start: bytes = b""


class LineReader:
    """Cuts what arrives into lines, in bounded memory.

    A bare LF ends a line too, marked as not strict: so somebody with a bare telnet gets an answer, and nothing hides
    in a line that others would read as two.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._skipping = False
        self._start = b""

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
                self._skip()
            return None
        raw = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        self._searched = 0
        if self._skipping or len(raw) > limit:
            return self._too_long(raw)
        strict = raw.endswith(b"\r\n")
        text = raw[:-2] if strict else raw[:-1]
        return Line(text, strict and b"\r" not in text)

    def _skip(self) -> None:
        if not self._skipping:
            self._start = bytes(self._buffer[:START])
        self._skipping = True
        self.take()

    def _too_long(self, raw: bytes) -> TooLong:
        start = self._start if self._skipping else raw[:START]
        self._skipping = False
        return TooLong(start)

    def holds(self, octets: int) -> bool:
        """Whether so many wait, or waited until they were thrown away."""
        return self._skipping or len(self._buffer) >= octets

    def begins(self, word: bytes) -> bool:
        """Whether the next line begins with a word in any case of letters, of START octets at most; also while the line
        is thrown away."""
        start = self._start if self._skipping else self._buffer[: len(word)]
        return start.upper() == word

    def begins_tls(self) -> bool | None:
        """Whether what waits is a TLS handshake and no line: its line end may never come. None: too little to tell."""
        start = self._buffer[: len(TLS_RECORD)]
        if len(start) < len(TLS_RECORD) and TLS_RECORD.startswith(start):
            return None
        return start == TLS_RECORD

    def take(self, most: int | None = None) -> bytes:
        """All that waits, or ``most`` octets of it, unread: for a stream that goes on as something else (message data,
        TLS)."""
        rest = bytes(self._buffer if most is None else self._buffer[:most])
        del self._buffer[: len(rest)]
        self._searched = 0
        return rest
