"""What follows a command and is no command: message data (DATA), chunks (BDAT), octets to drop."""

from __future__ import annotations

from typing import Protocol

from mailstack.protocol.chunks import ChunkDecoder
from mailstack.protocol.dots import DotDecoder
from mailstack.protocol.lines import LineReader
from mailstack.protocol.smtp_events import Bdat, Body, BodyEnd, ChunkEnd, Event


class Stretch(Protocol):
    """Octets that are not to be read as commands."""

    def next_event(self, lines: LineReader) -> Event | None:
        """What the octets that wait in ``lines`` mean; None: more are needed."""


class DottedData:
    """After the 354: up to CRLF.CRLF."""

    def __init__(self) -> None:
        self._decoder = DotDecoder()
        self._ended = False

    def next_event(self, lines: LineReader) -> Event | None:
        if self._ended:
            return BodyEnd(self._decoder.stray)
        data = lines.take()
        if not data:
            return None
        decoded = self._decoder.feed(data)
        if decoded.rest is not None:
            self._ended = True
            lines.feed(decoded.rest)
        if decoded.content:
            return Body(decoded.content, decoded.lines)
        return BodyEnd(self._decoder.stray) if self._ended else None


class Counted:
    """``size`` octets that are dropped; then ``event`` is due, and no answer leaves before."""

    def __init__(self, size: int, event: Event) -> None:
        self._left = size
        self._event = event

    def next_event(self, lines: LineReader) -> Event | None:
        self._take(lines)
        return None if self._left else self._event

    def _take(self, lines: LineReader) -> bytes:
        data = lines.take(self._left)
        self._left -= len(data)
        return data


class Chunk(Counted):
    """The octets of one BDAT."""

    def __init__(self, bdat: Bdat, decoder: ChunkDecoder) -> None:
        super().__init__(bdat.size, ChunkEnd(bdat.size))
        self._last = bdat.last
        self._decoder = decoder

    def next_event(self, lines: LineReader) -> Event | None:
        data = self._take(lines)
        content = self._decoder.feed(data) if data else b""
        if self._last and not self._left:
            content += self._decoder.finish()
            self._event = BodyEnd(self._decoder.stray)
            # Asked again after the Body, it has no more to add.
            self._last = False
        if content:
            return Body(content, content.count(b"\n"))
        return None if self._left else self._event
