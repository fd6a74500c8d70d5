"""XCLIENT: a proxy says who its client is. https://www.postfix.org/XCLIENT_README.html

::

    xclient-command = XCLIENT 1*( SP attribute-name "=" attribute-value )
    attribute-value = xtext                                                ; RFC 3461 §4
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from mailstack.model import xtext
from mailstack.model.networks import unmapped
from mailstack.model.reply import Reply
from mailstack.protocol.hello_name import hello_name
from mailstack.protocol.smtp_events import Rejected, XClient

SYNTAX = "Syntax: XCLIENT attribute=value ..."

_UNKNOWN = {"[UNAVAILABLE]", "[TEMPUNAVAIL]"}
_HOST = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,255}")
_LOGIN = re.compile(r"\S{1,254}")


def parse(rest: str) -> XClient | Rejected:
    """The arguments of the command."""
    found: dict[str, str] = {}
    for word in rest.split(" "):
        name, equals, value = word.partition("=")
        attribute = ATTRIBUTES.get(name.upper())
        if not equals:
            return _bad(SYNTAX)
        if attribute is None:
            return _bad(f"Attribute {name[:40]} is not taken here; EHLO lists ours")
        field, read = attribute
        if field in found:
            return _bad(f"{name.upper()} is said twice")
        try:
            text = xtext.decode(value)
            found[field] = "" if text.upper() in _UNKNOWN else read(text)
        except ValueError:
            return _bad(f"The value of {name.upper()} is wrong")
    return XClient(**found)


def _bad(text: str) -> Rejected:
    return Rejected(Reply(501, "5.5.4", text))


def _address(text: str) -> str:
    """As the rest of the server writes it: IPv4 also where it comes in the clothes of IPv6."""
    six = text[:5].upper() == "IPV6:"
    address = ip_address(text[5:] if six else text)
    if six != isinstance(address, IPv6Address) or "%" in text:
        raise ValueError
    return str(unmapped(str(address)))


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError
        return text

    return read


#: The field of the event for each attribute that we honour, and how to read it; ValueError when it is wrong.
ATTRIBUTES: dict[str, tuple[str, Callable[[str], str]]] = {
    "NAME": ("name", _matching(_HOST)),
    "ADDR": ("address", _address),
    "HELO": ("hello", lambda text: hello_name(text.encode())),
    "LOGIN": ("login", _matching(_LOGIN)),
}
