"""The seams for taking mail to where it goes."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from pathlib import Path

from zope.interface import Interface

from mailstack.model.letter import Due, Letter
from mailstack.model.outcome import Outcome
from mailstack.model.reply import Reply
from mailstack.model.value import frozen

OPPORTUNISTIC = "opportunistic"
LOCAL = "local"  #: the key of the destination that our own Maildirs are

#: What one attempt at one letter came to, by recipient number.
Outcomes = dict[int, Outcome]


class ITransport(Interface):
    """Takes letters to one kind of destination."""

    def deliver(dues: Sequence[Due]) -> Awaitable[Sequence[Outcomes | None]]:
        """One attempt at each of these letters, which have this one destination. What comes of each: whatever the other
        side, DNS or the disk do is an outcome. None: it would hold up the others, and is to be tried alone.

        At least one recipient of a letter has an outcome. The others need another transaction, and have their turn when
        that outcome is recorded: a crash in their transaction must not forget it."""


SAVED, KNOWN, GONE = "saved", "known", "gone"


@frozen
class Copy:
    """What came of the copy of a letter for a Sent folder. ``fate`` is ``saved`` (not durable yet), ``known`` (the
    folder has another letter with its Message-ID) or ``gone`` (the account, or the letter, is no more); "": it failed,
    ``error`` says why."""

    fate: str
    file: Path | None = None  #: of a copy that was saved, now or before a crash
    error: str = ""


class ISentFolders(Interface):
    """The Sent folders of our accounts."""

    def save(letters: Sequence[Letter]) -> Sequence[Copy]:
        """A copy of each letter for the account that has sent it, seen already, and no second one of the same
        Message-ID. Blocking; one call at a time. What goes wrong is told in what it returns."""


@frozen
class Host:
    """A server to try: its name, its address, its port."""

    name: str
    address: str
    port: int


@frozen(cache_hash=True)
class NextHop:
    """What is known before DNS is asked.

    ``key`` names the destination: letters with the same one go to the same servers, in the same manner. ``host`` is a
    domain, a host, an IP address, or the path of a socket. ``tls`` is what mail.ini wants: none, opportunistic,
    required, implicit.
    """

    key: str
    host: str
    port: int
    exchangers: bool  #: ask for MX
    lmtp: bool = False
    tls: str = OPPORTUNISTIC
    named: bool = True  #: mail.ini names the host; else the recipient's domain does, and with it anybody
    username: str = ""  #: "" to go without AUTH
    password_file: Path | None = None


@frozen
class Policy:
    """``level``: none, opportunistic, required (STARTTLS) or implicit (TLS at once). The last two mean that
    nothing is sent before the server has shown a certificate for one of the ``names``, from an authority that we
    believe. ``source`` says who wants it so."""

    level: str
    names: tuple[str, ...] = ()
    source: str = "default"

    def __str__(self) -> str:
        return f"{self.level} by {self.source}"


class IResolver(Interface):
    """DNS. Never raises: what DNS says or fails to say is a value."""

    async def mail_exchangers(domain: str) -> Sequence[tuple[int, str]] | Reply:
        """(preference, host), as DNS has them; for a domain without MX but with an address, itself with preference 0
        (RFC 5321 §5.1). A Reply when there is nowhere to go: 556 5.1.10 null MX (RFC 7505), 550 5.1.2 no such domain,
        451 4.4.3 DNS does not answer."""

    async def addresses(host: str) -> Sequence[str] | Reply:
        """IPv6 and IPv4 addresses of a host; a Reply as above when there are none."""


class ITlsPolicies(Interface):
    """Decides for each host, before it is called."""

    async def policy(hop: NextHop, host: Host, require_tls: bool) -> Policy | Reply:
        """``require_tls``: the letter demands it (RFC 8689). A Reply when the letter must not go to this host."""
