"""Text in the parameters of MAIL and RCPT: xtext (RFC 3461 §4) and the utf-8 address type (RFC 6533 §3).

::

    xtext   = *( xchar / hexchar )
    xchar   = any ASCII CHAR between "!" and "~" inclusive, except for "+" and "="
    hexchar = "+" followed by two upper case hexadecimal digits
"""

from __future__ import annotations

import re

from mailstack.model.address import UTF8, visible

#: RFC 3461 §5.4: a server takes so many characters at least, and nobody needs more.
MAX_ENVID, MAX_ORCPT = 100, 500

_XCHAR = r"!-*,-<>-~"
_HEXCHAR = r"\+[0-9A-F]{2}"
_XTEXT = re.compile(rf"(?:[{_XCHAR}]|{_HEXCHAR})+")
#: Postfix and others write xtext here too, so both ways to escape are taken.
_UNITEXT = re.compile(rf"(?:[{_XCHAR}{UTF8}]|{_HEXCHAR})+")
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*/?^_`{|}~-]+")


def decode(xtext: str) -> str:
    """What xtext means. ValueError: it is none, or is not for the eyes. §4.2 wants printable ASCII; Postfix hides
    UTF-8 in it, which is taken."""
    if not _XTEXT.fullmatch(xtext):
        raise ValueError(f"{xtext!r} is not xtext")
    text = _unhexed(xtext)
    if not visible(text):
        raise ValueError(f"{xtext!r} has characters that nobody can read")
    return text


def encode(text: str) -> str:
    """As xtext; ASCII only."""
    return re.sub(r"[^!-*,-<>-~]", lambda found: f"+{ord(found[0]):02X}", text)


def envelope_id(value: str) -> str:
    """The value of ENVID, as it came. ValueError."""
    if len(value) > MAX_ENVID:
        raise ValueError(f"more than {MAX_ENVID} characters")
    if not decode(value).isascii():
        raise ValueError(f"{value!r} is not ASCII")
    return value


def original_recipient(value: str) -> str:
    """The value of ORCPT, as it came: ``addr-type;xtext``. ValueError."""
    kind, semicolon, address = value.partition(";")
    if len(value) > MAX_ORCPT or not semicolon or not _ATOM.fullmatch(kind):
        raise ValueError("no original recipient")
    if kind.lower() == "utf-8":
        _decode_utf8(address)
    else:
        decode(address)
    return value


def readable(orcpt: str) -> str:
    """An ORCPT that was taken, as a report shows it: ``rfc822;two words@…``, ``utf-8;用户@…``."""
    kind, _, address = orcpt.partition(";")
    return f"{kind};{_decode_utf8(address) if kind.lower() == 'utf-8' else decode(address)}"


def in_ascii(orcpt: str) -> str:
    """The same ORCPT for a server without SMTPUTF8 (RFC 6533 §3, utf-8-addr-xtext)."""
    return re.sub(rf"[{UTF8}]", lambda found: f"\\x{{{ord(found[0]):X}}}", orcpt)


def _decode_utf8(address: str) -> str:
    if not _UNITEXT.fullmatch(address):
        raise ValueError(f"{address!r} is not an address of type utf-8")
    text = _EMBEDDED.sub(lambda found: _character(found[1]), _unhexed(address))
    if not visible(text):
        raise ValueError(f"{address!r} has characters that nobody can read")
    return text


def _character(digits: str) -> str:
    """ValueError above the last code point, and for a surrogate."""
    character = chr(int(digits, 16))
    character.encode("utf-8")
    return character


def _unhexed(text: str) -> str:
    """ValueError when the octets are no UTF-8."""
    octets = re.sub(rb"\+([0-9A-F]{2})", lambda found: bytes.fromhex(found[1].decode()), text.encode())
    return octets.decode("utf-8")
