"""Mail addresses as values. Parsing what came over the wire is :mod:`mailstack.protocol.paths`."""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import frozen

#: RFC 5321 §4.1.2: Dot-string, with which a local part needs no quotes.
DOT_STRING = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")

#: RFC 5321 §4.1.2: Quoted-string, for the others; group 1 is what stands between the quotes.
QUOTED_STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\[ -~])+)"\Z')

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
#: A domain name (an underscore is borne, it occurs) or an address literal.
DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Za-z:.-]+\])\Z")


@frozen(order=True)
class Address:
    """One mailbox. ``local`` is without quotes and as it was written; ``domain`` is in lower case.

    >>> str(Address("two words", "office.test"))
    '"two words"@office.test'
    """

    local: str
    domain: str

    def __str__(self) -> str:
        return _written(self.local, self.domain)

    @property
    def key(self) -> str:
        """The form for comparisons: our own users' local parts do not depend on case."""
        return f"{self.local.lower()}@{self.domain}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """An address as written in a configuration file. ValueError says what is wrong."""
        local, at, domain = text.strip().rpartition("@")
        if not at or not local or not domain:
            raise ValueError(f"{text!r} is not an address like name@domain")
        quoted = QUOTED_STRING.match(local)
        if quoted:
            local = re.sub(r"\\(.)", r"\1", quoted[1])
        elif not DOT_STRING.match(local):
            raise ValueError(f"{text!r}: the part before the @ has a character that it must not have")
        if not DOMAIN.match(domain):
            raise ValueError(f"{text!r}: {domain!r} is not a domain")
        return cls(local, domain.rstrip(".").lower())


@lru_cache(maxsize=1024)
def _written(local: str, domain: str) -> str:
    """Remembered, because one letter's addresses are written a dozen times."""
    if DOT_STRING.match(local):
        return f"{local}@{domain}"
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"@{domain}'


def path(address: Address | None) -> str:
    """An envelope address as it is written in commands and logs: ``<…>``, ``<>`` for the null sender."""
    return f"<{address or ''}>"
