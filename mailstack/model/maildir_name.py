"""Which addresses can have a Maildir, where it is, and what letters are called in it."""

from __future__ import annotations

from mailstack.model.address import Address
from mailstack.model.letter import Letter

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


def file_name(letter: Letter, hostname: str, surrogate: int | None = None) -> str:
    """``TIME.UNIQUE.HOST,S=octets,W=octets``; with ``,U=octets`` where a ``surrogate`` of that size may be asked for.
    The same for the same letter, so that a delivery that is repeated after a crash finds that it was made. A slash or
    colon must not stand in it (Maildir's rule)."""
    host = hostname.replace("/", "\\057").replace(":", "\\072")
    utf8 = "" if surrogate is None else f",U={surrogate}"
    return f"{int(letter.arrived)}.Q{letter.id}.{host},S={letter.size},W={letter.wire_size}{utf8}"
