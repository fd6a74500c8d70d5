"""What a proxy says of its client before all else: the PROXY protocol, version 1 and 2.

Version 1 is a line, ``PROXY TCP4 source destination port port CRLF``; version 2 is binary: a signature of 12 octets,
one for version and command, one for family and transport, two for the length of the rest (addresses, and more that we
do not need). https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from attrs import frozen

MAX_V1 = 107  #: octets with CRLF, section 2.1
MAX_V2 = 4_096  #: octets; the addresses need 52 at most. (nginx: the same. Postfix: 536.)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
WORD = b"PROXY "
HEAD = 16  # octets of version 2 before the addresses

_PORT = re.compile(r"0|[1-9][0-9]{0,4}")
_V1_FAMILIES = {"TCP4": IPv4Address, "TCP6": IPv6Address}

LOCAL, PROXY = 0x20, 0x21  # version 2 and its commands
#: Family and transport of version 2: octets of the source address, and of both addresses and ports. We serve TCP alone.
_V2_FAMILIES = {0x11: (4, 12), 0x21: (16, 36)}
#: Nobody who has an IP address: unspecified, and a UNIX socket.
_V2_NAMELESS = {0x00, 0x31}


@frozen
class Announced:
    """The header is complete. ``client`` is its IP address, None when the proxy speaks for itself (a health check);
    ``rest`` is what the client has said already."""

    client: str | None
    rest: bytes


@frozen
class Malformed:
    """It is none, and nothing that follows can be trusted."""

    reason: str


class ProxyHeader:
    """Cuts the header off a stream, in bounded memory. Done with the first answer."""

    def __init__(self) -> None:
        self._data = b""

    @property
    def begun(self) -> bool:
        """Whether anything was said."""
        return bool(self._data)

    def feed(self, data: bytes) -> Announced | Malformed | None:
        """None: more is needed."""
        self._data += data
        if self._data.startswith(WORD):
            return _first_version(self._data)
        if self._data.startswith(SIGNATURE):
            return _second_version(self._data)
        if WORD.startswith(self._data) or SIGNATURE.startswith(self._data):
            return None
        return Malformed("it does not begin with a PROXY header")


def _first_version(data: bytes) -> Announced | Malformed | None:
    line, end, rest = data.partition(b"\r\n")
    if len(line) + 2 > MAX_V1:
        return Malformed(f"a header of more than {MAX_V1} octets")
    if not end:
        return None
    words = line.decode("ascii", "replace").split(" ")
    if words[1] == "UNKNOWN":
        # Section 2.1: whatever may follow on the line is to be ignored.
        return Announced(None, rest)
    if len(words) != 6 or not all(_is_port(word) for word in words[4:]):
        return Malformed("a header in a wrong form")
    try:
        source, destination = (ip_address(word) for word in words[2:4])
    except ValueError:
        return Malformed("a header in a wrong form")
    if {type(source), type(destination)} != {_V1_FAMILIES.get(words[1])} or "%" in words[2]:
        return Malformed("a header in a wrong form")
    return Announced(str(source), rest)


def _is_port(word: str) -> bool:
    return bool(_PORT.fullmatch(word)) and int(word) < 65_536


def _second_version(data: bytes) -> Announced | Malformed | None:
    if len(data) < HEAD:
        return None
    command, family, length = data[12], data[13], int.from_bytes(data[14:HEAD], "big")
    if command not in (LOCAL, PROXY):
        return Malformed("a header of an unknown version or command")
    if HEAD + length > MAX_V2:
        return Malformed(f"a header of more than {MAX_V2} octets")
    if len(data) < HEAD + length:
        return None
    addresses, rest = data[HEAD : HEAD + length], data[HEAD + length :]
    if command == LOCAL or family in _V2_NAMELESS:
        return Announced(None, rest)
    size, least = _V2_FAMILIES.get(family, (0, 0))
    if not size or length < least:
        return Malformed("a header in a wrong form")
    return Announced(str(ip_address(addresses[:size])), rest)
