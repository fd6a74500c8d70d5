"""A letter that was accepted: its envelope and what is known of its file."""

from __future__ import annotations

from collections.abc import Callable

from mailstack.model.address import Address
from mailstack.model.value import frozen

NEVER, SUCCESS, FAILURE, DELAY = "NEVER", "SUCCESS", "FAILURE", "DELAY"

#: What a sender wants to hear of a recipient, in the words of RFC 3461 §4.1; nothing: NOTIFY was not given.
Notify = frozenset[str]
NOT_SAID: Notify = frozenset()
ASKED = 0.0  #: the time of an attempt that an administrator, or the destination itself (ETRN), asks for


@frozen
class Recipient:
    """``address`` is where it goes, aliases followed; ``original`` is what the client gave in RCPT."""

    address: Address
    original: Address
    notify: Notify = NOT_SAID
    orcpt: str = ""  #: ORCPT as given (RFC 3461 §4.2), "" without
    #: An alias that leads to several, who are recipients of their own. Nothing is sent to it; it stands here because
    #: its sender is to be told that it was expanded (RFC 3461 §5.2.7.3).
    expanded: bool = False

    def is_forwarded(self, is_local: Callable[[str], bool]) -> bool:
        """Whether mail for a name of ours goes on to somewhere else."""
        if self.address.domain == self.original.domain:
            return False
        return is_local(self.original.domain) and not is_local(self.address.domain)

    @property
    def reports_failure(self) -> bool:
        """RFC 3461 §5.2.6."""
        return not self.notify or FAILURE in self.notify

    @property
    def reports_delay(self) -> bool:
        """RFC 3461 §5.2.5."""
        return not self.notify or DELAY in self.notify

    @property
    def reports_success(self) -> bool:
        """RFC 3461 §5.2.3."""
        return SUCCESS in self.notify


@frozen
class Letter:
    """One accepted message: the envelope and the measures of its stored file.

    The file is complete: the fields for final delivery (Return-Path, Delivered-To), from octet ``relay_offset`` on
    what goes to another server (Received, then the message as it came), all with LF line ends.
    """

    id: str
    sender: Address | None  #: None is the null sender: never bounced, RFC 5321 §6.1
    recipients: tuple[Recipient, ...]
    arrived: float  #: Unix time
    size: int  #: octets of the file
    lines: int  #: line ends in the file; with CRLF it has ``size + lines`` octets
    relay_offset: int
    eight_bit: bool  #: has octets above 127, so a next hop must know 8BITMIME
    checksum: int  #: CRC-32 of the file
    smtputf8: bool = False  #: its header has UTF-8, and it came as such: a next hop must know SMTPUTF8 (RFC 6531)
    require_tls: bool = False  #: REQUIRETLS was given (RFC 8689)
    ret: str = ""  #: FULL, HDRS, or "" when RET was not given (RFC 3461 §4.3)
    envid: str = ""  #: ENVID as given, xtext (RFC 3461 §4.4); "" without
    not_before: float = 0.0  #: Unix time of the first attempt, if it is to be later
    hold: str = ""  #: ``for;3600`` or ``until;2026-…``, if that was the sender's wish (RFC 4865)
    sent_by: Address | None = None  #: the account in whose Sent folder a copy is to be saved
    account: Address | None = None  #: the account that was logged in: whoever has it may take the letter back
    opening: bytes = b""  #: ASCII fields, LF, that go before what is relayed; made for one attempt, and not stored

    @property
    def released(self) -> float:
        """Unix time from which its age counts."""
        return max(self.arrived, self.not_before)

    @property
    def addressees(self) -> int:
        """How many get it."""
        return sum(not recipient.expanded for recipient in self.recipients)

    @property
    def wire_size(self) -> int:
        """Octets of the whole file with CRLF line ends."""
        return self.size + self.lines


@frozen
class Pending:
    """A recipient of a letter that still has to be served. ``number`` is its place in ``Letter.recipients``."""

    number: int
    recipient: Recipient
    attempts: int = 0  #: so far
    planned: float | None = None  #: Unix time for which this attempt was planned, or ASKED; None: it is the first

    @property
    def asked(self) -> bool:
        """Somebody wants this attempt now, whatever is known of the destination."""
        return self.planned == ASKED


@frozen
class Due:
    """A letter and those of its recipients whose time has come."""

    letter: Letter
    pending: tuple[Pending, ...]
    entered: float | None = None  #: Unix time at which it came into the queue just now; None: it was there
    warned: int = 0  #: delay warnings sent so far
    unreported: bool = False  #: its sender is to be told of something and was not yet

    @classmethod
    def at_first(cls, letter: Letter, entered: float) -> Due:
        """All of a letter that has just come."""
        pending = tuple(Pending(number, each) for number, each in enumerate(letter.recipients) if not each.expanded)
        return cls(letter, pending, entered=entered, unreported=len(pending) < len(letter.recipients))
