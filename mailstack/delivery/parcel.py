"""A letter as it is handed to a connection, and what the answers to it mean."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from functools import partial
from typing import BinaryIO

from mailstack.delivery.connection import Connection, Content
from mailstack.interfaces.delivery import Outcomes
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool
from mailstack.model.letter import Letter, Pending
from mailstack.model.outcome import from_reply
from mailstack.model.reply import Reply
from mailstack.model.value import frozen
from mailstack.protocol.dots import DotEncoder
from mailstack.protocol.smtp_transaction import Envelope

SESSION = 3_600.0  #: seconds for one letter, whatever happens ...
SLOWEST = 8 * 1_024  #: ... and one more for so many octets
BLOCK = 64 * 1_024  #: octets read from the file at once
MAX_TEXT = 1_000  #: characters of a remote reply that are kept


@frozen
class Parcel:
    """A letter on its way to some of its recipients. It holds its file open: use ``with``."""

    id: str
    envelope: Envelope
    file: BinaryIO
    content: Content

    def __enter__(self) -> Parcel:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    async def hand_to(self, connection: Connection) -> None:
        """What comes of it is the client's to say."""
        await connection.send(self.envelope, self.content, SESSION + self.envelope.size / SLOWEST)


def packed(spool: ISpool, log: IEventLog, letter: Letter, pending: Sequence[Pending]) -> Parcel | Reply:
    """A Reply when the stored file cannot be read now."""
    try:
        file = spool.open(letter.id)
    except OSError as error:
        why = error.strerror or "it is gone"
        log.warn(letter.id, note=f"the queue file cannot be read: {why}")
        return Reply(451, "4.3.0", f"The queue file cannot be read: {why}")
    return Parcel(letter.id, envelope_of(letter, pending), file, partial(wire_pieces, file, letter))


def envelope_of(letter: Letter, pending: Sequence[Pending]) -> Envelope:
    return Envelope(
        letter.sender,
        {one.number: one.recipient for one in pending},
        # A few octets too many: the CRs of the lines before relay_offset.
        letter.wire_size - letter.relay_offset + len(letter.opening) + letter.opening.count(b"\n"),
        letter.eight_bit,
        letter.smtputf8,
        letter.require_tls,
        letter.ret,
        letter.envid,
    )


def wire_pieces(file: BinaryIO, letter: Letter, empty: bool) -> Iterator[bytes]:
    """What follows the 354: the message, unless ``empty``, and the end of data. A short message is one piece."""
    encoder = DotEncoder()
    rest = b""
    if not empty:
        rest = letter.opening
        file.seek(letter.relay_offset)
        while len(block := file.read(BLOCK)) == BLOCK:
            yield encoder.encode(rest + block)
            rest = b""
        rest += block
    yield encoder.encode(rest) + encoder.finish()


def outcomes(
    answers: Mapping[int, Reply],
    relay: str = "none",
    setup: float = 0.0,
    action: str = "",
    conn_use: int = 1,
    unreachable: Container[int] = (),
) -> Outcomes:
    """What a host's answers mean; ``action`` is what a positive one does (RFC 3464 §2.3.3), "" where it reports;
    ``unreachable`` are those who would have fared alike with any letter."""
    return {
        number: from_reply(_bounded(reply), relay, setup, conn_use, action, number in unreachable)
        for number, reply in answers.items()
    }


def _bounded(reply: Reply) -> Reply:
    """With a status, and not longer than somebody wants to read."""
    if reply.status and len(reply.text) <= MAX_TEXT:
        return reply
    text = reply.text if len(reply.text) <= MAX_TEXT else f"{reply.text[:MAX_TEXT]}..."
    return Reply(reply.code, reply.full_status, text)
