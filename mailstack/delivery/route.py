"""Where mail for a domain goes next: [routes] and [smarthost]. Pure."""

from __future__ import annotations

from mailstack.config.settings import Route, Settings
from mailstack.interfaces.delivery import LOCAL, OPPORTUNISTIC, NextHop

FETCH = "fetch"  # the key of mail that waits until it is fetched


def destination(settings: Settings, domain: str) -> str:
    """The key by which the queue knows where mail for a domain goes: LOCAL, or that of the next hop."""
    return LOCAL if domain in settings.server.domains else next_hop(settings, domain).key


def next_hop(settings: Settings, domain: str) -> NextHop:
    """``domain`` is in lower case, as in :class:`~mailstack.model.address.Address`."""
    found = settings.route(domain)
    if found.kind == "smarthost":
        return _smarthost(settings)
    if found.kind == "fetch":
        return NextHop(FETCH, "", 0, exchangers=False)
    if found.kind == "mx":
        return _by_domain(domain, found)
    if found.kind == "lmtp":
        return _lmtp(found)
    host = f"[{found.host}]" if found.literal else found.host
    key = _key(f"smtp:{host}:{found.port}", found)
    return NextHop(key, found.host, found.port, exchangers=not found.literal, tls=found.tls)


def _key(place: str, found: Route) -> str:
    """Two routes to one server may want TLS in different ways."""
    return place if found.tls == OPPORTUNISTIC else f"{place} tls={found.tls}"


def _by_domain(domain: str, found: Route) -> NextHop:
    """RFC 5321 §4.1.3: an address literal instead of a domain needs no DNS."""
    literal = domain.startswith("[")
    host = domain.strip("[]").removeprefix("ipv6:") if literal else domain
    return NextHop(f"mx:{domain}", host, found.port, exchangers=not literal, tls=found.tls, named=False)


def _lmtp(found: Route) -> NextHop:
    """RFC 2033 §5: LMTP goes to a host that was agreed on, never to one of DNS's choice."""
    if found.host.startswith("/"):
        return NextHop(f"lmtp:unix:{found.host}", found.host, 0, exchangers=False, lmtp=True, tls="none")
    key = _key(f"lmtp:{found.host}:{found.port}", found)
    return NextHop(key, found.host, found.port, exchangers=False, lmtp=True, tls=found.tls)


def _smarthost(settings: Settings) -> NextHop:
    smarthost = settings.smarthost
    literal = smarthost.host.startswith("[")
    return NextHop(
        "smarthost",
        smarthost.host.strip("[]"),
        smarthost.port,
        exchangers=bool(smarthost.host) and not literal,
        tls=smarthost.tls,
        username=smarthost.username,
        password_file=smarthost.password_file,
    )
