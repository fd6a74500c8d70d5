"""mail.ini as frozen values. :mod:`mailstack.config.reader` makes them; everything else only reads them."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from attrs import frozen

from mailstack.model.address import Address

Network = IPv4Network | IPv6Network


@frozen
class Server:
    hostname: str
    domains: tuple[str, ...]  #: lower case; the first one completes bare names
    data: Path
    postmaster: Address


@frozen
class Accounts:
    users: Path
    aliases: Path | None
    recipient_delimiter: str  #: one character, or "" for none
    catch_all: Address | None


@frozen
class Listener:
    """Where a service listens: Twisted endpoint strings."""

    listen: tuple[str, ...]
    listen_tls: tuple[str, ...] = ()  #: TLS from the first octet


@frozen
class Tls:
    """Both None: a self-signed pair below ``data``."""

    certificate: Path | None
    key: Path | None


@frozen
class Relay:
    networks: tuple[Network, ...]
    domains: tuple[str, ...]  #: lower case


@frozen
class Queue:
    """Times in seconds."""

    retry: tuple[float, ...]  #: pauses between attempts; the last one repeats
    lifetime: float
    bounce_lifetime: float
    delay_warning: tuple[float, ...]  #: ages at which the sender is told
    concurrency: int
    concurrency_per_destination: int


@frozen
class Route:
    """A next hop. ``kind`` is ``mx``, ``smtp``, ``lmtp`` or ``smarthost``."""

    kind: str
    host: str = ""  #: a name, an address, or the path of a socket; "" for mx and smarthost
    port: int = 25
    literal: bool = False  #: was written in []: no MX look-up


@frozen
class Smarthost:
    host: str  #: "" when there is none; in [] without MX look-up
    port: int
    username: str
    password_file: Path | None
    tls: str  #: none, opportunistic, required, implicit


@frozen
class Spool:
    sync: str  #: auto, filesystem, file


@frozen
class Dns:
    servers: tuple[tuple[str, int], ...]  #: address and port; empty: the system's


@frozen
class Limits:
    """Sizes in octets, times in seconds."""

    message_size: int
    recipients: int
    connections: int
    connections_per_client: int
    errors: int
    auth_failures_per_minute: int
    command_timeout: float
    data_timeout: float
    pop3_timeout: float


@frozen
class Log:
    format: str  #: text, json
    level: str  #: debug, info, warn, error


@frozen
class Settings:
    """The whole of mail.ini. ``source`` is its path, for messages."""

    source: Path
    server: Server
    accounts: Accounts
    smtp: Listener
    submission: Listener
    pop3: Listener
    tls: Tls
    relay: Relay
    queue: Queue
    routes: tuple[tuple[str, Route], ...]  #: (domain, .domain or *, next hop)
    smarthost: Smarthost
    spool: Spool
    dns: Dns
    limits: Limits
    log: Log
