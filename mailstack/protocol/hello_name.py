"""The name that a client gives itself in HELO and EHLO: anything, for many say what their computer is called."""

from __future__ import annotations

import re

MAX_NAME = 255  # octets, RFC 5321 §4.5.3.1.2

#: What a reply, a line of the log or a comment in a header field could mistake for something of its own, and what may
#: be of any charset: older clients send theirs as it is.
_ODD = re.compile(rb"[^!#-'*+./0-:=?A-Z\[\]^_`a-z{|}~-]")


def hello_name(text: bytes) -> str:
    """As it is shown everywhere: printable ASCII, ``?`` for all else and for what could break out. ValueError: it is
    empty or too long."""
    if not 1 <= len(text) <= MAX_NAME:
        raise ValueError
    return _ODD.sub(b"?", text).decode("ascii")
