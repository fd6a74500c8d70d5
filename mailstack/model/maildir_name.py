"""Which addresses can have a Maildir, and where it is."""

from __future__ import annotations

from mailstack.model.address import Address

MAX_LOCAL_PART = 64  # octets, RFC 5321 §4.5.3.1.1


def below_mail(address: Address) -> str:
    """``DOMAIN/LOCALPART``, the canonical account's path below ``mail/``. ValueError: it would lead out of there."""
    local = address.canonical.local
    if "/" in local or not local.isprintable():
        raise ValueError(f"{address}: a folder cannot have this name")
    if local.startswith(".") or not local:
        raise ValueError(f"{address}: a name that begins with a dot is no account")
    if len(local.encode()) > MAX_LOCAL_PART:
        raise ValueError(f"{address}: more than {MAX_LOCAL_PART} octets before the @")
    return f"{address.domain}/{local}"
