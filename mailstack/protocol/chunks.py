"""Message data in counted chunks (BDAT): no dots, no end but the count. RFC 3030 §2. Inside, lines end in LF."""

from __future__ import annotations


class ChunkDecoder:
    """Wire to storage, through all chunks of one message: what is stored is the same as with DATA.

    A bare CR or LF is noted in ``stray``: the message is refused, but only after its last chunk, as with DATA.
    """

    def __init__(self) -> None:
        self._held = b""
        self._last = b"\n"
        self.stray = False

    def feed(self, data: bytes) -> bytes:
        """The next octets. A CR at their end waits for its LF, which may begin the next chunk."""
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        if self._held:
            data = data[:-1]
        text = data.replace(b"\r\n", b"\n")
        if len(data) - len(text) != text.count(b"\n") or b"\r" in text:
            self.stray = True
        self._last = text[-1:] or self._last
        return text

    def finish(self) -> bytes:
        """After the last chunk: the line end that the message may lack. With DATA it could not come without one."""
        if self._held:
            self.stray = True
        return b"" if self._last == b"\n" else b"\n"
