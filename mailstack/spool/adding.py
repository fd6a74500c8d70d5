"""New letters become rows. Whoever calls has begun a transaction, and ends it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable

from mailstack.model.letter import Letter
from mailstack.spool.rows import Rows, letter_wishes, message_row, recipient_row, recipient_wishes, sealed

#: Most letters come without wishes. They do not pay for them: each ``->>`` reads its row anew.
ADD_MESSAGES = """
INSERT INTO messages (id, sender, arrived, size, lines, relay_offset, eight_bit, checksum, seal, batch)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
       value ->> 8, (SELECT batch FROM counter)
FROM json_each(?)
"""
ADD_MESSAGES_WITH_WISHES = """
INSERT INTO messages (id, sender, arrived, size, lines, relay_offset, eight_bit, checksum, seal,
                      smtputf8, require_tls, ret, envid, not_before, hold, batch)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
       value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13,
       value ->> 14, (SELECT batch FROM counter)
FROM json_each(?)
"""
ADD_RECIPIENTS = """
INSERT INTO recipients (id, number, address, original, state, next_attempt, destination)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 'active', value ->> 4, value ->> 5 FROM json_each(?)
"""
ADD_RECIPIENTS_WITH_WISHES = """
INSERT INTO recipients (id, number, address, original, next_attempt, destination, notify, orcpt, expanded, state)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
       value ->> 8, iif(value ->> 8, 'expanded', 'active') FROM json_each(?)
"""
ADD_UNSAVED = "INSERT INTO unsaved (id, account) SELECT value ->> 0, value ->> 1 FROM json_each(?)"


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
            (special_recipients if special else recipients).append(one + special)
        (special_messages if wishes else messages).append((*row, sealed(row, wishes, envelope), *wishes))
    for statement, rows in (
        (ADD_MESSAGES, messages),
        (ADD_MESSAGES_WITH_WISHES, special_messages),
        (ADD_RECIPIENTS, recipients),
        (ADD_RECIPIENTS_WITH_WISHES, special_recipients),
        (ADD_UNSAVED, unsaved),
    ):
        if rows:
            db.execute(statement, (json.dumps(rows),))
