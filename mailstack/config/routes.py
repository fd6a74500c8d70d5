"""[routes] of mail.ini: for which domains a route is, which next hop it names, and what else is different there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from attrs import evolve

from mailstack.config import values
from mailstack.config.hosts import SMTP_PORT, target
from mailstack.config.problem import BadValue
from mailstack.config.settings import Route

KINDS = "mx, smarthost, fetch, smtp:host:port, lmtp:host:port or lmtp:unix:path"

#: What may stand behind the next hop, as ``name=value``: lists with commas.
_OPTIONS: dict[str, Callable[[str], Any]] = {  # Any: each value has the type of its field in Route
    "tls": values.choice("none", "opportunistic", "required", "implicit"),
    "retry": values.some(values.seconds),
    "lifetime": values.seconds,
    "concurrency": values.count,
}
#: What makes no sense there, by kind of route. A socket is no network, and the smarthost has a section of its own.
_SENSELESS = {"smarthost": ("tls",), "fetch": ("tls", "retry", "concurrency"), "lmtp:unix": ("tls",)}


def route_name(text: str) -> str:
    """What a route is for: ``*``, ``example.com`` or ``.example.com`` (its subdomains), in lower case."""
    if text == "*":
        return text
    return "." + values.domain(text[1:]) if text.startswith(".") else values.domain(text)


def route(text: str, folder: Path) -> Route:
    """A next hop and its options: ``mx tls=required retry=5m,1h lifetime=2d concurrency=5``."""
    hop, *options = text.split() or [""]
    found = _next_hop(hop, folder)
    return evolve(found, **_options(options, "lmtp:unix" if found.port == 0 and found.kind == "lmtp" else found.kind))


def _options(words: Iterable[str], kind: str) -> dict[str, Any]:  # Any: as in _OPTIONS
    found: dict[str, Any] = {}
    allowed = [name for name in _OPTIONS if name not in _SENSELESS.get(kind, ())]
    for word in words:
        name, equals, value = word.partition("=")
        name = name.lower()
        if not equals or name not in allowed:
            raise BadValue(f"{word!r} is no option of the route {kind}", f"write {'=, '.join(allowed)}=")
        if name in found:
            raise BadValue(f"{name}= stands there twice", "leave one of them")
        found[name] = _OPTIONS[name](value)
    return found


def _next_hop(text: str, folder: Path) -> Route:
    """``mx``, ``smarthost``, ``fetch``, ``smtp:host[:port]``, ``lmtp:host:port``, ``lmtp:unix:path``."""
    kind, _, rest = text.partition(":")
    if text in ("mx", "smarthost", "fetch"):
        return Route(text)
    if kind == "smtp" and rest:
        found = target(rest, SMTP_PORT)
        return Route("smtp", found.host, found.port, found.literal)
    if kind == "lmtp" and rest.startswith("unix:"):
        return Route("lmtp", str(values.path(rest.removeprefix("unix:"), folder)), port=0, literal=True)
    if kind == "lmtp" and rest:
        return _lmtp(rest)
    raise BadValue(f"{text!r} is no route", f"write {KINDS}")


def _lmtp(text: str) -> Route:
    found = target(text, 0)
    if not found.port:
        raise BadValue(f"lmtp:{text} has no port", f"write lmtp:{text}:24 or the port that the server has")
    # There is no MX for LMTP: the host is meant.
    return Route("lmtp", found.host, found.port, literal=True)
