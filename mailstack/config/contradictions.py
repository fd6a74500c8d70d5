"""Settings that are right each by itself and wrong together, and files that are named but cannot be read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from attrs import frozen

from mailstack.config import values
from mailstack.config.endpoints import kinds
from mailstack.config.openness import too_open
from mailstack.config.problem import BadValue
from mailstack.config.settings import Settings
from mailstack.model.maildir_name import below_mail

_ANY_PORT = re.compile(r"\btcp6?:0(?:$|:)")


@frozen
class Contradiction:
    """``against`` are the other options that it depends on."""

    section: str
    key: str
    wrong: str
    fix: str
    against: tuple[tuple[str, str], ...] = ()


def contradictions(settings: Settings) -> Iterator[Contradiction]:
    yield from _names(settings)
    yield from _ports(settings)
    yield from _silence(settings)
    yield from _tls(settings)
    yield from _domains(settings)
    yield from _open_relay(settings)
    yield from _proxies(settings)
    yield from _fetch(settings)
    yield from _smarthost(settings)
    yield from _warnings(settings)


def impossible(settings: Settings) -> Iterator[Contradiction]:
    """What the machine does not have: files, and kinds of endpoints."""
    yield from _unreadable_files(settings)
    yield from _unknown_endpoints(settings)


def _unknown_endpoints(settings: Settings) -> Iterator[Contradiction]:
    known = kinds()
    for section, key, endpoint in _places(settings):
        kind = endpoint.removeprefix("haproxy:").partition(":")[0]
        if kind not in known:
            wrong = f"{endpoint}: Twisted knows no endpoint of the kind {kind!r}"
            yield Contradiction(section, key, wrong, f"write one of {', '.join(sorted(known))}")


def _unreadable_files(settings: Settings) -> Iterator[Contradiction]:
    named = [
        *(("tls", "certificate", path) for path in settings.tls.certificate),
        *(("tls", "key", path) for path in settings.tls.key),
        ("smarthost", "password_file", settings.smarthost.password_file),
    ]
    for section, key, path in named:
        reason = _unreadable(path) if path else None
        if reason:
            fix = "name a file that the server can read"
            yield Contradiction(section, key, f"{path} cannot be read: {reason}", fix)


def _unreadable(path: Path) -> str | None:
    try:
        path.open("rb").close()
    except OSError as error:
        return error.strerror
    return None


def _names(settings: Settings) -> Iterator[Contradiction]:
    server = settings.server
    try:
        values.domain(server.hostname)
    except BadValue:
        yield Contradiction(
            "server",
            "hostname",
            f"the machine's own name {server.hostname!r} is not a domain name",
            "write the server's full name, such as mail.example.com",
        )
    if server.postmaster.domain not in server.domains:
        return
    try:
        below_mail(server.postmaster)
    except ValueError as error:
        yield Contradiction("server", "postmaster", str(error), "write another address")


def _places(settings: Settings) -> list[tuple[str, str, str]]:
    """Section, key and endpoint of all that listens."""
    return [
        (section, key, endpoint)
        for section, listener in settings.services.items()
        for key, endpoints in (("listen", listener.listen), ("listen_tls", listener.listen_tls))
        for endpoint in endpoints
    ]


def _silence(settings: Settings) -> Iterator[Contradiction]:
    if not _places(settings):
        wrong = "no service listens anywhere, so the server would do nothing"
        yield Contradiction("smtp", "listen", wrong, "give one of [smtp], [submission] and [pop3] a port")


def _ports(settings: Settings) -> Iterator[Contradiction]:
    places = _places(settings)
    taken = Counter(endpoint for _, _, endpoint in places)
    for section, key, endpoint in reversed(places):
        taken[endpoint] -= 1
        if taken[endpoint] and not _ANY_PORT.search(endpoint):
            yield Contradiction(section, key, f"{endpoint} is taken by another service", "choose another port")


def _tls(settings: Settings) -> Iterator[Contradiction]:
    certificates, keys = settings.tls.certificate, settings.tls.key
    if certificates and not keys:
        yield Contradiction("tls", "key", "it is missing", f"name the key that belongs to {certificates[0]}")
    elif keys and not certificates:
        yield Contradiction("tls", "certificate", "it is missing", f"name the certificate that belongs to {keys[0]}")
    elif len(certificates) != len(keys):
        wrong = f"the number of keys is {len(keys)}, that of certificates {len(certificates)}"
        fix = "name one key for each certificate, in the same order, one a line"
        yield Contradiction("tls", "key", wrong, fix, (("tls", "certificate"),))


def _domains(settings: Settings) -> Iterator[Contradiction]:
    ours = (("server", "domains"),)
    local = set(settings.server.domains)
    for domain in settings.relay.domains:
        if domain in local:
            fix = "take it out here or there"
            yield Contradiction("relay", "domains", f"{domain} is in [server] domains too", fix, ours)
    for name, _ in settings.routes:
        if name in local:
            wrong = "mail for a domain of [server] domains goes to our own mailboxes"
            yield Contradiction("routes", name, wrong, "take it out here or there", ours)


def _open_relay(settings: Settings) -> Iterator[Contradiction]:
    accepted = (("relay", "i_accept_an_open_relay"),)
    reason = too_open(settings.relay.networks)
    if reason and not settings.relay.i_accept_an_open_relay:
        fix = "name your own networks only, or write i_accept_an_open_relay = yes"
        yield Contradiction("relay", "networks", f"this is an open relay: {reason}", fix, accepted)


def _proxies(settings: Settings) -> Iterator[Contradiction]:
    """Whoever may name clients may name one that may relay."""
    for key, networks in (("proxies", settings.server.proxies), ("xclient", settings.server.xclient)):
        reason = too_open(networks)
        if reason:
            wrong = f"anybody could say that he is somebody else: {reason}"
            yield Contradiction("server", key, wrong, "name your own proxies only")


def _fetch(settings: Settings) -> Iterator[Contradiction]:
    fetched = {domain for domain, _ in settings.relay.fetch}
    for domain, account in settings.relay.fetch:
        if domain not in settings.relay.domains:
            wrong = f"we keep no mail for {domain}"
            yield Contradiction("relay", "fetch", wrong, "add it to domains", (("relay", "domains"),))
        if account.domain not in settings.server.domains:
            wrong, against = f"{account} is no account of ours", (("server", "domains"),)
            yield Contradiction("relay", "fetch", wrong, "name an account in one of [server] domains", against)
    for name, route in settings.routes:
        if route.kind == "fetch" and name not in fetched:
            fix = f"write {name}: and the account in fetch of [relay]"
            yield Contradiction("routes", name, "nobody may fetch this mail", fix, (("relay", "fetch"),))


def _smarthost(settings: Settings) -> Iterator[Contradiction]:
    smarthost, host = settings.smarthost, (("smarthost", "host"),)
    if not smarthost.host:
        for name, route in settings.routes:
            if route.kind == "smarthost":
                yield Contradiction("routes", name, "there is no smarthost", "set host in [smarthost]", host)
    if smarthost.username and not smarthost.host:
        yield Contradiction("smarthost", "username", "there is no host to log in to", "set host, or leave it out", host)
    if smarthost.username and not smarthost.password_file:
        yield Contradiction("smarthost", "password_file", "it is missing", "name a file with the password of username")
    if smarthost.password_file and not smarthost.username:
        yield Contradiction("smarthost", "username", "it is missing", "set it, or leave password_file out")
    if smarthost.username and smarthost.host and smarthost.tls == "none" and not _is_loopback(smarthost.host):
        fix = "write tls = required (or implicit)"
        yield Contradiction("smarthost", "tls", "the password would cross the network in clear text", fix, host)


def _is_loopback(host: str) -> bool:
    name = host.strip("[]")
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _warnings(settings: Settings) -> Iterator[Contradiction]:
    times = settings.queue.delay_warning
    if list(times) != sorted(set(times)):
        fix = "write them in rising order, each once"
        yield Contradiction("queue", "delay_warning", "the times do not rise", fix)
