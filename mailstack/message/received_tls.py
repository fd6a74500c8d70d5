"""How a hop was encrypted, as servers write it: most in a comment of the Received field, each in its own way."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import frozen


@frozen
class Tls:
    """``""`` is what is not said."""

    version: str = ""  #: as OpenSSL writes it: TLSv1.3
    cipher: str = ""

    @property
    def outdated(self) -> bool:
        """RFC 8996, RFC 7568."""
        return self.version in ("TLSv1", "TLSv1.1") or self.version.startswith("SSL")


_VERSION = r"(?P<version>(?:TLS|SSL)[A-Za-z0-9._/]*)"
_FORMS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"using {_VERSION} with cipher (?P<cipher>\S+)",  # Postfix, Dovecot, mailstack
        rf"version={_VERSION},? cipher=(?P<cipher>[^\s,]+)",  # sendmail, Gmail, Exchange, Coremail
        rf"TLS: {_VERSION},[0-9]+bits,(?P<cipher>\S+)",  # Courier
        rf"{_VERSION}:(?P<cipher>[A-Za-z0-9_+-]+)(?::\S*)?\Z",  # Exim, OpenSMTPD
        rf"{_VERSION}\Z",  # Exim, with the cipher in a clause; Exchange says just "TLS"
        r"(?P<cipher>[A-Za-z0-9_-]+) encrypted\Z",  # qmail
        r"Google Transport Security\Z",
    )
)
_NUMBER = re.compile(r"(TLS|SSL)v?([0-9])(?:[._]([0-9]))?\Z")


def tls(comments: Iterable[str], clause: str = "") -> Tls | None:
    """The first that is told; ``clause`` is that of RFC 8314 §4.3, the cipher."""
    for comment in comments:
        for form in _FORMS:
            if found := form.match(comment):
                said = found.groupdict()
                return Tls(_version(said.get("version") or ""), said.get("cipher") or clause)
    return Tls("", clause) if clause else None


def _version(text: str) -> str:
    """One way to write it."""
    found = _NUMBER.match(text)
    if found is None:
        return "" if text == "TLS" else text
    minor = found[3] if found[3] not in (None, "0") else ""
    return f"{found[1]}v{found[2]}{'.' if minor else ''}{minor}"
