"""Names of Maildir++ sub-folders."""

from __future__ import annotations

import re
from base64 import b64encode

_NOT_PLAIN = re.compile(r"&|[^ -~]+")
MAX_NAME = 200  # octets on the disk


def on_disk(name: str) -> str:
    """``Sent/2019`` is ``.Sent.2019``, and letters beyond ASCII are in IMAP's UTF-7 (RFC 3501 §5.1.3), as Dovecot and
    Courier have it. ValueError: it can be no folder."""
    parts = name.split("/")
    if not all(parts) or any(part.startswith(".") or not part.isprintable() for part in parts):
        raise ValueError(f"{name!r} can be no folder")
    found = "." + ".".join(_NOT_PLAIN.sub(_utf7, part) for part in parts)
    if len(found) > MAX_NAME:
        raise ValueError(f"{name!r} is too long for a folder")
    return found


def _utf7(found: re.Match[str]) -> str:
    if found[0] == "&":
        return "&-"
    return "&" + b64encode(found[0].encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"
