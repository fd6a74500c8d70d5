"""The seams for mail in the queue that somebody in a session asks for: ETRN, ATRN with its turned roles, XDROP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from zope.interface import Interface

from mailstack.interfaces.delivery import ITransport
from mailstack.model.address import Address
from mailstack.model.entry import Entry
from mailstack.model.value import frozen


class ITurn(Interface):
    """Takes over a connection whose roles are turned (RFC 2645): a protocol as Twisted has them."""

    def makeConnection(transport: Any) -> None:  # Any: what a transport can do depends on the endpoint
        """It is yours."""

    def dataReceived(data: bytes) -> None:
        """Octets of the other side."""

    def connectionLost(reason: Any) -> None:  # Any: Twisted's Failure, which is not known here
        """The connection is gone."""

    def abort() -> None:
        """Cut it: the server stops."""


class ILine(ITransport, ITurn):
    """A connection that the other side has opened to fetch its mail. ``deliver`` raises CancelledError for a letter
    that was not begun, and when the server stops in the middle of one: nothing has happened to it."""

    async def opened() -> bool:
        """Whether letters can be sent, when that is known."""

    def usable() -> bool:
        """Whether another letter can be sent now."""

    def quit() -> None:
        """There are no more."""


#: What is done on a connection as soon as it is ours.
Errand = Callable[[ILine], Awaitable[None]]


class IWaitingMail(Interface):
    """The queue for those whose mail waits in it."""

    async def start(domain: str, subdomains: bool) -> int | None:
        """Try at once what waits for a domain. Returns how many letters that are; None: the same was asked for a moment
        ago, and nothing is done. OSError when the queue cannot be changed."""

    async def fetch(domains: Sequence[str]) -> ITurn | None:
        """What waits for these domains, for the client to have on its own connection; None: nothing. OSError when
        the queue cannot be read."""


@frozen
class Dropped:
    """A letter that its sender has taken back."""

    recipients: int  #: who had not got it yet
    under_way: bool  #: an attempt may have begun before, and succeed


class IOwnMail(Interface):
    """The queue for a user who has sent letters. OSError when it cannot be read or changed."""

    async def waiting(user: Address, limit: int) -> Sequence[Entry]:
        """Letters that this user has sent, logged in, and that somebody has not got yet: the latest first."""

    async def drop(user: Address, id: str) -> Dropped | None:
        """Remove one of them, for those who have not got it yet. Nobody is told. Durable on return. None: there is no
        such letter of this user."""
