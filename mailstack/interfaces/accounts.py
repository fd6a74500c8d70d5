"""The seams for who exists, and who may log in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import field
from zope.interface import Interface

from mailstack.model.address import Address
from mailstack.model.folder import alike, below_inbox
from mailstack.model.letter import Recipient
from mailstack.model.reply import Reply
from mailstack.model.value import frozen
from mailstack.protocol.sasl_steps import Lookup, Proof

#: What a TLS channel can be told from others by, under the names of RFC 5929 and RFC 9266; empty without TLS.
Bindings = Callable[[], Mapping[str, bytes]]


def no_bindings() -> Mapping[str, bytes]:
    """Of a channel without TLS, or whose TLS ends elsewhere."""
    return {}


@frozen
class Identity:
    """Who has logged in, and what for."""

    account: Address
    #: Of the mailbox, as it was written: a slash between levels; "": the inbox, however it was written.
    folder: str = field(default="", converter=below_inbox)

    def __str__(self) -> str:
        return f"{self.account}/{self.folder}" if self.folder else str(self.account)

    @property
    def key(self) -> str:
        """One for all the ways to write the same."""
        return f"{self.account.key}/{alike(self.folder)}" if self.folder else self.account.key


@frozen
class Resolution:
    """Where mail for an address goes: ``recipients`` if it is known, else ``refusal`` says why not. ``bounces_only``:
    it is a return address that we gave out, for what comes from the null sender."""

    recipients: tuple[Recipient, ...] = ()
    refusal: Reply | None = None
    bounces_only: bool = False


class IDirectory(Interface):
    """Accounts and aliases of the local domains. Reads files at most when they have changed; does not block."""

    def is_local(domain: str) -> bool:
        """Whether mail for this domain (lower case) ends here."""

    def resolve(address: Address) -> Resolution:
        """Follow sub-addresses, aliases, return addresses and the catch-all of a local address.

        The targets are local accounts (in their canonical lower-case form, no sub-address) or foreign addresses.
        Unknown, or a return address that is forged or too old: refusal 550 5.1.1. Files unreadable, so that nobody can
        tell: 451 4.3.0.
        """

    def return_address(sender: Address, domain: str, when: float) -> Address:
        """The envelope sender under which a letter that has come for a name in ``domain`` of ours goes on. For one who
        is not ours an address in that domain, which leads to them (SRS), unless that is off or cannot be; ours stay as
        they are. The same for the same ``when``, Unix time, from which the address's age counts."""

    def rule(address: Address) -> str:
        """By what a local address is known: ``account``, ``alias`` (or a name that every domain has), ``catch-all``;
        ``return`` (see :meth:`return_address`); ``unknown``; ``unsure`` when nobody can tell. A sub-address is known as
        what it belongs to."""

    def mailbox(address: Address) -> str | None:
        """The Maildir's path below ``mail/`` for a canonical local account: ``DOMAIN/LOCALPART``; None: unknown."""

    def accounts() -> Sequence[Address]:
        """All accounts, sorted."""

    def account(name: str) -> Address | None:
        """The one whose name this is, as it may be written to log in; None: there is none, or nobody can tell."""

    def saves_sent(account: Address) -> bool:
        """Whether what this account submits is to be saved in its Sent folder."""


class IAuthenticator(Interface):
    """Checks who somebody is, off the reactor.

    Names are as for :meth:`IDirectory.account`: full addresses in any case of letters, or the local part where there is
    one domain. A folder may stand behind: ``alice/Junk``, ``alice@office.test/Junk``, or as a sub-address
    (``alice+Junk@office.test``). An account of the whole name goes before; whether the folder exists is not asked.
    ``client`` is an IP address.

    The refusals: 535 5.7.8 wrong (unknown user and wrong password alike, in the same time), or
    for somebody else (an ``authzid`` that is not the name), or not on this channel; 454 4.7.0 not now (too many
    failures from ``client``; or the users file is unreadable). Answers wait after failures, right ones as well.
    """

    def mechanisms(bindings: Bindings) -> Sequence[str]:
        """The SASL mechanisms that can succeed on this channel."""

    async def login(name: str, password: str, client: str, authzid: str = "") -> Identity | Reply:
        """Who it is, or the refusal."""

    def look_up(lookup: Lookup, bindings: Bindings, client: str) -> Reply | None:
        """Supply what SCRAM needs first; or the refusal. Does not tell who exists."""

    async def prove(proof: Proof, client: str) -> Identity | Reply:
        """Who it is, and the signature is supplied; or the refusal."""
