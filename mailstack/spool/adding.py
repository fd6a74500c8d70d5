"""New letters become rows. Whoever calls has begun a transaction, and ends it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from mailstack.model.letter import Letter
from mailstack.spool.rows import Rows, letter_wishes, message_row, recipient_row, recipient_wishes, sealed

#: Rows of one statement. For each number of them SQLite keeps one.
MOST = 16


def _by_number(statement: str, row: str) -> list[str]:
    """The statement for so many rows, from none on."""
    return [f"{statement} VALUES {', '.join([row] * number)}" for number in range(MOST + 1)]


#: Most letters come from strangers and without wishes, and do not pay for them.
ADD_MESSAGES = _by_number(
    "INSERT INTO messages (id, sender, arrived, size, lines, relay_offset, eight_bit, checksum, seal, batch)",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT batch FROM counter))",
)
ADD_MESSAGES_WITH_WISHES = _by_number(
    """INSERT INTO messages (id, sender, arrived, size, lines, relay_offset, eight_bit, checksum, seal,
                             smtputf8, require_tls, ret, envid, not_before, hold, account, batch)""",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT batch FROM counter))",
)
ADD_RECIPIENTS = _by_number(
    "INSERT INTO recipients (id, number, address, original, next_attempt, destination, state)",
    "(?, ?, ?, ?, ?, ?, 'active')",
)
ADD_RECIPIENTS_WITH_WISHES = _by_number(
    """INSERT INTO recipients (id, number, address, original, next_attempt, destination,
                               notify, orcpt, expanded, state)""",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
)
ADD_UNSAVED = _by_number("INSERT INTO unsaved (id, account)", "(?, ?)")
ADD_CONTENTS = _by_number("INSERT INTO contents (id, content)", "(?, ?)")


def add_letters(db: sqlite3.Connection, letters: Iterable[Letter], destination: Callable[[str], str]) -> None:
    """They belong to the batch that the counter names. ``destination``: by domain, where a recipient goes next.
    sqlite3.Error."""
    messages, special_messages = Rows(), Rows()
    recipients, special_recipients = Rows(), Rows()
    unsaved = Rows()
    for letter in letters:
        row, wishes = message_row(letter), letter_wishes(letter)
        envelope = []
        if letter.sent_by is not None:
            unsaved.append((letter.id, str(letter.sent_by)))
        for number, recipient in enumerate(letter.recipients):
            one = recipient_row(letter, number, recipient, destination(recipient.address.domain))
            special = recipient_wishes(recipient)
            envelope.append((one, special))
            if special:
                special_recipients.append((*one, *special, "expanded" if recipient.expanded else "active"))
            else:
                recipients.append(one)
        (special_messages if wishes else messages).append((*row, sealed(row, wishes, envelope), *wishes))
    for statements, rows in (
        (ADD_MESSAGES, messages),
        (ADD_MESSAGES_WITH_WISHES, special_messages),
        (ADD_RECIPIENTS, recipients),
        (ADD_RECIPIENTS_WITH_WISHES, special_recipients),
        (ADD_UNSAVED, unsaved),
    ):
        _add(db, statements, rows)


def add_contents(db: sqlite3.Connection, contents: Sequence[tuple[str, bytes]]) -> None:
    """By id. sqlite3.Error."""
    _add(db, ADD_CONTENTS, contents)


def _add(db: sqlite3.Connection, statements: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    for first in range(0, len(rows), MOST):
        some = rows[first : first + MOST]
        db.execute(statements[len(some)], tuple(chain.from_iterable(some)))
