"""Names and passwords as SCRAM compares them: SASLprep, RFC 4013."""

from __future__ import annotations


def prepared(text: str) -> str:
    """ASCII is what it is. So is what SASLprep forbids, as with PostgreSQL: the client may not know of it either."""
    if text.isascii():
        return text
    from passlib.utils import saslprep  # type: ignore[import-untyped]  # libpass has no type marks; slow to load

    try:
        return str(saslprep(text))
    except ValueError:
        return text


def load() -> None:
    """What :func:`prepared` needs, while we may still be root: the user who we become need not be able to read it."""
    prepared("\u00e9")


def octets(password: str) -> bytes:
    """What keys are made from. What did not come as UTF-8 was decoded with ``surrogateescape``."""
    return prepared(password).encode("utf-8", "surrogateescape")
