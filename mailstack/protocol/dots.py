"""Message data on the wire: CRLF line ends, a dot before lines that begin with one, CRLF.CRLF at the end.

RFC 5321 §4.5.2 for SMTP; RFC 1939 §3 says the same for POP3. Inside, lines end in LF.
"""

from __future__ import annotations

from mailstack.model.value import frozen

END = b"\r\n.\r\n"

DOT = b"\r\n."  #: a line that begins with a dot is stuffed, or the end


@frozen
class Decoded:
    """A piece of a message. ``rest`` is what came after the end of data; None: the end was not seen yet."""

    content: bytes
    lines: int  #: how many end in it
    rest: bytes | None


class DotDecoder:
    """Wire to storage. Only CRLF.CRLF ends the data, however the stream is cut.

    A bare CR or LF is noted in ``stray``: the message is refused, but only after its true end, or the rest of it would
    be taken for commands.
    """

    def __init__(self) -> None:
        # The CRLF after the DATA command counts as the line end before the first line.
        self._held = b"\r\n"
        self._fresh = True
        self.stray = False

    def feed(self, data: bytes) -> Decoded:
        data = self._held + data
        dot = data.find(DOT)
        end = data.find(END, dot) if dot >= 0 else -1
        if end >= 0:
            content, rest = data[: end + 2], data[end + len(END) :]
            return self._decoded(content, dot < end, rest)
        # Hold back what may be the beginning of the end.
        cut = len(data) - _tail(data)
        content, self._held = data[:cut], data[cut:]
        return self._decoded(content, dot >= 0, None)

    def _decoded(self, content: bytes, stuffed: bool, rest: bytes | None) -> Decoded:
        if stuffed:
            content = content.replace(DOT, b"\r\n")
        lines = content.splitlines()
        if not content or content.endswith((b"\r", b"\n")):
            lines.append(b"")
        borrowed = self._fresh and bool(content)
        if borrowed:
            self._fresh = False
            del lines[0]
        text, ends = b"\n".join(lines), len(lines) - 1
        # CRLF, CR and LF end a line here; only where it was CRLF does LF make the text shorter.
        if len(content) - len(text) != ends + (2 if borrowed else 0):
            self.stray = True
        return Decoded(text, ends, rest)


def _tail(data: bytes) -> int:
    """How many of the last octets could be the beginning of CRLF.CRLF, or of a stuffed line."""
    for length in range(min(len(END) - 1, len(data)), 0, -1):
        if data.endswith(END[:length]):
            return length
    return 0


class DotEncoder:
    """Storage to wire, in pieces of any size. Whatever they hold, each CR has its LF and each LF its CR on the wire, so
    no reader can take for a line end what another one does not (SMTP smuggling)."""

    def __init__(self) -> None:
        self._last = b"\n"
        self._held = b""

    def encode(self, content: bytes) -> bytes:
        """A lone LF becomes CRLF, a lone CR a blank (as Postfix's cleanup_replace_stray_cr_lf does)."""
        if self._held or b"\r" in content:
            content = self._without_cr(content)
        if not content:
            return b""
        before, self._last = self._last, content[-1:]
        wire = content.replace(b"\n", b"\r\n").replace(b"\n.", b"\n..")
        return b"." + wire if before == b"\n" and wire.startswith(b".") else wire

    def finish(self) -> bytes:
        """The end of data, with the line end that the message may lack."""
        if self._held:
            return b" " + END
        return b".\r\n" if self._last == b"\n" else END

    def _without_cr(self, content: bytes) -> bytes:
        content = self._held + content
        # Whether it has its LF is seen in the next piece.
        self._held = b"\r" if content.endswith(b"\r") else b""
        content = content.removesuffix(b"\r")
        return content.replace(b"\r\n", b"\n").replace(b"\r", b" ")
