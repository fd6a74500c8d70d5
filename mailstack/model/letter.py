"""A letter that was accepted: its envelope and what is known of its file."""

from __future__ import annotations

from attrs import frozen

from mailstack.model.address import Address


@frozen
class Recipient:
    """``address`` is where it goes, aliases followed; ``original`` is what the client gave in RCPT."""

    address: Address
    original: Address


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


@frozen
class Due:
    """A letter and those of its recipients whose time has come."""

    letter: Letter
    pending: tuple[Pending, ...]
    entered: float | None = None  #: Unix time at which it came into the queue just now; None: it was there
    warned: int = 0  #: delay warnings sent so far
    unreported: bool = False  #: has failures that the sender was not told of
