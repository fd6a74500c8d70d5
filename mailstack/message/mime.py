"""Parts of the letters that we write ourselves: encodings and lengths of lines. RFC 2045, RFC 2047."""

from __future__ import annotations

import re
from base64 import encodebytes
from email import quoprimime
from email.header import Header

from mailstack.message.one_line import one_line
from mailstack.message.report_fields import folded

_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")

MAX_LINE = 990  #: octets without its end; RFC 5322 §2.1.1 has 998
MAX_PLAIN_WORD = 60  #: characters of a word in Subject that is not encoded: encoded ones fit into lines
MAX_SUBJECT = 120  #: characters; encoded, the longest has less than ``report_fields.MAX_VALUE``


def part(kind: str, body: bytes, description: str, parameters: str = "", languages: str = "") -> bytes:
    """Fields, blank line and body, LF line ends; quoted-printable or base64, whichever is shorter, where 7-bit lines
    of up to 998 octets do not do."""
    if _plain(body):
        fields = content_fields(kind, description, "7bit", parameters, languages)
        return fields + body.rstrip(b"\n") + b"\n"
    body = body.replace(b"\r", b"")  # which the encoder would take for a line's end
    quoted = quoprimime.body_encode(body.decode("latin-1"), maxlinelen=76, eol="\n").rstrip("\n") + "\n"
    in_base64 = encodebytes(body)
    # Of text that is mostly ASCII, people without a mail program can read the quoted form.
    if kind == "text/plain" and len(in_base64) < len(quoted):
        return content_fields(kind, description, "base64", parameters, languages) + in_base64
    fields = content_fields(kind, description, "quoted-printable", parameters, languages)
    return fields + quoted.encode("ascii")


def content_fields(kind: str, description: str, encoding: str, parameters: str = "", languages: str = "") -> bytes:
    fields = [("Content-Description", description), ("Content-Type", kind + parameters)]
    if languages:
        fields.append(("Content-Language", languages))
    return (folded([*fields, ("Content-Transfer-Encoding", encoding)]) + "\n\n").encode("ascii")


def _plain(body: bytes) -> bool:
    """Whether it is 7bit, RFC 2045 §2.7, and has nothing that does something to a terminal."""
    return body.isascii() and eight_bit(body) and not controls(body)


def controls(body: bytes) -> bool:
    """Whether there are control characters but tabs and line ends."""
    return _CONTROL.search(body) is not None


def eight_bit(body: bytes) -> bool:
    """Whether it can go as 8bit, RFC 2045 §2.8."""
    return b"\0" not in body and b"\r" not in body and max(map(len, body.split(b"\n"))) <= MAX_LINE


def encoded_subject(text: str) -> str:
    """The value of a Subject field: ASCII as it is, all else in encoded words of UTF-8, folded."""
    subject = one_line(text, MAX_SUBJECT)
    # What only looks like an encoded word must not become one.
    if subject.isascii() and "=?" not in subject and max(map(len, subject.split()), default=0) <= MAX_PLAIN_WORD:
        return subject
    return Header(subject, "utf-8", header_name="Subject", maxlinelen=75).encode()
