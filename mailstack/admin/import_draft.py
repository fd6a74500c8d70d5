"""A letter on its way into a Maildir: LF line ends, exact sizes, and what its header says of the time it came."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from mailstack import durable, owners
from mailstack.message.fields import fields
from mailstack.message.when import unix_time

MAX_HEADER = 64 * 1024  # octets in which the time is looked for
MAX_RUN = 64 * 1024  # CRs in a row of which it is waited to see whether LF comes; of a longer run the rest is dropped

_COMMENT = re.compile(r"\([^()]*\)")


class LineEnds:
    """CRLF to LF, for pieces that are cut anywhere; what is stored holds no CRLF, and its last line has an end.

    A bare LF ends a line, too, and so goes out as CRLF; a bare CR stays, and goes out as a blank, as everywhere here.
    CRs in front of CRLF are dropped. ``odd``: there was something of that.
    """

    def __init__(self, lf_is_odd: bool) -> None:
        """``lf_is_odd``: on the wire, not on a disk."""
        self._lf_is_odd = lf_is_odd
        self._held = b""
        self._last = b"\n"
        self.odd = False

    def feed(self, data: bytes) -> bytes:
        data = self._held + data
        kept = len(data.rstrip(b"\r")) if data.endswith(b"\r") else len(data)
        self._held, data = data[kept:][:MAX_RUN], data[:kept]
        text = data.replace(b"\r\n", b"\n")
        if self._lf_is_odd and len(data) - len(text) != text.count(b"\n"):
            self.odd = True
        if b"\r" in text:
            self.odd = True
            text = re.sub(rb"\r+\n", b"\n", text)
        self._last = text[-1:] or self._last
        return text

    def finish(self) -> bytes:
        """The rest: the line end that is missing."""
        self.odd = self.odd or bool(self._held)
        return b"\n" if self._last != b"\n" or self._held else b""


class Draft:
    """One file in ``tmp``. OSError from whatever needs the disk; then :meth:`drop` it."""

    def __init__(self, path: Path, lf_is_odd: bool) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._ends = LineEnds(lf_is_odd)
        self._hash = sha256()
        self._header = b""
        self.size = 0  #: octets as stored
        self.wire_size = 0  #: octets with CRLF, as POP3 sends them
        owners.give(self._fd, path.parent)

    @property
    def odd(self) -> bool:
        return self._ends.odd

    @property
    def digest(self) -> str:
        """Of the content, once it is whole."""
        return self._hash.hexdigest()

    def write(self, piece: bytes) -> None:
        self._store(self._ends.feed(piece))

    def finish(self) -> None:
        """It is whole, but not durable."""
        self._store(self._ends.finish())
        os.close(self._fd)
        self._fd = -1

    def drop(self) -> None:
        """It is not wanted, or not whole."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        with suppress(OSError):
            self.path.unlink()

    def came(self) -> int | None:
        """Unix time: the newest Received, which stands first, else Date. None: it does not say."""
        found = fields(self._header)
        for name in ("received", "date"):
            text = next((field.text for field in found if field.name == name), "")
            if text:
                return unix_time(_COMMENT.sub(" ", text.rpartition(";")[2]).strip())
        return None

    def _store(self, text: bytes) -> None:
        durable.write_all(self._fd, text)
        self._hash.update(text)
        self.size += len(text)
        self.wire_size += len(text) + text.count(b"\n")
        if len(self._header) < MAX_HEADER:
            self._header += text[: MAX_HEADER - len(self._header)]
