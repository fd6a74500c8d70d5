"""Values as rows of the queue's tables, in the order in which the statements of :mod:`.store` read them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from mailstack.interfaces.spool import Result
from mailstack.model.letter import Letter, Recipient

Row = tuple[object, ...]
Rows = list[Row]

NO_WISHES = (0, 0, "", "", 0.0, "", "")  #: as :func:`letter_wishes` has them
NO_RECIPIENT_WISHES = ("", "", 0)
UNSEALED = -1  #: of a letter that an older mailstack has accepted


_MESSAGE = "\n".join(["%s"] * 12)
_RECIPIENT = "\n" + "\t".join(["%s"] * 5)


def seal(message: Row, recipients: Iterable[Row]) -> int:
    """CRC-32 of an envelope. SQLite does not notice when a bit of a row flips; so the letter would go to somebody else.

    Of the message: id, sender, size, lines, relay_offset, eight_bit, checksum, smtputf8, require_tls, ret, envid, hold;
    of each recipient, in order: address, original, notify, orcpt, expanded. All else may change."""
    text = _MESSAGE % message
    for each in recipients:
        text += _RECIPIENT % each
    return zlib.crc32(text.encode("utf-8", "backslashreplace"))


def sealed(message: Row, wishes: Row, recipients: Iterable[tuple[Row, Row]]) -> int:
    """The seal of rows as they are about to be written."""
    id, sender, _, *measures = message
    smtputf8, require_tls, ret, envid, _, hold, _ = wishes or NO_WISHES
    those = [row[2:4] + (rest or NO_RECIPIENT_WISHES) for row, rest in recipients]
    return seal((id, sender, *measures, smtputf8, require_tls, ret, envid, hold), those)


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
    account = str(letter.account or "")
    if not (letter.smtputf8 or letter.require_tls or letter.ret or letter.envid or letter.not_before or account):
        return ()
    wishes = (int(letter.smtputf8), int(letter.require_tls), letter.ret, letter.envid, letter.not_before, letter.hold)
    return (*wishes, account)


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
