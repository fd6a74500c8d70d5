"""A letter with UTF-8 in its header, for programs that cannot have that: RFC 6858, as RFC 6856 §2.1 lets us.

Addresses that need UTF-8 become invalid ones which show what they were; the subject and the like become encoded words
(RFC 2047), parameters of MIME the form of RFC 2231; other fields with UTF-8 are left out. ASCII fields and bodies stay
as they are. Headers of parts and of letters within the letter are treated alike.

The size of the result stands in names of files that have been delivered: whoever changes a single octet here makes
those sizes wrong.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import BinaryIO
from urllib.parse import quote

from mailstack.message.mailboxes import BadField, Mailbox, named
from mailstack.model.wire_size import wire_octets

INVALID = "invalid@internationalized-address.invalid"  # RFC 6858 §2.1

PIECE = 256 * 1024  # octets read at once
MAX_HEADER = 256 * 1024  # octets of one header; what is beyond is left out
MAX_HELD = 8 * 1024  # octets of a line that are waited for; no boundary (70 characters) is longer
MAX_PARSED = 32 * 1024  # octets of one letter whose addresses and parameters are looked at: the work must be bounded
MAX_DEPTH = 50  # parts within parts
MAX_PARAMETER = 900  # octets, encoded; a line may have 998 (RFC 5322 §2.1.1), so a longer one is left out
WORD = 45  # octets that fit into an encoded word of 75 characters

_END = re.compile(rb"\n(?![ \t])")  # of a field
_FOLDED = re.compile(r"\r?\n(?=[ \t])")
_PARAMETER = re.compile(r';[ \t]*([^ \t=;"]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;"]*)')
_KIND = re.compile(rb"\s*([!-.0-~]+/[!-:<-~]+)")
_BOUNDARY = re.compile(rb";\s*boundary\s*=\s*(?:\"([^\"\n]{1,200})\"|([^\s;\"]{1,200}))", re.IGNORECASE)
_SPECIAL = re.compile(r'[()<>\[\]:;@\\,."]')


def surrogate(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Stored pieces of any size to such pieces."""
    maker = Surrogate()
    for piece in pieces:
        if made := maker.feed(piece):
            yield made
    if made := maker.finish():
        yield made


def measured(letter: BinaryIO) -> int:
    """The octets on the wire of the surrogate of a stored letter. OSError."""
    return wire_octets(surrogate(iter(partial(letter.read, PIECE), b"")))


class Surrogate:
    """Makes it while the letter is read, in the memory of one header."""

    def __init__(self) -> None:
        self._rest = b""  # of a line whose end has not come
        self._middle = False  # the line at hand has been taken in part
        self._header: bytearray | None = bytearray()  # so far; None: in a body
        self._boundaries: list[bytes] = []
        self._parsed = 0

    def feed(self, piece: bytes) -> bytes:
        if self._opaque:
            return piece
        held = self._rest + piece
        end = held.rfind(b"\n") + 1
        lines, rest = held[:end], held[end:]
        made = lines if self._plain(lines) else b"".join(self._line(line + b"\n") for line in lines.split(b"\n")[:-1])
        if self._opaque or len(rest) > MAX_HELD:
            made += self._line(rest)
            rest = b""
        self._rest = rest
        return made

    def _plain(self, lines: bytes) -> bool:
        """Whether these whole lines belong to a body, and none of them can be a delimiter: most of what there is."""
        if not lines or self._header is not None or b"\n--" in lines or not (self._middle or lines[:2] != b"--"):
            return False
        self._middle = False
        return True

    def finish(self) -> bytes:
        rest, self._rest = self._rest, b""
        return (self._line(rest) if rest else b"") + self._end_header()

    @property
    def _opaque(self) -> bool:
        """Nothing that comes now can be a header."""
        return self._header is None and not self._boundaries

    def _line(self, line: bytes) -> bytes:
        fresh, self._middle = not self._middle, not line.endswith(b"\n")
        if fresh and line.startswith(b"--") and self._boundaries and (made := self._delimiter(line)) is not None:
            return made
        if self._header is None:
            return line
        if fresh and line in (b"\n", b"\r\n"):
            return self._end_header() + line
        self._header += line[: MAX_HEADER - len(self._header)]
        return b""

    def _delimiter(self, line: bytes) -> bytes | None:
        """RFC 2046 §5.1.1; None: it is not one of ours."""
        if len(line) > MAX_HELD:
            return None  # whether it has come in one piece or not
        said = line[2:].rstrip()
        if said in self._boundaries:
            depth, header = self._boundaries.index(said) + 1, True
        elif said.endswith(b"--") and said[:-2] in self._boundaries:
            depth, header = self._boundaries.index(said[:-2]), False
        else:
            return None
        made = self._end_header() + line
        del self._boundaries[depth:]
        self._header = bytearray() if header else None
        return made

    # ---- Headers

    def _end_header(self) -> bytes:
        header, self._header = self._header, None
        if not header:
            return b""
        if len(header) == MAX_HEADER:
            del header[header.rfind(b"\n") + 1 :]
        fields = list(_fields(bytes(header)))
        known = {name: value for name, value in map(_split, reversed(fields)) if name in (TYPE, ENCODING)}
        kind = _KIND.match(known.get(TYPE, b""))
        letter = self._look_into(kind[1].lower() if kind else b"", known)
        return b"".join(self._field(field, letter) for field in fields)

    def _look_into(self, kind: bytes, known: dict[bytes, bytes]) -> bool:
        """Whether it is a letter that can be read within this one."""
        if kind.startswith(b"multipart/"):
            found = _BOUNDARY.search(known[TYPE][:MAX_HELD])
            if found and len(self._boundaries) < MAX_DEPTH:
                self._boundaries.append((found[1] or found[2]).rstrip())
        encoded = known.get(ENCODING, b"").strip().lower() in (b"base64", b"quoted-printable")
        if kind not in (b"message/rfc822", b"message/global") or encoded:
            return False
        self._header = bytearray()
        return True

    def _field(self, field: bytes, letter: bool) -> bytes:
        name, value = _split(field)
        if letter and name == TYPE:
            value = re.sub(rb"(?i)\A(\s*message/)global", rb"\1rfc822", value)
            field = field[: field.index(b":") + 1] + value
        if field.isascii():
            return field
        write = WRITERS.get(name)
        if write is None:
            return b""
        self._parsed += 0 if write is _words else len(value)
        text = _FOLDED.sub("", value.decode("utf-8", "replace")).strip()
        written = write(text, self._parsed <= MAX_PARSED)
        return b"%s: %s\n" % (field.partition(b":")[0].rstrip(), written.encode("ascii")) if written else b""


def _fields(header: bytes) -> Iterator[bytes]:
    """With their continuations."""
    start = 0
    for found in _END.finditer(header):
        yield header[start : found.end()]
        start = found.end()
    if start < len(header):
        yield header[start:]


def _split(field: bytes) -> tuple[bytes, bytes]:
    """The name in lower case, b"" when there is none, and what follows the colon."""
    name, colon, value = field.partition(b":")
    return (name.strip().lower(), value) if colon else (b"", field)


# ---- Values: text in, ASCII out; "" leaves the field out. ``look`` is False when enough was looked at.


def _words(text: str, look: bool = True) -> str:
    """RFC 2047."""
    words, word = [], b""
    for char in text:
        octets = char.encode("utf-8", "replace")
        if len(word) + len(octets) > WORD:
            words.append(word)
            word = b""
        word += octets
    return "\n ".join(f"=?utf-8?b?{b64encode(each).decode()}?=" for each in [*words, word])


def _addresses(text: str, look: bool) -> str:
    try:
        if not look:
            raise BadField("is too long")
        return ",\n ".join(_mailbox(each) for each in named(text.encode("utf-8")))
    except BadField:
        # What nobody can take apart is shown as it is.
        return f"{_words(text)}\n <{INVALID}>"


def _path(text: str, look: bool) -> str:
    """An address in angles, and no name."""
    return f"<{INVALID}>"


def _mailbox(mailbox: Mailbox) -> str:
    name, address = mailbox.name, mailbox.address
    if address.isascii:  # the domain, if that had UTF-8, has another form
        written = str(address)
    else:
        name, written = f"{name} <{address.unicode}>" if name else address.unicode, INVALID
    if not name:
        return f"<{written}>"
    if not name.isascii():
        return f"{_words(name)}\n <{written}>"
    quoted = '"' + re.sub(r'(["\\])', r"\\\1", name) + '"' if _SPECIAL.search(name) else name
    return f"{quoted} <{written}>"


def _parameters(text: str, look: bool) -> str:
    """RFC 2231 §4; what is too long for it is left out."""
    kind, semicolon, _ = text.partition(";")
    if not look or not kind.isascii():
        return ""
    written = [kind.strip()]
    for name, value in _PARAMETER.findall(text[len(kind) :] if semicolon else ""):
        if (name + value).isascii():
            written.append(f"{name}={value.strip()}")
            continue
        clear = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value.strip()
        encoded = quote(clear, safe="")
        if name.isascii() and len(encoded) <= MAX_PARAMETER:
            written.append(f"{name}*=utf-8''{encoded}")
    return ";\n ".join(written)


TYPE, ENCODING = b"content-type", b"content-transfer-encoding"

#: RFC 6858 §2.1 to §2.3, and what people read besides the subject.
WRITERS: dict[bytes, Callable[[str, bool], str]] = {
    **dict.fromkeys((b"subject", b"comments", b"content-description", b"thread-topic"), _words),
    **dict.fromkeys((b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"), _addresses),
    **dict.fromkeys((b"resent-from", b"resent-sender", b"resent-to", b"resent-cc", b"resent-bcc"), _addresses),
    b"return-path": _path,
    TYPE: _parameters,
    b"content-disposition": _parameters,
}
