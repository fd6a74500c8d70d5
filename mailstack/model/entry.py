"""The queue as an administrator sees it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from mailstack.model.address import Address
from mailstack.model.letter import DELAY, NOT_SAID, Notify


@frozen
class EntryRecipient:
    address: Address
    original: Address
    state: str  #: active (not tried yet), deferred, hold, sent, bounced
    attempts: int
    next_attempt: float | None  #: Unix time; None when nothing more is due
    last_reply: str  #: the last answer in one line; "" before the first attempt
    destination: str = ""  #: where it goes next: ``local``, or the key of a route
    notify: Notify = NOT_SAID
    number: int = 0  #: its place in the envelope

    @property
    def reports_delay(self) -> bool:
        """As of a letter's recipient."""
        return not self.notify or DELAY in self.notify


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
    smtputf8: bool = False
    require_tls: bool = False
    ret: str = ""
    envid: str = ""
    not_before: float = 0.0  #: Unix time of the first attempt, if its sender wants it later
    warned: int = 0  #: delay warnings sent so far
    account: str = ""  #: the address with which its sender was logged in; "" without

    @property
    def released(self) -> float:
        """Unix time from which its age counts, as of a letter."""
        return max(self.arrived, self.not_before)


@frozen
class Moment:
    """What happened to a recipient of a letter: an attempt, or what the administrator did."""

    number: int  #: of the recipient
    at: float  #: Unix time
    state: str  #: what it came to be: sent, deferred, bounced, hold, active
    reply: str  #: one line: the answer, or what was done
    by: str  #: ``host[ip]:port``, ``local`` or ``none``; of the administrator, or the sender, the account's name
    administrator: bool = False


@frozen
class Changed:
    """What a change came to."""

    ids: tuple[str, ...] = ()  #: the letters
    recipients: int = 0
    due: int = 0  #: letters that were due, so perhaps are being sent at this moment
    untold: int = 0  #: letters from the null sender, of which nobody can be told
    lost: tuple[str, ...] = ()  #: letters left alone, because their file is missing
    unsure: bool = False  #: a power loss may undo it

    def __add__(self, other: Changed) -> Changed:
        return Changed(
            self.ids + other.ids,
            self.recipients + other.recipients,
            self.due + other.due,
            self.untold + other.untold,
            self.lost + other.lost,
            self.unsure or other.unsure,
        )


@frozen
class Ages:
    """How many letters wait, by what they have in common, and by age."""

    #: the longest age of each column in seconds; one more column is for what is older
    steps: tuple[float, ...]
    total: tuple[int, ...]  #: each letter once, by column
    rows: Mapping[str, tuple[int, ...]]  #: the most letters first; a letter may stand in several
