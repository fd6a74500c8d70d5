"""Mail addresses as values. Parsing what came over the wire is :mod:`mailstack.protocol.paths`."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from attrs import evolve

from mailstack.model.domain import to_ascii, to_unicode
from mailstack.model.value import frozen

#: What RFC 6531 §3.3 adds to atoms, quoted strings and labels. Which of these characters are invisible or control
#: something is a question of their own: see :func:`visible`.
UTF8 = r"\u0080-\U0010ffff"
ATOM = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{UTF8}-]+"

#: RFC 5321 §4.1.2: Dot-string, with which a local part needs no quotes.
DOT_STRING = re.compile(rf"{ATOM}(?:\.{ATOM})*\Z")

#: RFC 5321 §4.1.2: Quoted-string, for the others.
QUOTED_STRING = re.compile(rf'"(?:[ !#-\[\]-~{UTF8}]|\\[ -~])*"\Z')

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
#: A domain name (an underscore is borne, it occurs) or an address literal.
DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Za-z:.-]+\])\Z")


MAX_NAME = 320  # characters of a name that is no address of ours: as many as the longest has, RFC 5321 §4.5.3.1


@frozen(order=True)
class Address:
    """One mailbox. ``local`` is without quotes and as it was written (in NFC, RFC 6532 §3.1); ``domain`` is in lower
    case and has A-labels only, so that it can be compared and asked for in DNS.

    >>> str(Address("two words", "office.test"))
    '"two words"@office.test'
    """

    local: str
    domain: str

    def __str__(self) -> str:
        return _written(self.local, self.domain)

    @property
    def isascii(self) -> bool:
        """Whether every server can take it. A domain's letters alone need no SMTPUTF8."""
        return self.local.isascii()

    @property
    def unicode(self) -> str:
        """As people write it, and SMTPUTF8 (RFC 6531 §3.7): the domain with U-labels."""
        return _written(self.local, to_unicode(self.domain))

    @property
    def canonical(self) -> Address:
        """The form that our own accounts have: their local parts do not depend on case."""
        local = folded(self.local)
        return self if local == self.local else evolve(self, local=local)

    @property
    def key(self) -> str:
        """The form for comparisons, as text."""
        return f"{folded(self.local)}@{self.domain}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """An address as written in a configuration file. ValueError says what is wrong."""
        written, at, domain = text.strip().rpartition("@")
        if not at or not written or not domain:
            raise ValueError(f"{text!r} is not an address like name@domain")
        local = local_part(written)
        if not local:
            raise ValueError(f"{text!r}: the part before the @ must not {_fault(written)}")
        return cls(local, address_domain(domain))


def local_part(written: str) -> str:
    """What a Local-part (RFC 5321 §4.1.2) means, in NFC; "" when it is none, or has nothing between its quotes."""
    if not (DOT_STRING.match(written) or QUOTED_STRING.match(written)) or not visible(written):
        return ""
    return composed(unquoted(written))


def unquoted(word: str) -> str:
    """What stands in a quoted string; an atom is what it is."""
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word


def _fault(written: str) -> str:
    """What is wrong with a local part that is none."""
    hidden = [char for char in written if not visible(char)]
    if hidden:
        return f"have {hidden[0]!r}"
    loose = [char for char in written if char != "." and not DOT_STRING.match(char)]
    if loose:
        return f"have {loose[0]!r} outside of quotes"
    return "begin or end with a dot, or have two in a row"


def address_domain(text: str) -> str:
    """The form that :class:`Address` keeps of a domain or an address literal. ValueError: it is neither."""
    domain = to_ascii(text)
    if not DOMAIN.match(domain):
        raise ValueError(f"{text!r} is not a domain")
    return domain.rstrip(".")


def short_name(name: str) -> str:
    """What a client calls somebody, for the log and for comparisons. A name that was cut is nobody's: no domain that we
    keep has its last character."""
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def visible(text: str) -> bool:
    """No control, formatting (bidirectional, zero-width), unassigned or private characters, no spaces but ASCII's:
    two addresses that look the same shall be the same."""
    return text.isprintable()


def composed(local: str) -> str:
    """NFC: one form for what Unicode can spell in several ways."""
    return local if local.isascii() else unicodedata.normalize("NFC", local)


def folded(local: str) -> str:
    """In lower case, and composed again: that of a composed text need not be."""
    return composed(local.lower())


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
