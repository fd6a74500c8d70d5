"""Names of folders, as people and their programs write them."""

from __future__ import annotations

from unicodedata import normalize

INBOX = "inbox"  # in any case of letters, RFC 3501 §5.1


def alike(name: str) -> str:
    """The same for all ways to write a name. NFKC, because SASLprep (RFC 4013) makes that of it."""
    return normalize("NFKC", name.casefold())


def below_inbox(name: str) -> str:
    """The name, but "" for the inbox however it is written."""
    return "" if alike(name) == INBOX else name
