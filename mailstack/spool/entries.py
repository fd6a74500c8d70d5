"""Rows of the queue as an administrator sees them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from mailstack.model.address import Address
from mailstack.model.entry import Entry, EntryRecipient, Moment
from mailstack.model.letter import NOT_SAID
from mailstack.model.reply import Reply
from mailstack.model.selection import HOLD, Selection
from mailstack.spool.selection import condition, id_list
from mailstack.spool.states import WAITING, shown

PAGE = 500  # letters read at a time

_LETTER = (
    "m.id, m.sender, m.size + m.lines, m.arrived, m.smtputf8, m.require_tls, m.ret, m.envid, m.not_before, m.warned,"
    " m.account"
)
_LETTER_COLUMNS = 11
_RECIPIENT = (
    "r.number, r.address, r.original, r.state, r.attempts, r.next_attempt, r.destination, r.notify, r.code, r.status,"
    " r.reply"
)
_SELECT = f"""
SELECT {_LETTER}, {_RECIPIENT} FROM messages AS m JOIN recipients AS r USING (id)
WHERE m.id IN (SELECT value FROM json_each(?)) ORDER BY m.id, r.number
"""
#: ``CROSS`` keeps the order of the tables, and so of the letters: nothing has to be sorted.
_PAGE = """
SELECT DISTINCT r.id FROM recipients AS r CROSS JOIN messages AS m ON m.id = r.id
WHERE r.id > :last AND {condition} ORDER BY r.id LIMIT :limit
"""
_HISTORY = """
SELECT number, at, state, code, status, reply, relay FROM history WHERE id = ? ORDER BY at, number
"""
#: What the administrator, or the sender, has done stands in the history behind this, where else the next hop's name is.
ADMINISTRATOR, SENDER = "admin:", "sender:"
DAMAGED = "damaged.invalid"  # the domain that is shown of what is no address


def letters(db: sqlite3.Connection, selection: Selection, limit: int | None) -> Iterator[Entry]:
    """The oldest first, a page at a time: so a reader that takes its time keeps no transaction open, which would keep
    the server from tidying up its log."""
    chosen = condition(selection)
    query = _PAGE.format(condition=chosen.sql)
    last, left = "", limit
    while left is None or left > 0:
        wanted = PAGE if left is None else min(PAGE, left)
        ids = [id for (id,) in db.execute(query, {**chosen.values, "last": last, "limit": wanted})]
        yield from entries(db, ids)
        if len(ids) < wanted:
            return
        last, left = ids[-1], None if left is None else left - len(ids)


def entries(db: sqlite3.Connection, ids: Sequence[str]) -> list[Entry]:
    rows = db.execute(_SELECT, (id_list(ids),)).fetchall()
    return [_entry(list(group)) for _, group in groupby(rows, key=lambda row: row[0])]


def history(db: sqlite3.Connection, id: str) -> list[Moment]:
    """What happened to a letter, the first first."""
    return [_moment(*row) for row in db.execute(_HISTORY, (id,))]


def _entry(rows: list[tuple[Any, ...]]) -> Entry:
    id, sender, size, arrived, smtputf8, require_tls, ret, envid, *rest = rows[0][:_LETTER_COLUMNS]
    not_before, warned, account = rest
    recipients = tuple(_recipient(arrived, *row[_LETTER_COLUMNS:]) for row in rows)
    waiting = [recipient.next_attempt for recipient in recipients if recipient.next_attempt is not None]
    return Entry(
        id,
        _address(sender) if sender else None,
        size,
        arrived,
        min(waiting, default=None),
        _state({recipient.state for recipient in recipients}),
        recipients,
        bool(smtputf8),
        bool(require_tls),
        ret,
        envid,
        not_before,
        warned,
        account,
    )


def _recipient(
    arrived: float,
    number: int,
    address: str,
    original: str,
    state: str,
    attempts: int,
    next_attempt: float,
    destination: str,
    notify: str,
    *reply: Any,  # Any: as SQLite gives it
) -> EntryRecipient:
    return EntryRecipient(
        _address(address),
        _address(original),
        shown(state, next_attempt > arrived),
        attempts,
        # What the administrator wants tried now stands first in line: its time is 0.
        max(next_attempt, arrived) if state in WAITING else None,
        _words(*reply),
        destination,
        frozenset(notify.split(",")) if notify else NOT_SAID,
        number,
    )


def _address(text: str) -> Address:
    """Also of a damaged row, which the administrator must be able to see, and to drop."""
    try:
        return Address.parse(text)
    except ValueError:
        return Address(text, DAMAGED)


def _words(code: int, status: str, text: str) -> str:
    """Without a code it is what the administrator did."""
    return str(Reply(code, status, text)) if code else text


def _moment(number: int, at: float, state: str, code: int, status: str, text: str, relay: str) -> Moment:
    who = relay.removeprefix(ADMINISTRATOR).removeprefix(SENDER)
    administrator = relay.startswith(ADMINISTRATOR)
    return Moment(number, at, shown(state), _words(code, status, text), who, administrator)


def _state(states: set[str]) -> str:
    """A letter's state in one word: what its waiting recipients have in common, at most."""
    for state in (*WAITING, HOLD):
        if state in states:
            return state
    return "active"
