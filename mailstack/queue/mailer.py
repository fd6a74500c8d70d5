"""Letters of our own, which enter at the top: the reports to the sender."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

from attrs import frozen

from mailstack.interfaces.accounts import IDirectory
from mailstack.interfaces.spool import IIncoming, ISpool
from mailstack.message.trace import date, delivery_fields
from mailstack.model.address import Address
from mailstack.model.letter import Letter, Recipient


@frozen
class Mailer:
    """Writes letters of our own, from the null sender (RFC 5321 §4.5.5)."""

    hostname: str
    directory: IDirectory
    spool: ISpool
    new_id: Callable[[], str]

    def recipients(self, address: Address) -> tuple[Recipient, ...]:
        """Where a report to this sender goes; nowhere when it claimed to be a user of ours who does not exist. OSError
        when nobody can tell now."""
        if not self.directory.is_local(address.domain):
            return (Recipient(address, address),)
        found = self.directory.resolve(address)
        if found.refusal is not None and not found.refusal.permanent:
            raise OSError(f"nobody can tell now whether {address} exists: {found.refusal}")
        return found.recipients

    def compose(
        self, recipients: Sequence[Recipient], message: Callable[[str], bytes], now: float, require_tls: bool = False
    ) -> tuple[Letter, IIncoming]:
        """A letter and its content, not in the queue yet. ``message`` gets the queue id and gives header and body, LF
        line ends. OSError when the disk refuses."""
        id, to = self.new_id(), tuple(recipients)
        delivery = delivery_fields(None, to)
        received = f"Received: by {self.hostname} (mailstack) id {id};\n\t{date(now)}\n".encode("ascii")
        octets = delivery + received + message(id)
        content = self.spool.receive(id)
        try:
            content.write(octets)
        except OSError:
            content.discard()
            raise
        letter = Letter(
            id,
            None,
            to,
            arrived=now,
            size=len(octets),
            lines=octets.count(b"\n"),
            relay_offset=len(delivery),
            eight_bit=not octets.isascii(),
            checksum=zlib.crc32(octets),
            smtputf8=not octets[len(delivery) :].partition(b"\n\n")[0].isascii(),
            require_tls=require_tls,
        )
        return letter, content
