"""What the administrator's verbs do to the rows; one of them is also the sender's."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from mailstack.model.deed import BOUNCE, DROP, HOLD, RELEASE, RETRY, Deed
from mailstack.model.entry import Changed
from mailstack.model.selection import Selection
from mailstack.spool.entries import ADMINISTRATOR, SENDER
from mailstack.spool.selection import condition, id_list
from mailstack.spool.settling import FINISHED, remove
from mailstack.spool.states import HELD, UNREPORTED, WAITING, listed


@frozen
class Change:
    """From which states, to what, and the words of it in the history."""

    states: tuple[str, ...]
    sets: str
    words: str
    finishes: bool = False  #: it may be all that was left of the letter


_VERDICT = "code = :code, status = :status, reply = :reply, relay = 'none'"
CHANGES: Mapping[str, Change] = {
    RETRY: Change(WAITING, "next_attempt = 0", "Asked to be tried at once"),
    HOLD: Change(WAITING, "state = 'hold'", "Put on hold"),
    RELEASE: Change(
        HELD,
        "state = iif(attempts, 'deferred', 'active'),"
        " next_attempt = max(:at, (SELECT not_before FROM messages WHERE messages.id = recipients.id))",
        "Released",
    ),
    DROP: Change(
        WAITING + HELD + UNREPORTED, "state = 'dropped', code = 0, status = '', reply = :words", "Dropped", True
    ),
    BOUNCE: Change(
        # RFC 3461 §5.2.6: who does not want to hear of failure is not told.
        WAITING + HELD,
        f"state = iif(notify = '' OR instr(notify, 'FAILURE'), 'bounced', 'reported'), {_VERDICT}",
        "Returned to the sender",
        True,
    ),
}

_CHOSEN = """
SELECT r.id, count(*) FROM recipients AS r CROSS JOIN messages AS m ON m.id = r.id
WHERE {condition} GROUP BY r.id ORDER BY r.id
"""
_ROWS = """
SELECT r.id, r.number, m.sender, r.state, r.next_attempt FROM recipients AS r CROSS JOIN messages AS m ON m.id = r.id
WHERE {condition}
"""
_THESE = "FROM json_each(:rows) AS chosen WHERE recipients.id = chosen.value ->> 0 AND number = chosen.value ->> 1"
_REMEMBER = """
INSERT OR REPLACE INTO history (id, number, at, state, code, status, reply, relay)
SELECT recipients.id, number, :at, state, 0, '', :words, :by FROM recipients, json_each(:rows) AS chosen
WHERE recipients.id = chosen.value ->> 0 AND number = chosen.value ->> 1
"""
#: Nobody has got it, and nobody will: it was taken back before it was sent.
_TAKEN_BACK = """
DELETE FROM unsaved WHERE id IN (SELECT value FROM json_each(?))
AND NOT EXISTS (SELECT 1 FROM recipients WHERE recipients.id = unsaved.id AND state != 'dropped')
"""


def choose(
    db: sqlite3.Connection, verb: str, selection: Selection, ids: Sequence[str] | None = None
) -> Mapping[str, int]:
    sql, values = _condition(verb, selection, ids)
    return dict(db.execute(_CHOSEN.format(condition=sql), values).fetchall())


def _condition(verb: str, selection: Selection, ids: Sequence[str] | None) -> tuple[str, dict[str, Any]]:
    chosen = condition(selection)
    sql = f"{chosen.sql} AND r.state IN {listed(CHANGES[verb].states)}"
    if ids is None:
        return sql, chosen.values
    return f"{sql} AND r.id IN (SELECT value FROM json_each(:ids))", {**chosen.values, "ids": id_list(ids)}


def change(
    db: sqlite3.Connection, deed: Deed, ids: Sequence[str], selection: Selection, messages: Path | None = None
) -> tuple[Changed, list[str]]:
    """In one transaction of the caller; also returns the letters of which nothing is left, whose files can go.
    ``messages``: where those are, for a release."""
    sql, values = _condition(deed.verb, selection, ids)
    found = db.execute(_ROWS.format(condition=sql), values).fetchall()
    lost = {id for id, *_ in found if messages and not (messages / id).exists()} if deed.verb == RELEASE else set()
    rows = [row for row in found if row[0] not in lost]
    _apply(db, deed, rows)
    touched = list(dict.fromkeys(id for id, *_ in rows))
    changed = Changed(
        tuple(touched),
        len(rows),
        len({id for id, _, _, state, due in rows if state in WAITING and due <= deed.at}),
        len({id for id, _, sender, *_ in rows if not sender}),
        tuple(sorted(lost)),
    )
    return changed, _remove(db, touched) if CHANGES[deed.verb].finishes else []


def _apply(db: sqlite3.Connection, deed: Deed, rows: Sequence[tuple[Any, ...]]) -> None:
    what, verdict = CHANGES[deed.verb], deed.verdict
    values = {
        "rows": json.dumps([row[:2] for row in rows]),
        "at": deed.at,
        "words": words(deed),
        "by": f"{SENDER if deed.own else ADMINISTRATOR}{deed.by}",
        "code": verdict.code,
        "status": verdict.status,
        "reply": verdict.text,
    }
    db.execute(f"UPDATE recipients SET {what.sets} {_THESE}", values)
    db.execute(_REMEMBER, values)


def words(deed: Deed) -> str:
    """For the log, and for people."""
    who = "its sender" if deed.own else "the administrator"
    return f"{CHANGES[deed.verb].words} by {who}" + (f": {deed.reason}" if deed.reason else "")


def _remove(db: sqlite3.Connection, ids: Sequence[str]) -> list[str]:
    db.execute(_TAKEN_BACK, (id_list(ids),))
    finished = [id for (id,) in db.execute(FINISHED, (id_list(ids),))]
    remove(db, finished)
    return finished
