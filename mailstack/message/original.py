"""What a report names of the message that it is about: its subject, and the sender's time zone."""

from __future__ import annotations

import re
from datetime import timedelta, timezone, tzinfo
from email.errors import HeaderParseError
from email.header import decode_header

from mailstack.message.one_line import one_line

MAX_SUBJECT = 150  #: characters
MAX_FIELD = 4_000  #: octets of a field that are looked at; so many that MAX_SUBJECT encoded characters fit in

_ZONE = re.compile(rb"(?<=[0-9] )([+-])([01][0-9])([0-5][0-9])(?![0-9])")

#: For what calls itself by the name of a part of it, as mail does; and for what Python does not know.
_CHARSETS = {"gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "unicode-1-1-utf-7": "utf-7"}


def subject_of(header: bytes) -> str:
    """Decoded, one line, bounded; "" where there is none. ``header`` has LF line ends."""
    text = _text(_field(header, b"Subject"))
    try:
        words = decode_header(text)
    except (HeaderParseError, ValueError):  # a broken encoded word: shown as it came
        words = [(text, None)]
    return one_line("".join(_decoded(word, charset) for word, charset in words), MAX_SUBJECT)


def zone_of(header: bytes) -> tzinfo | None:
    """Of its Date: the clock by which the sender lives. None where it does not say; GMT and -0000 (RFC 5322 §3.3) say
    nothing about that."""
    found = _ZONE.search(_field(header, b"Date"))
    if found is None or found[0].startswith(b"-0000"):
        return None
    east = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(east if found[1] == b"+" else -east)


def _field(header: bytes, name: bytes) -> bytes:
    """The first of that name, unfolded; b"" without."""
    found = re.search(rb"^%s[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)" % name, header, re.IGNORECASE | re.MULTILINE)
    return b"" if found is None else found[1][:MAX_FIELD].replace(b"\r", b"").replace(b"\n", b"").strip()


def _text(raw: bytes) -> str:
    """UTF-8 as itself; octets of another charset are shown as unreadable."""
    return raw.decode("utf-8", "replace")


def _decoded(word: bytes | str, charset: str | None) -> str:
    """As :func:`decode_header` gives it: where there is no encoded word, it is text still; between encoded words, text
    as ``raw-unicode-escape``."""
    if isinstance(word, str):
        return word
    if charset is None:
        return word.decode("raw-unicode-escape", "replace")
    name = charset.partition("*")[0].lower()  # RFC 2231 §5: a language may follow
    try:
        return word.decode(_CHARSETS.get(name, name), "replace")
    except (LookupError, ValueError):
        return word.decode("utf-8", "replace")
