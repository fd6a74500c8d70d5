"""The queue as an administrator sees it."""

from __future__ import annotations

from attrs import frozen

from mailstack.model.address import Address


@frozen
class EntryRecipient:
    address: Address
    original: Address
    state: str  #: active (not tried yet), deferred, hold, sent, bounced
    attempts: int
    next_attempt: float | None  #: Unix time; None when nothing more is due
    last_reply: str  #: the last answer in one line; "" before the first attempt


@frozen
class Entry:
    """One letter in the queue."""

    id: str
    sender: Address | None
    size: int  #: octets with CRLF line ends
    arrived: float  #: Unix time
    next_attempt: float | None  #: the earliest of its recipients
    state: str  #: active, deferred, hold
    recipients: tuple[EntryRecipient, ...]
