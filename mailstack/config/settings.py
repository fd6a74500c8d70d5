"""mail.ini as frozen values. :mod:`mailstack.config.reader` makes them; everything else only reads them.

The defaults of all options stand here, and again, for people, in ``etc/mail.ini``; a test compares the two.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from attrs import frozen

from mailstack.model.address import Address

Network = IPv4Network | IPv6Network

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
KIB = 1024
MIB = 1024 * KIB

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1"))

#: Where ``data`` is when mail.ini does not say, seen from its folder.
DEFAULT_DATA = Path("../var")


@frozen
class Server:
    hostname: str
    domains: tuple[str, ...]  #: lower case; the first one completes bare names
    data: Path
    postmaster: Address
    proxies: tuple[Network, ...] = LOOPBACK  #: may name the client by the PROXY protocol, on ``haproxy:`` endpoints
    xclient: tuple[Network, ...] = ()  #: may name it by XCLIENT
    language: str = "en"  #: of our letters to people: en, zh
    templates: Path | None = None  #: a folder with texts for them, in the place of ours


@frozen
class Accounts:
    users: Path
    aliases: Path | None
    recipient_delimiter: str = "+"  #: one character, or "" for none
    catch_all: Address | None = None
    srs: bool = True  #: what aliases send on gets a sender of ours


@frozen
class Listener:
    """Where a service listens: Twisted endpoint strings."""

    listen: tuple[str, ...] = ()
    listen_tls: tuple[str, ...] = ()  #: TLS from the first octet


@frozen
class SmtpListener(Listener):
    """For other servers."""

    greet_delay: float = 0.0  #: seconds before the greeting
    rfc821: bool = False  #: SEND, SOML and SAML for our users and [relay] networks, TURN for users


@frozen
class Pop3Listener(Listener):
    """For our users' programs."""

    login_delay: float = 0.0  #: seconds between two log-ins of one account, from one address
    expire: int | None = None  #: days after which messages in the inbox are removed; None: never


@frozen
class Submission(Listener):
    """For our users. Times in seconds, 0: none."""

    future_release: float = 30 * DAY  #: for how long a message may be held back (RFC 4865)
    undo: float = 0.0  #: between acceptance and the first attempt
    save_sent: bool = False  #: a copy goes to the sender's Sent folder, unless the account says otherwise


@frozen
class PortTls:
    """What a policy comes to on one port: whether STARTTLS or STLS can be had, and whether nothing goes without TLS."""

    offered: bool
    required: bool


@frozen
class TlsPolicy:
    """For STARTTLS and STLS of each service: none, opportunistic or required."""

    smtp: str = "opportunistic"
    submission: str = "opportunistic"
    pop3: str = "opportunistic"

    def of_port(self, service: str, implicit_tls: bool) -> PortTls:
        policy: str = getattr(self, service)
        return PortTls(policy != "none" and not implicit_tls, policy == "required")


@frozen
class Tls:
    """Certificates and, in the same order, their keys; the first is for who names no host that another one is for.
    Both empty: a self-signed pair below ``data``."""

    certificate: tuple[Path, ...] = ()
    key: tuple[Path, ...] = ()
    policy: TlsPolicy = TlsPolicy()

    @property
    def pairs(self) -> tuple[tuple[Path, Path], ...]:
        return tuple(zip(self.certificate, self.key, strict=True))


@frozen
class Relay:
    networks: tuple[Network, ...] = ()
    domains: tuple[str, ...] = ()  #: lower case
    i_accept_an_open_relay: bool = False
    fetch: tuple[tuple[str, Address], ...] = ()  #: a domain of these, and an account that may fetch its mail


@frozen
class Queue:
    """Times in seconds."""

    #: pauses between attempts; the last one repeats
    retry: tuple[float, ...] = (MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR)
    lifetime: float = 5 * DAY
    bounce_lifetime: float = DAY
    delay_warning: tuple[float, ...] = (15 * MINUTE, 4 * HOUR, DAY)  #: ages at which the sender is told
    concurrency: int = 100
    concurrency_per_destination: int = 20


@frozen
class Route:
    """A next hop. ``kind`` is ``mx``, ``smtp``, ``lmtp``, ``smarthost`` or ``fetch``."""

    kind: str
    host: str = ""  #: a name, an address, or the path of a socket (port 0); "" for mx, smarthost and fetch
    port: int = 25
    literal: bool = False  #: was written in [], or is an IP address: no MX look-up
    tls: str = "opportunistic"  #: none, opportunistic, required, implicit; the smarthost has its own
    retry: tuple[float, ...] = ()  #: in the place of [queue] retry, unless empty
    lifetime: float | None = None  #: in the place of [queue] lifetime
    concurrency: int | None = None  #: in the place of [queue] concurrency_per_destination


MX = Route("mx")


@frozen
class Smarthost:
    host: str = ""  #: "" when there is none; in [] without MX look-up
    port: int = 587
    username: str = ""
    password_file: Path | None = None
    tls: str = "required"  #: none, opportunistic, required, implicit


@frozen
class Spool:
    sync: str = "auto"  #: auto, filesystem, file


@frozen
class Dns:
    servers: tuple[tuple[str, int], ...] = ()  #: address and port; empty: the system's


@frozen
class Limits:
    """Sizes in octets, times in seconds. What the peers allow stands in ``etc/mail.ini``."""

    message_size: int = 25 * MIB
    header_size: int = 256 * KIB
    recipients: int = 1000
    recipients_per_hour: int = 1000
    connections: int = 1000
    connections_per_client: int = 50
    errors: int = 20
    auth_failures_per_minute: int = 10
    command_timeout: float = 5 * MINUTE
    data_timeout: float = 5 * MINUTE
    min_data_rate: int = 500  #: octets a second
    pop3_timeout: float = 10 * MINUTE


@frozen
class Log:
    format: str = "text"  #: text, json
    level: str = "info"  #: debug, info, warn, error
    sessions: int = 200  #: that are kept to be looked at; 0: none
    keep: float = 30 * DAY  #: seconds for which it is known what happened to letters; 0: it is not
    keep_size: int = 1024 * MIB  #: octets that this may take


@frozen
class Settings:
    """The whole of mail.ini. ``source`` is its path, for messages."""

    source: Path
    server: Server
    accounts: Accounts
    smtp: SmtpListener = SmtpListener(("tcp:2525",))
    submission: Submission = Submission(("tcp:2587",), ("tcp:2465",))
    pop3: Pop3Listener = Pop3Listener(("tcp:2110",), ("tcp:2995",))
    tls: Tls = Tls()
    relay: Relay = Relay()
    queue: Queue = Queue()
    routes: tuple[tuple[str, Route], ...] = (("*", MX),)  #: (domain, .domain or *, next hop)
    smarthost: Smarthost = Smarthost()
    spool: Spool = Spool()
    dns: Dns = Dns()
    limits: Limits = Limits()
    log: Log = Log()

    def route(self, domain: str) -> Route:
        """The most exact one: the domain itself, then the longest ``.suffix``, then ``*``; without any, by MX."""
        table = dict(self.routes)
        labels = domain.split(".")
        suffixes = ["." + ".".join(labels[start:]) for start in range(1, len(labels))]
        for pattern in (domain, *suffixes, "*"):
            if pattern in table:
                return table[pattern]
        return MX

    @property
    def services(self) -> dict[str, Listener]:
        """Where each service listens."""
        return {"smtp": self.smtp, "submission": self.submission, "pop3": self.pop3}

    @property
    def self_signed(self) -> tuple[Path, Path]:
        """The certificate and the key that the first start makes when [tls] names none."""
        folder = self.server.data / "tls"
        return folder / "cert.pem", folder / "key.pem"
