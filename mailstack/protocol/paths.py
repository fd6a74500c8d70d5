"""Reverse-paths and forward-paths: the addresses in MAIL and RCPT. RFC 5321 §4.1.2, RFC 6531 §3.3.

Whether the session may use characters above ASCII is not known here: :func:`mailstack.protocol.smtp_commands.parse`
and the policy see to it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import frozen

from mailstack.model.address import Address, address_domain, local_part, visible
from mailstack.model.domain import MAX_DOMAIN

#: octets. RFC 5321 §4.5.3.1.1 has 64, and asks for no limit: what forwarders (SRS) and lists (VERP) write is longer.
MAX_LOCAL = 255

#   Path       = "<" [ A-d-l ":" ] Mailbox ">"
#   Mailbox    = Local-part "@" ( Domain / address-literal )
#   Local-part = Dot-string / Quoted-string
#   RFC 6531: sub-domain =/ U-label, atext =/ UTF8-non-ascii, qtextSMTP =/ UTF8-non-ascii
_PATH = re.compile(r'<(?P<path>(?:[^<>"]|"(?:[^"\\]|\\.)*")*)>(?:\ (?P<parameters>.*))?')
_SOURCE_ROUTE = re.compile(r"@[^:]*:")


class BadPath(ValueError):
    """Not an address; the message says why, in words for the reply."""


class SourceRoute(BadPath):
    """``<@relay:user@domain>``: obsolete, and only used to get around relay rules (RFC 5321 appendix F.2)."""


@frozen
class Argument:
    """What follows ``MAIL FROM:`` or ``RCPT TO:``: the text between the brackets, then ESMTP parameters."""

    path: str
    parameters: tuple[tuple[str, str], ...]


def argument(text: str, keyword: str) -> Argument:
    """Take the argument of MAIL (``keyword`` FROM) or RCPT (TO) apart. White space after the colon is borne."""
    word, colon, rest = text.partition(":")
    found = _PATH.fullmatch(rest.strip())
    if word.strip().upper() != keyword or not colon or not found:
        raise BadPath(f"Syntax: {keyword}:<address>")
    words = (found["parameters"] or "").split()
    return Argument(found["path"], tuple(_parameter(word) for word in words))


def _parameter(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    # Only ASCII: there are other letters whose capitals are ASCII.
    return key.upper() if key.isascii() else key, value


@lru_cache(maxsize=1024)
def mailbox(path: str) -> Address:
    """The mailbox between the brackets. Remembered, because most mail is from and for the same few."""
    if _SOURCE_ROUTE.match(path):
        raise SourceRoute("source routes are not used here")
    written, _, name = path.rpartition("@")
    local = local_part(written)
    if not local or not visible(name):
        raise BadPath("that is not a mail address")
    try:
        domain = address_domain(name)
    except ValueError:
        raise BadPath("that is not a mail address") from None
    if len(local.encode()) > MAX_LOCAL or len(domain) > MAX_DOMAIN:
        raise BadPath("a part of the address is too long")
    return Address(local, domain)


def recipient(path: str) -> Address:
    """The mailbox in RCPT. ``<postmaster>`` alone may stand without a domain (§4.1.1.3): then it is ``""``."""
    return Address("postmaster", "") if path.lower() == "postmaster" else mailbox(path)
