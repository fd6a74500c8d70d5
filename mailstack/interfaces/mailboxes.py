"""The seams for mail that is fetched: mailboxes as POP3 sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

from attrs import frozen
from zope.interface import Attribute, Interface

from mailstack.model.address import Address


@frozen
class Item:
    """One message of a mailbox."""

    uid: str  #: at most 70 printable characters, the same for ever (RFC 1939 §7)
    size: int  #: octets with CRLF line ends, as sent, before dot-stuffing


class IMailbox(Interface):
    """A snapshot of one mailbox, opened for one session. Blocking, but short."""

    items: Sequence[Item] = Attribute("The messages, oldest first; the list never changes.")

    def open(index: int) -> BinaryIO:
        """The message as stored (LF line ends). FileNotFoundError when another program removed it."""

    def letter_id(index: int) -> str | None:
        """The queue id under which this server has delivered the message; None: it came another way."""

    def arrived(index: int) -> int | None:
        """Unix time at which the message came into the mailbox; None: it does not tell."""

    def surrogates() -> Mapping[int, int]:
        """The messages that need UTF-8 in the header, with the octets of what :mod:`mailstack.message.surrogate` makes
        of them (CRLF line ends). Few, if any."""

    def delete(indexes: Iterable[int]) -> Sequence[int]:
        """Remove messages; already gone is as good. Returns those that could not be removed."""

    def close() -> None:
        """Let the next session in."""


class MailboxInUse(Exception):
    """Another session has the mailbox."""


class IMailboxes(Interface):
    """All mailboxes."""

    def open(account: Address) -> IMailbox:
        """Lock and list one. MailboxInUse; OSError when the disk refuses. A mailbox without mail yet is empty."""
