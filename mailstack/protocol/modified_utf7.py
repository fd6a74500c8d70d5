"""Names of folders as IMAP writes them, and Maildir++ keeps them on the disk: modified UTF-7, RFC 3501 §5.1.3."""

from __future__ import annotations

import codecs
import re
from base64 import b64decode, b64encode

_SHIFTED = re.compile(r"[^ -~]+|&")
_CODED = re.compile(r"&([A-Za-z0-9+,]*)-")


def encode(name: str) -> str:
    """ASCII. UnicodeEncodeError: it has half a character (what did not come as UTF-8)."""
    return _SHIFTED.sub(lambda found: "&-" if found[0] == "&" else f"&{_coded(found[0])}-", name)


def decode(written: str) -> str:
    """ValueError: that is none. A name that has other characters than ASCII's was never encoded: it is what it is, as
    with programs that keep names in UTF-8."""
    if not written.isascii():
        return written
    name = _CODED.sub(lambda found: _decoded(found[1]) if found[1] else "&", written)
    if encode(name) != written:
        # A "&" that begins nothing, or a second way to write the same name.
        raise ValueError(f"{written!r} is no modified UTF-7")
    return name


def _coded(text: str) -> str:
    # Not by the codec's name, which is a module that has to be found: we may have become another user.
    return b64encode(codecs.utf_16_be_encode(text)[0]).decode("ascii").rstrip("=").replace("/", ",")


def _decoded(coded: str) -> str:
    padded = coded.replace(",", "/") + "=" * (-len(coded) % 4)
    return codecs.utf_16_be_decode(b64decode(padded, validate=True), "strict", True)[0]
