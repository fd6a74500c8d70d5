"""The body of a multi-line response as a client reads it: a letter that comes in pieces of any size. RFC 1939 §3."""

from __future__ import annotations

from mailstack.protocol.dots import END


class MultilineDecoder:
    """Takes away the stuffed dots and the end, and nothing else: CR and LF stay as they are, alone or together, for
    they are the letter's own.

    Only CRLF.CRLF ends it, however the stream is cut. What is held back is shorter than that, so lines may be of any
    length.
    """

    def __init__(self) -> None:
        # The CRLF after the status line is the line end before the first line.
        self._held = b"\r\n"
        self._fresh = True

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """A piece of the content, and what came after its end; None: the end was not seen yet."""
        data = self._held + data
        end = data.find(END)
        if end >= 0:
            self._held = b""
            return self._unstuffed(data[: end + 2]), data[end + len(END) :]
        cut = len(data) - _beginning_of_end(data)
        self._held = data[cut:]
        return self._unstuffed(data[:cut]), None

    def _unstuffed(self, data: bytes) -> bytes:
        content = data.replace(b"\r\n.", b"\r\n")
        if self._fresh and content:
            self._fresh = False
            return content.removeprefix(b"\r\n")  # the borrowed one
        return content


def _beginning_of_end(data: bytes) -> int:
    """How many of the last octets could be the beginning of CRLF.CRLF, or of a stuffed line."""
    return next((length for length in range(len(END) - 1, 0, -1) if data.endswith(END[:length])), 0)
