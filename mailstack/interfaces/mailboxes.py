"""The seams for mail that is fetched: mailboxes as POP3 sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from zope.interface import Attribute, Interface

from mailstack.model.address import Address


class Letter(Protocol):
    """An open message."""

    def read(self, most: int, /) -> bytes:
        """So many octets as stored, less only at the end; none there."""

    def close(self) -> None: ...


class IMailbox(Interface):
    """A snapshot of one mailbox, opened for one session. An index counts from 0, the oldest message first.

    What does not say that it blocks may be called in the reactor's thread.
    """

    count: int = Attribute("How many messages there are; it never changes.")
    octets: int = Attribute("The sizes of all of them together.")

    def size(index: int) -> int:
        """Octets with CRLF line ends, as sent, before dot-stuffing."""

    def uid(index: int) -> str:
        """At most 70 printable characters, the same for ever (RFC 1939 §7)."""

    def size_lines(start: int, stop: int) -> Iterable[bytes]:
        """The lines of LIST for the messages from ``start`` to before ``stop``, with CRLF, in pieces that are cut
        anywhere. Their numbers count from 1 (RFC 1939 §5)."""

    def uid_lines(start: int, stop: int) -> Iterable[bytes]:
        """The lines of UIDL, likewise."""

    def open(index: int) -> Letter:
        """The message as stored (LF line ends, mostly). FileNotFoundError when it is not where it was: call
        :meth:`look_again`, then once more."""

    def look_again() -> None:
        """Find messages that other programs have moved. Blocking."""

    def measured(index: int, octets: int) -> None:
        """What a message came to on the wire. Where it is not its size, the next session is told so."""

    def letter_id(index: int) -> str | None:
        """The queue id under which this server has delivered the message; None: it came another way."""

    def arrived(index: int) -> int | None:
        """Unix time at which the message came into the mailbox; None: it does not tell."""

    def surrogates() -> Mapping[int, int]:
        """The messages that need UTF-8 in the header, with the octets of what :mod:`mailstack.message.surrogate` makes
        of them (CRLF line ends). Few, if any."""

    def delete(indexes: Iterable[int]) -> Sequence[int]:
        """Remove messages, durably; already gone is as good, where that is sure. Returns those that could not be
        removed. Blocking."""

    def close() -> None:
        """Let the next session in."""


class MailboxInUse(Exception):
    """Another session has the mailbox."""


class IMailboxes(Interface):
    """All mailboxes."""

    def open(account: Address, folder: str = "") -> IMailbox:
        """Lock and list one: the inbox, or a folder, named as people do, with a slash between levels, and in any case
        of letters where that names one alone. Each has a lock of its own. MailboxInUse; FileNotFoundError: there is no
        such folder; OSError when the disk refuses. A mailbox without mail yet is empty, and so is a folder that
        programs expect (Sent, Drafts, Junk, Trash, Archive).
        Blocking."""
