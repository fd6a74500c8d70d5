"""Names of Maildir++ sub-folders."""

from __future__ import annotations

from mailstack.protocol import modified_utf7

MAX_NAME = 200  # octets on the disk


def on_disk(name: str) -> str:
    """``Sent/2019`` is ``.Sent.2019``, and letters beyond ASCII are in IMAP's UTF-7 (RFC 3501 §5.1.3), as Dovecot and
    Courier have it. ValueError: it can be no folder."""
    parts = name.split("/")
    if not all(parts) or any(part.startswith(".") or not part.isprintable() for part in parts):
        raise ValueError(f"{name!r} can be no folder")
    found = "." + ".".join(modified_utf7.encode(part) for part in parts)
    if len(found) > MAX_NAME:
        raise ValueError(f"{name!r} is too long for a folder")
    return found
