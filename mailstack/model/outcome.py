"""What happened to one recipient in one attempt. Results are data; an exception is a bug."""

from __future__ import annotations

from typing import ClassVar

from mailstack.model.reply import Reply
from mailstack.model.value import frozen


@frozen
class Delivered:
    """It is there: durable in the Maildir, or the next hop has taken it over."""

    reply: Reply
    relay: str  #: ``host[ip]:port`` or ``local``, for the log
    setup: float = 0.0  #: seconds until the connection was ready, for the log
    conn_use: int = 1  #: which letter on its connection it was, for the log
    #: What a report calls it (RFC 3464 §2.3.3): delivered, relayed, expanded. "" when the next hop reports: it knows
    #: DSN, and what the sender wants to hear was passed on.
    action: str = "delivered"


@frozen
class Delayed:
    """Not now: try again on the schedule."""

    reply: Reply
    relay: str = "none"
    setup: float = 0.0
    conn_use: int = 1
    #: It is the destination that fails, and not this letter: others for it would fare alike.
    unreachable: bool = False
    action: ClassVar[str] = "delayed"


@frozen
class Failed:
    """Never: goes back to the sender."""

    reply: Reply
    relay: str = "none"
    setup: float = 0.0
    conn_use: int = 1
    action: ClassVar[str] = "failed"


@frozen
class Waits:
    """It stays here until it is fetched: nobody was called, and nothing is wrong."""

    reply: Reply
    expired: Reply  #: the verdict when it has waited for its whole lifetime
    relay: str = "none"
    setup: float = 0.0
    conn_use: int = 1
    action: ClassVar[str] = "delayed"


Outcome = Delivered | Delayed | Failed | Waits


def from_reply(
    reply: Reply,
    relay: str,
    setup: float = 0.0,
    conn_use: int = 1,
    action: str = "delivered",
    unreachable: bool = False,
) -> Outcome:
    """The outcome that a remote server's answer means: 2xx, 4xx or 5xx; anything else is odd and so temporary.
    ``action`` and ``unreachable`` are for what they can be said of."""
    if 200 <= reply.code < 300:
        return Delivered(reply, relay, setup, conn_use, action)
    if 500 <= reply.code < 600:
        return Failed(reply, relay, setup, conn_use)
    return Delayed(reply, relay, setup, conn_use, unreachable)
