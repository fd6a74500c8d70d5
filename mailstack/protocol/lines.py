"""Command lines out of a stream of octets."""

from __future__ import annotations

from mailstack.model.value import frozen

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

    def __init__(self, longer: tuple[bytes, int] | None = None) -> None:
        """``longer``: how a line begins (in any case of letters, START octets at most) that may have so many octets,
        whatever the limit."""
        self._longer = longer
        self._buffer = b""
        self._at = 0  # where the next line begins
        self._searched = 0  # there is no LF between the two
        self._skipping = False
        self._start = b""

    def __len__(self) -> int:
        """Octets that wait."""
        return len(self._buffer) - self._at

    def feed(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer[self._at :] + data
            self._searched -= self._at
            self._at = 0
        self._buffer = data

    def next(self, limit: int) -> Line | TooLong | None:
        """The next line; None: more is needed. ``limit`` is in octets, its end included."""
        buffer, at = self._buffer, self._at
        if not buffer:
            return None
        end = buffer.find(b"\n", self._searched) + 1
        if not end:
            self._searched = len(buffer)
            if len(buffer) - at >= limit and len(buffer) - at >= self._limit(limit):
                self._skip()
            return None
        too_long = self._skipping or (end - at > limit and end - at > self._limit(limit))
        if end == len(buffer):
            self._buffer = b""
            self._at = self._searched = 0
        else:
            self._at = self._searched = end
        if too_long:
            return self._too_long(buffer[at : at + START])
        if buffer[end - 2 : end] == b"\r\n" and end - at > 1:
            text = buffer[at : end - 2]
            return Line(text, b"\r" not in text)
        return Line(buffer[at : end - 1], False)

    def _cut(self, end: int) -> None:
        """What stands before it was handed out. The rest stays where it is, or many short lines would be moved many
        times."""
        if end == len(self._buffer):
            self._buffer = b""
            end = 0
        self._at = self._searched = end

    def _limit(self, limit: int) -> int:
        if self._longer is None:
            return limit
        word, octets = self._longer
        start = self._start if self._skipping else self._ahead(len(word))
        return max(limit, octets) if start.upper() == word else limit

    def _skip(self) -> None:
        if not self._skipping:
            self._start = self._ahead(START)
        self._skipping = True
        self.take()

    def _too_long(self, start: bytes) -> TooLong:
        if self._skipping:
            start = self._start
        self._skipping = False
        return TooLong(start)

    def _ahead(self, octets: int) -> bytes:
        return self._buffer[self._at : self._at + octets]

    def holds(self, octets: int) -> bool:
        """Whether so many wait, or waited until they were thrown away."""
        return self._skipping or len(self._buffer) - self._at >= octets

    def begins_tls(self) -> bool | None:
        """Whether what waits is a TLS handshake and no line: its line end may never come. None: too little to tell."""
        start = self._ahead(len(TLS_RECORD))
        if len(start) < len(TLS_RECORD) and TLS_RECORD.startswith(start):
            return None
        return start == TLS_RECORD

    def take(self, most: int | None = None) -> bytes:
        """All that waits, or ``most`` octets of it, unread: for a stream that goes on as something else (message data,
        TLS)."""
        at, end = self._at, len(self._buffer)
        if most is not None:
            end = min(end, at + most)
        taken = self._buffer[at:end]
        self._cut(end)
        return taken
