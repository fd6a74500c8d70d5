"""One mail transaction: from MAIL to the last octet."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Callable
from contextlib import suppress

from attrs import evolve

from mailstack.config.limits import MAX_RECEIVED
from mailstack.config.settings import Limits
from mailstack.intake.rate import Charge
from mailstack.interfaces.spool import IIncoming, ILetterbox
from mailstack.message.header import HeaderScan, begins_with_field
from mailstack.message.trace import Hop, delivery_fields, received
from mailstack.model.address import Address
from mailstack.model.letter import NEVER, SUCCESS, Letter, Recipient
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_events import Mail, Rcpt

OUR_FAULT = Reply(451, "4.3.0", "Our fault, not yours: try again later")
DISK_FULL = Reply(452, "4.3.1", "Not enough disk space here, try again later")
TOO_BIG = Reply(552, "5.3.4", "Message too big for this server")
HEADER_TOO_BIG = Reply(552, "5.3.4", "Message header too big for this server")
STRAY = Reply(550, "5.6.0", "Bare CR or LF in the message; lines end in CRLF (RFC 5321 section 2.3.8)")
LOOP = Reply(554, "5.4.6", f"Too many hops: {MAX_RECEIVED} Received fields, so this message goes in circles")

#: Makes of a header, as the client gave it, the one that is stored; gets the queue id and the time, too. A Reply
#: refuses the message.
Edit = Callable[[bytes, str, float], bytes | Reply]


def disk_reply(error: OSError) -> Reply:
    """The answer that an error of the disk means."""
    return DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else OUR_FAULT


class Transaction:
    """Collects the envelope, then streams the content to the spool."""

    def __init__(self, mail: Mail, limits: Limits, edit: Edit | None = None, charge: Charge | None = None) -> None:
        """``edit`` is asked once the header is whole, until then nothing is stored. ``charge`` is what the recipients
        count against."""
        self.id = "NOQUEUE"  #: from DATA on the queue id
        self.mail = mail
        self.sender = mail.sender
        self.charge = charge
        self._limits = limits
        self._edit = edit
        self._recipients: dict[Address, Recipient] = {}
        self._expanded: dict[Address, Recipient] = {}
        self.content: IIncoming | None = None
        self.refusal: Reply | None = None
        self.for_terminals = False  #: SEND: to be shown, and not kept
        self.told = False  #: the client and the log have heard of the refusal

    @property
    def receiving(self) -> bool:
        """The content has begun."""
        return self.content is not None or self.refusal is not None

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """Those who get the message."""
        return tuple(self._recipients.values())

    @property
    def addressed(self) -> int:
        """How many recipients the queue would have to keep: those who get the message, and expanded lists."""
        return len(self._recipients) + len(self._expanded)

    def add(self, recipients: tuple[Recipient, ...], rcpt: Rcpt) -> None:
        """More recipients, to which ``rcpt`` has led; one that is there already stays as it was first given, unless
        the sender wants to hear of its success now."""
        if rcpt.notify or rcpt.orcpt:
            self._add_with_wishes(recipients, rcpt)
            return
        for recipient in recipients:
            self._recipients.setdefault(recipient.address, recipient)

    def _add_with_wishes(self, recipients: tuple[Recipient, ...], rcpt: Rcpt) -> None:
        """RFC 3461 §5.2.7: an alias for one is transparent. One for several is expanded, which is its success; the null
        sender is not told of it."""
        notify = rcpt.notify
        if len(recipients) > 1 and SUCCESS in notify:
            address = recipients[0].original
            if self.sender is not None:
                expanded = Recipient(address, address, frozenset({SUCCESS}), rcpt.orcpt, expanded=True)
                self._expanded[address] = expanded
            notify = notify - {SUCCESS} or frozenset({NEVER})
        for recipient in recipients:
            if recipient.address not in self._recipients or SUCCESS in notify:
                self._recipients[recipient.address] = evolve(recipient, notify=notify, orcpt=rcpt.orcpt)

    def begin(self, spool: ILetterbox, id: str, hop: Hop, now: float) -> None:
        """DATA: open a file and put our fields before what comes. After an OSError DATA may come again."""
        self.discard()
        self.id = id
        self.header = HeaderScan(self._limits.header_size)
        self._held = self._edit is not None
        self._arrived = now
        self._size = self._lines = self._checksum = self._taken = 0
        self._eight_bit = False
        self._opening: bytes | None = b""
        self.content = spool.receive(id)
        utf8 = self.mail.smtputf8
        delivery = delivery_fields(self.sender, self.recipients, utf8)
        trace = received(hop, id, self.recipients, now, utf8)
        self._offset = len(delivery)
        self._ascii = trace.isascii()
        fields = delivery + trace
        self._write(self.content, fields, fields.count(b"\n"))

    def body(self, chunk: bytes, lines: int) -> None:
        """The next octets, in which so many lines end; OSError when the disk refuses. After :meth:`give_up` they are
        dropped."""
        if self.content is None or self.refusal is not None:
            return
        self._taken += len(chunk) + lines
        if self._taken > self._limits.message_size:
            self.give_up(TOO_BIG)
            return
        opened = self._opened(chunk)
        self._take(self.content, opened, lines if opened is chunk else opened.count(b"\n"))

    def _take(self, content: IIncoming, chunk: bytes, lines: int) -> None:
        end = self.header.feed(chunk)
        if self.header.too_big:
            self.give_up(HEADER_TOO_BIG)
        elif not self._held:
            self._write(content, chunk, lines)
        elif self.header.whole:
            self._release(content, chunk[end:])

    def _finish(self, content: IIncoming) -> None:
        """Nothing more comes: store what was held back."""
        if self._opening:
            # Text without a line end, too short for a field: BDAT can bring it.
            text, self._opening = b"\n" + self._opening, None
            self._take(content, text, text.count(b"\n"))
        if self._held and self.refusal is None:
            # A header without a blank line and a body.
            self._release(content, b"")

    def _release(self, content: IIncoming, behind: bytes) -> None:
        """The header is whole: have it judged and changed, then store it."""
        assert self._edit is not None, "nothing is held back without it"
        self._held = False
        edited = self._edit(self.header.octets, self.id, self._arrived)
        if isinstance(edited, Reply):
            self.give_up(edited)
            return
        self.header.become(edited)
        octets = edited + behind
        self._write(content, octets, octets.count(b"\n"))

    def _opened(self, chunk: bytes) -> bytes:
        """The chunk; at the start of the message held back until it is clear whether there is a header."""
        if self._opening is None:
            return chunk
        self._opening += chunk
        header = begins_with_field(self._opening)
        if header is None:
            return b""
        chunk, self._opening = self._opening, None
        return chunk if header else b"\n" + chunk

    def give_up(self, refusal: Reply) -> None:
        """Keep nothing of the message; the refusal's time comes with the end of data."""
        self.refusal = refusal
        self.header = HeaderScan(0)
        self.discard()

    def _write(self, content: IIncoming, octets: bytes, lines: int) -> None:
        content.write(octets)
        self._size += len(octets)
        self._lines += lines
        self._checksum = zlib.crc32(octets, self._checksum)
        self._eight_bit = self._eight_bit or not octets.isascii()

    def verdict(self, stray: bool) -> Reply | None:
        """What is wrong with the content, at its end. OSError when the disk refuses what was held back."""
        if stray:
            return STRAY
        if self.content is not None:
            self._finish(self.content)
        if self.refusal is None and self.header.received >= MAX_RECEIVED:
            return LOOP
        return self.refusal

    def letter(self, not_before: float = 0.0, sent_by: Address | None = None, account: Address | None = None) -> Letter:
        """``not_before`` is the Unix time of its first attempt, if that is to be later; ``sent_by`` the account in
        whose Sent folder it is to be saved; ``account`` the one that is logged in."""
        return Letter(
            self.id,
            self.sender,
            (*self.recipients, *self._expanded.values()),
            self._arrived,
            self._size,
            self._lines,
            self._offset,
            self._eight_bit,
            self._checksum,
            self.mail.smtputf8 and not (self._ascii and self.header.isascii),
            self.mail.require_tls,
            self.mail.ret,
            self.mail.envid,
            not_before,
            "" if self.mail.hold is None else str(self.mail.hold),
            sent_by,
            account,
        )

    def discard(self) -> None:
        content, self.content = self.content, None
        if content is not None:
            # What the disk keeps in spite of this is put aside by the next start.
            with suppress(OSError):
                content.discard()
