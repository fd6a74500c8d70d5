"""Where to connect to and where to listen, as written in mail.ini: hosts and endpoint strings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from attrs import frozen

from mailstack.config import values
from mailstack.config.problem import BadValue

SMTP_PORT = 25
SUBMISSION_PORT = 587  # RFC 6409 §3.1
DNS_PORT = 53

_BRACKETED = re.compile(r"\[(?:IPv6:)?([^\[\]]+)\](?::(.*))?\Z", re.IGNORECASE)
_PLAIN = re.compile(r"([^:\[\]]+)(?::(.*))?\Z")
#: Twisted's ``kind:argument:name=value``; what the kinds take is checked when the port is opened.
_ENDPOINT = re.compile(r"[a-z][a-z0-9]*:\S+\Z")
_ARGUMENT = re.compile(r"((?:[^:\\]|\\.)*)(?::|\Z)")
_TCP = re.compile(r"(?:tcp6?|ssl):(?:port=)?([^:]*)")


@frozen
class Target:
    """A host and a port. ``literal`` is used as it is, without MX look-up."""

    host: str
    port: int
    literal: bool


def target(text: str, default_port: int) -> Target:
    """``name``, ``name:port``, ``[name]:port``, ``[192.0.2.1]``, ``[2001:db8::1]:port``."""
    bracketed = _BRACKETED.match(text)
    found = bracketed or _PLAIN.match(text)
    if found is None:
        raise BadValue(f"{text!r} is not a host", "write name, name:port or [2001:db8::1]:port")
    host, port_text = found[1], found[2]
    number = default_port if port_text is None else port(port_text)
    if is_address(host):
        return Target(str(ip_address(host)), number, literal=True)
    return Target(values.domain(host), number, literal=bracketed is not None)


def is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise BadValue(f"{text!r} is not a port", "write a number from 1 to 65535")
    return int(text)


def name_server(text: str) -> tuple[str, int]:
    """``192.0.2.53``, ``192.0.2.53:5353``, ``2001:db8::53``, ``[2001:db8::53]:5353``."""
    found = Target(text, DNS_PORT, literal=True) if is_address(text) else target(text, DNS_PORT)
    if not is_address(found.host):
        raise BadValue(f"{text!r} is not an IP address", "write the address of the name server, such as 192.0.2.53")
    return found.host, found.port


def next_hop(text: str) -> tuple[str, int | None]:
    """A smarthost: the host, in [] when it needs no MX look-up, and the port if one is written."""
    found = target(text, 0)
    return f"[{found.host}]" if found.literal else found.host, found.port or None


def endpoints(text: str) -> tuple[str, ...]:
    """Twisted endpoint strings, one a line."""
    return tuple(endpoint(line) for line in text.split("\n") if line)


def endpoint(text: str) -> str:
    if text.isdigit():
        raise BadValue(f"{text!r} is only a port", f"write tcp:{text}")
    if not _ENDPOINT.match(text):
        raise BadValue(
            f"{text!r} is not an endpoint",
            "write one a line, such as tcp:2525 or tcp:25:interface=192.0.2.1 (\\: for the colons of IPv6)",
        )
    tcp = _TCP.match(text.removeprefix("haproxy:"))
    if tcp is not None and tcp[1] != "0":  # 0: any free port
        port(tcp[1])
    return text


def reached_here(endpoints: Iterable[str]) -> Target | None:
    """Where a program of this machine reaches who listens there, at the first that it can; None: at none."""
    return next(filter(None, map(_reached_here, endpoints)), None)


def _reached_here(endpoint: str) -> Target | None:
    """None: it cannot tell, or is no client."""
    kind, *arguments = (re.sub(r"\\(.)", r"\1", word) for word in _ARGUMENT.findall(endpoint))
    if kind not in ("tcp", "tcp6"):
        return None
    named = dict(word.split("=", 1) for word in arguments if "=" in word)
    bare = [word for word in arguments if word and "=" not in word]
    number = named.get("port", bare[0] if bare else "")
    host = named.get("interface", "")
    if host in ("", "0.0.0.0", "::"):
        host = "127.0.0.1"
    try:
        return Target(host, port(number), literal=True)
    except BadValue:
        return None
