"""The seams: what one stage may know of another. ``tests/*/contract.py`` say what every provider must do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from attrs import frozen
from zope.interface import Interface

from mailstack.model.address import Address
from mailstack.model.entry import Entry
from mailstack.model.letter import Due, Letter, Recipient
from mailstack.model.outcome import Outcome
from mailstack.model.reply import Reply
from mailstack.protocol.sasl_steps import Lookup, Proof
from mailstack.protocol.smtp_events import Event

#: What a TLS channel can be told from others by, under the names of RFC 5929 and RFC 9266; empty without TLS.
Bindings = Callable[[], Mapping[str, bytes]]


def no_bindings() -> Mapping[str, bytes]:
    """Of a channel without TLS, or whose TLS ends elsewhere."""
    return {}


if TYPE_CHECKING:
    from mailstack.interfaces.waiting import ITurn

# ---- Receiving


class IReception(Interface):
    """Answers one SMTP client: the policy behind one connection."""

    def greeting() -> Reply:
        """The first line."""

    def decide(event: Event) -> Reply | Awaitable[Reply]:
        """The answer to one event, at once if it can be had without waiting. Never raises for anything that a client, a
        file or the disk can cause."""

    def body(chunk: bytes) -> None:
        """Octets of the message, LF line ends, after a positive answer to Data or Bdat and up to BodyEnd."""

    def secured(tls: str, bindings: Bindings = no_bindings) -> None:
        """TLS is up (``tls``: version and cipher): everything that was said before is forgotten (RFC 3207 §4.2)."""

    def who() -> tuple[str, str]:
        """The client's IP address ("" for a UNIX socket) and the account that it has logged in to ("" for none)."""

    def turned() -> ITurn:
        """Who speaks on the connection after a positive answer to ATRN."""

    def closed() -> None:
        """The connection is gone; what was not answered is dropped."""


# ---- What was said

#: A line of the client without secrets; a reply; the octets of a message; a note.
Said = bytes | Reply | int | str
#: Tells :meth:`IReception.who`.
Who = Callable[[], tuple[str, str]]


class IRecording(Interface):
    """Notes what is said in one session. Cheap, in bounded memory, and never raises."""

    def add(said: Said) -> None:
        """Once for each line, in order. The caller gives nothing that is secret."""

    def secured(tls: str) -> None:
        """TLS is up: version and cipher."""

    def end() -> None:
        """The connection is gone. More than once is as good as once."""


class ISessions(Interface):
    """Keeps the last sessions for the administrator."""

    def begin(service: str, port: int, who: Who) -> IRecording:
        """A client has connected to a port of ours (0: a UNIX socket)."""


# ---- Who exists


@frozen
class Resolution:
    """Where mail for an address goes: ``recipients`` if it is known, else ``refusal`` says why not."""

    recipients: tuple[Recipient, ...] = ()
    refusal: Reply | None = None


class IDirectory(Interface):
    """Accounts and aliases of the local domains. Reads files at most when they have changed; does not block."""

    def is_local(domain: str) -> bool:
        """Whether mail for this domain (lower case) ends here."""

    def resolve(address: Address) -> Resolution:
        """Follow sub-addresses, aliases and the catch-all of a local address.

        The targets are local accounts (in their canonical lower-case form, no sub-address) or foreign addresses.
        Unknown: refusal 550 5.1.1. Files unreadable, so that nobody can tell: 451 4.3.0.
        """

    def rule(address: Address) -> str:
        """By what a local address is known: ``account``, ``alias`` (or a name that every domain has), ``catch-all``;
        ``unknown``; ``unsure`` when nobody can tell. A sub-address is known as what it belongs to."""

    def mailbox(address: Address) -> str | None:
        """The Maildir's path below ``mail/`` for a canonical local account: ``DOMAIN/LOCALPART``; None: unknown."""

    def accounts() -> Sequence[Address]:
        """All accounts, sorted."""


class IAuthenticator(Interface):
    """Checks who somebody is, off the reactor.

    Names are full addresses in any case of letters, or the local part where there is one domain. ``client`` is an IP
    address. The refusals: 535 5.7.8 wrong (unknown user and wrong password alike, in the same time), or
    for somebody else (an ``authzid`` that is not the name), or not on this channel; 454 4.7.0 not now (too many
    failures from ``client``; or the users file is unreadable). Answers wait after failures, right ones as well.
    """

    def mechanisms(bindings: Bindings) -> Sequence[str]:
        """The SASL mechanisms that can succeed on this channel."""

    async def login(name: str, password: str, client: str, authzid: str = "") -> Address | Reply:
        """The account, or the refusal."""

    def look_up(lookup: Lookup, bindings: Bindings, client: str) -> Reply | None:
        """Supply what SCRAM needs first; or the refusal. Does not tell who exists."""

    async def prove(proof: Proof, client: str) -> Address | Reply:
        """The account, and the signature is supplied; or the refusal."""


# ---- Accepted mail


@frozen
class Result:
    """What an attempt came to for one recipient."""

    number: int
    #: ``sent``, ``deferred``, ``bounced``; ``delivered`` or ``relayed`` where the sender wants to hear of success;
    #: ``reported`` where the sender does not want to hear of failure
    state: str
    reply: Reply
    relay: str = "none"  #: who said so: ``host[ip]:port``, ``local``, ``none``
    next_attempt: float = 0.0  #: Unix time, when deferred


class IIncoming(Interface):
    """The content of a message while it arrives."""

    def write(chunk: bytes) -> None:
        """Octets as they will be stored (LF line ends). OSError when the disk refuses."""

    def discard() -> None:
        """Forget it. Also right after it was added or discarded: then nothing happens."""


class ISpool(Interface):
    """Accepted mail, durable. All times are Unix times."""

    def receive(id: str) -> IIncoming:
        """A place for a message that starts to arrive."""

    async def add(letter: Letter, content: IIncoming) -> None:
        """On return the letter is durable and ours. OSError (ENOSPC: disk full) when it is not, and then nothing of it
        is left."""

    async def settle(results: Mapping[str, Sequence[Result]]) -> None:
        """Record one attempt at each of these letters. One without anything left to do is removed with its file.
        Unknown letters and numbers (dropped meanwhile) are ignored. Durable on return, which may take a moment: nobody
        waits for it. OSError: nothing of it is recorded."""

    async def report(id: str, bounce: Letter | None, content: IIncoming | None, warned: int) -> None:
        """Add the report (if any), then mark the sender of the letter as told of all that was :meth:`unreported`, and
        note how many delay warnings were sent. Durable on return; after an OSError, or a crash in between, the report
        may be made twice, but is never lost."""

    async def due(now: float, limit: int, exclude: Iterable[str] = ()) -> Sequence[Due]:
        """Letters with recipients due at ``now``, the longest waiting first; not those in ``exclude``. Letters with
        something :meth:`unreported` count as due, with what is pending and due (maybe nothing)."""

    async def unreported(id: str) -> Sequence[tuple[Recipient, Outcome]]:
        """The recipients of a letter of which no report has told yet, and ought to: those that failed, and those that
        went well where the sender wants to hear it."""

    async def hasten(domain: str, subdomains: bool, now: float) -> int:
        """Make recipients in a domain due at ``now`` that were to be tried later. Returns how many letters wait for
        the domain, due or not. OSError: some of it may not have happened."""

    async def waiting(domains: Sequence[str]) -> Sequence[str]:
        """Letters that wait for one of these domains, due or not, the oldest first."""

    async def ahead_of_time(id: str, domains: Sequence[str]) -> Due | None:
        """The recipients of a letter that wait in these domains, due or not; None: there are none."""

    async def next_due(after: float) -> float | None:
        """When the first attempt later than ``after`` is to be made; None when nothing waits."""

    async def surviving(ids: Sequence[str]) -> set[str]:
        """Those of the letters that still are in the queue and not on hold."""

    async def changed() -> bool:
        """Whether somebody else (the command line) has changed the queue since the last call."""

    def open(id: str) -> BinaryIO:
        """The stored file, for reading; FileNotFoundError when it is gone."""

    def path(id: str) -> str:
        """Where the stored file is, for linking. Text: making a Path costs as much as the link."""


class IQueueDesk(Interface):
    """The queue for an administrator, from a process of its own. Blocking; the server notices changes by itself."""

    def entries() -> Sequence[Entry]:
        """All letters, oldest first."""

    def entry(id: str) -> Entry | None:
        """One letter."""

    def content(id: str) -> BinaryIO:
        """The stored file; FileNotFoundError."""

    def retry(ids: Sequence[str]) -> int:
        """Make all that waits due now; the number of letters found."""

    def drop(ids: Sequence[str]) -> int:
        """Remove letters for good, without a bounce; the number found."""


class IDurable(Interface):
    """Makes changes of the disk survive a power loss, many callers at the price of one."""

    async def flush(paths: Iterable[Path]) -> None:
        """On return the files and directories named are durable. OSError when they are not, for good. It may take a
        moment to find company: nobody who can see the difference waits for it."""


# ---- Delivering


#: What one attempt at one letter came to, by recipient number.
Outcomes = dict[int, Outcome]


class ITransport(Interface):
    """Takes letters to one kind of destination."""

    async def deliver(dues: Sequence[Due]) -> Sequence[Outcomes | None]:
        """One attempt at each of these letters, which have this one destination. What comes of each: whatever the other
        side, DNS or the disk do is an outcome. None: it would hold up the others, and is to be tried alone."""


@frozen
class Host:
    """A server to try: its name, its address, its port."""

    name: str
    address: str
    port: int


class IResolver(Interface):
    """DNS. Never raises: what DNS says or fails to say is a value."""

    async def mail_exchangers(domain: str) -> Sequence[tuple[int, str]] | Reply:
        """(preference, host), as DNS has them; for a domain without MX but with an address, itself with preference 0
        (RFC 5321 §5.1). A Reply when there is nowhere to go: 556 5.1.10 null MX (RFC 7505), 550 5.1.2 no such domain,
        451 4.4.3 DNS does not answer."""

    async def addresses(host: str) -> Sequence[str] | Reply:
        """IPv6 and IPv4 addresses of a host; a Reply as above when there are none."""


# ---- The log and the limits


class IEventLog(Interface):
    """One line an event. Values are escaped by the provider; passwords must not be given."""

    def event(id: str, **fields: object) -> None:
        """Facts of a letter (``id`` is its queue id) or of a session, in Postfix's field names; trailing underscores
        are cut (``from_``), None is left out; ``what`` is free text at the beginning, ``note`` at the end."""

    def warn(id: str, **fields: object) -> None:
        """The same, for what the postmaster should look at."""

    def failure(id: str, note: str) -> None:
        """A bug: the current exception with its traceback."""


class ILimitCounts(Interface):
    """How often each limit has struck."""

    def struck(limit: str, by: str) -> None:
        """A limit (its name in :mod:`mailstack.config.limits`) has just kept somebody (an IP address, ``""`` for a UNIX
        socket) from something. Call it in the reactor's thread."""
