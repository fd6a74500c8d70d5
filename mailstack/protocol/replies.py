"""Replies of an SMTP or LMTP server out of a stream of octets.

RFC 5321 §4.2.1::

    Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
"""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import frozen

from mailstack.model.reply import Reply
from mailstack.protocol.lines import Line, LineReader, TooLong

MAX_LINE = 4_096  #: octets with its end; RFC 5321 §4.5.3.1.5 asks for 512, some servers need more
SHORT = 100  #: octets of a line that is remembered
MAX_LINES = 200  #: of one reply
MAX_REPLY = 64 * 1_024  #: octets of one reply

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?\Z", re.DOTALL)
#: RFC 3463 §2; the class repeats the first digit of the code, RFC 2034 §4.
_STATUS = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: +|\Z)")


@frozen
class Garbled:
    """What came is no reply: nothing that follows can be trusted."""

    reason: str


class ReplyReader:
    """Cuts what a server says into replies, in bounded memory. After a :class:`Garbled` it must not be used."""

    def __init__(self) -> None:
        self._lines = LineReader()
        self._code = 0
        self._texts: list[str] = []
        self._octets = 0

    @property
    def pending(self) -> bool:
        """Whether there is something that was not handed out yet: a whole reply or a part of one."""
        return bool(len(self._lines) or self._texts)

    def feed(self, data: bytes) -> None:
        self._lines.feed(data)

    def next(self) -> Reply | Garbled | None:
        """The next reply; None: more is needed."""
        while (line := self._lines.next(MAX_LINE)) is not None:
            result = self._take(line)
            if result is not None:
                return result
        # Its end may never come.
        return _too_long() if self._lines.holds(MAX_LINE) else None

    def _take(self, line: Line | TooLong) -> Reply | Garbled | None:
        if isinstance(line, TooLong):
            return _too_long()
        if not self._texts and len(line.text) <= SHORT and (reply := _alone(line.text)) is not None:
            return reply
        found = _LINE.match(line.text)
        if not found:
            return Garbled(f"not a reply: {printable(line.text[:80])}")
        self._octets += len(line.text)
        if len(self._texts) == MAX_LINES or self._octets > MAX_REPLY:
            return Garbled(f"a reply of more than {MAX_LINES} lines or {MAX_REPLY} octets")
        code = int(found[1])
        if self._texts and code != self._code:
            return Garbled(f"one reply with two codes, {self._code} and {code}")
        self._code = code
        self._texts.append(printable(found[3] or b""))
        if found[2] == b"-":
            return None
        texts, self._texts, self._octets = self._texts, [], 0
        return _reply(code, texts)


@lru_cache(maxsize=1024)
def _alone(line: bytes) -> Reply | None:
    """A reply of one line; None: it is none, or goes on. Remembered, because servers have few answers."""
    found = _LINE.match(line)
    if not found or found[2] == b"-":
        return None
    return _reply(int(found[1]), [printable(found[3] or b"")])


def _reply(code: int, texts: list[str]) -> Reply:
    found = _STATUS.match(texts[0])
    if not found or found[1][0] != str(code)[0]:
        return Reply(code, "", "\n".join(texts))
    if len(texts) == 1:
        return Reply(code, found[1], texts[0][found.end() :])
    return Reply(code, found[1], "\n".join([_without(found[1], text) for text in texts]))


def _too_long() -> Garbled:
    return Garbled(f"a reply line of more than {MAX_LINE} octets")


def _without(status: str, text: str) -> str:
    """RFC 2034 §4 repeats the status on every line, not all servers do."""
    return text[len(status) :].lstrip(" ") if re.match(re.escape(status) + r"(?: |\Z)", text) else text


def printable(octets: bytes) -> str:
    """Foreign octets for logs and reports: UTF-8 where it is, no control or invisible characters."""
    text = octets.decode("utf-8", "replace").replace("\t", " ")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)
