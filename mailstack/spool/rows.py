"""Values as rows of the queue's tables, in the order in which the statements of :mod:`.store` read them."""

from __future__ import annotations

from mailstack.interfaces.spool import Result
from mailstack.model.letter import Letter, Recipient

Row = tuple[object, ...]
Rows = list[Row]


def message_row(letter: Letter) -> Row:
    return (
        letter.id,
        str(letter.sender or ""),
        letter.arrived,
        letter.size,
        letter.lines,
        letter.relay_offset,
        int(letter.eight_bit),
        letter.checksum,
    )


def letter_wishes(letter: Letter) -> Row:
    """Empty: there are none, as usual."""
    if not (letter.smtputf8 or letter.require_tls or letter.ret or letter.envid or letter.not_before):
        return ()
    return (int(letter.smtputf8), int(letter.require_tls), letter.ret, letter.envid, letter.not_before, letter.hold)


def recipient_row(letter: Letter, number: int, recipient: Recipient, destination: str) -> Row:
    return (letter.id, number, str(recipient.address), str(recipient.original), letter.released, destination)


def recipient_wishes(recipient: Recipient) -> Row:
    if not (recipient.notify or recipient.orcpt or recipient.expanded):
        return ()
    return (",".join(sorted(recipient.notify)), recipient.orcpt, int(recipient.expanded))


def result_row(id: str, result: Result) -> Row:
    reply = result.reply
    told = (reply.code, reply.status, reply.text, result.relay)
    return (id, result.number, result.state, result.next_attempt, *told, result.at)


def history_row(id: str, result: Result) -> Row:
    reply = result.reply
    return (id, result.number, result.at, result.state, reply.code, reply.status, reply.text, result.relay)
