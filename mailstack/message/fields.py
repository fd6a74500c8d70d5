"""The header of a letter that lies in a file, field by field, whoever wrote it there: a Maildir, a mail program, an
mbox. Forgiving, where :mod:`.header` and :mod:`.submission` look at what arrives and must not guess."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header, make_header

from attrs import frozen

MAX_VALUE = 8192  # octets of a field that are kept: no honest Received, nor a name, is longer

_BOM = b"\xef\xbb\xbf"
#: Between the letters of an mbox; mail programs write one into a saved letter, too.
_MBOX = re.compile(rb">?From [^\n]*\n")
#: RFC 5322 §2.2, with white space before the colon (§4.5).
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)")
_BLANK = re.compile(r"[ \t\n]+")


@frozen
class Field:
    name: str  #: in lower case
    value: bytes  #: as it came, lines parted by LF; cut at MAX_VALUE

    @property
    def text(self) -> str:
        """On one line; octets that are no UTF-8 as ``\\xff``. May have control characters."""
        return _one_line(self.value.decode("utf-8", "backslashreplace"))


def fields(head: bytes) -> list[Field]:
    """From the top to the blank line, or to what can be no field; none: it is not a letter. ``head`` may be the whole
    letter, with line ends of any kind."""
    return list(_scan(_with_lf(head.removeprefix(_BOM))))


def _with_lf(octets: bytes) -> bytes:
    if b"\n" not in octets:
        return octets.replace(b"\r", b"\n")
    return octets.replace(b"\r\n", b"\n")


def _scan(octets: bytes) -> Iterator[Field]:
    place = len(octets) - len(octets.lstrip(b"\n"))
    while True:
        if found := _FIELD.match(octets, place):
            yield Field(found[1].decode("ascii").lower(), found[2][:MAX_VALUE])
        elif not (found := _MBOX.match(octets, place)):
            return
        place = found.end()


def decoded(text: str) -> str:
    """With the encoded words of RFC 2047 in clear, or as it is where they are broken."""
    if "=?" not in text:
        return text
    try:
        clear = str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, ValueError):
        return text
    return _one_line(clear.encode("utf-8", "backslashreplace").decode())


def _one_line(text: str) -> str:
    return _BLANK.sub(" ", text).strip(" ")
