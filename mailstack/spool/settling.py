"""What became of letters changes their rows. Whoever calls has begun a transaction, and ends it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence

from mailstack.spool.batch import Batch, Settlement
from mailstack.spool.rows import history_row, result_row
from mailstack.spool.states import ARRIVED, DONE, IS_UNREPORTED, WAITING, listed

#: What the administrator has decided during the attempt holds, unless the letter has arrived. One that is recorded once
#: more, because the sync has failed, is in the history already, and counts once.
SETTLE = f"""
UPDATE recipients SET state = new.value ->> 2, next_attempt = new.value ->> 3,
       attempts = attempts + NOT EXISTS (SELECT 1 FROM history WHERE history.id = recipients.id
           AND history.number = recipients.number AND history.at = new.value ->> 8),
       code = new.value ->> 4, status = new.value ->> 5, reply = new.value ->> 6, relay = new.value ->> 7
FROM json_each(?) AS new WHERE recipients.id = new.value ->> 0 AND recipients.number = new.value ->> 1
      AND (state IN {listed(WAITING)} OR new.value ->> 2 IN {listed(ARRIVED)})
"""
#: A letter that somebody has dropped meanwhile has none.
REMEMBER = """
INSERT OR REPLACE INTO history (id, number, at, state, code, status, reply, relay)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7
FROM json_each(?) WHERE EXISTS (SELECT 1 FROM recipients WHERE id = value ->> 0 AND number = value ->> 1)
"""
#: A file or rows that are damaged. All ends that are not told of yet are still told.
QUARANTINE = f"""
UPDATE recipients SET state = 'hold', code = 451, status = '4.3.0', reply = new.value ->> 1
FROM json_each(?) AS new WHERE recipients.id = new.value ->> 0 AND state IN {listed(WAITING)}
"""
#: Not one that its sender holds back: it is "active" until its first attempt.
HASTEN = """
UPDATE recipients SET next_attempt = new.value ->> 2 FROM json_each(?) AS new
WHERE recipients.id = new.value ->> 0 AND recipients.number = new.value ->> 1
      AND state = 'deferred' AND next_attempt > new.value ->> 2
"""
CORRECT = (
    """
UPDATE messages SET arrived = new.value ->> 1, not_before = new.value ->> 2 FROM json_each(?) AS new
WHERE messages.id = new.value ->> 0
""",
    """
UPDATE recipients SET next_attempt = max(new.value ->> 1, new.value ->> 2) FROM json_each(?) AS new
WHERE recipients.id = new.value ->> 0 AND state = 'active'
""",
)
#: What came to be meanwhile, of other recipients, is still to be told.
REPORTED = f"""
UPDATE recipients SET state = iif(state = 'bounced', 'reported', 'sent') FROM json_each(?) AS told
WHERE recipients.id = told.value ->> 0 AND recipients.number = told.value ->> 1 AND {IS_UNREPORTED}
"""
WARNED = """
UPDATE messages SET warned = new.value ->> 1 FROM json_each(?) AS new WHERE messages.id = new.value ->> 0
"""
#: Letters of which nothing is left to do once all recipients from a number to another one have them.
FINISHED_BY = f"""
SELECT value ->> 0 FROM json_each(?) WHERE NOT EXISTS
    (SELECT 1 FROM recipients WHERE id = value ->> 0
     AND number NOT BETWEEN value ->> 1 AND value ->> 2 AND state NOT IN {listed(DONE)})
    AND NOT EXISTS (SELECT 1 FROM unsaved WHERE id = value ->> 0)
"""
SAVED = "DELETE FROM unsaved WHERE id IN (SELECT value FROM json_each(?))"
#: Of these letters, those of which nothing is left to do.
FINISHED = f"""
SELECT value FROM json_each(?) WHERE NOT EXISTS
    (SELECT 1 FROM recipients WHERE id = value AND state NOT IN {listed(DONE)})
    AND NOT EXISTS (SELECT 1 FROM unsaved WHERE id = value)
"""
FIRM = "DELETE FROM contents WHERE id IN (SELECT value FROM json_each(?))"
REMOVE = tuple(
    f"DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?))"
    for table in ("history", "recipients", "contents", "messages")
)


def held(why: str) -> str:
    """The last reply of a recipient that is on hold for that reason."""
    return f"Held for the administrator: {why}"


def finished_by(db: sqlite3.Connection, settlements: Iterable[Settlement]) -> list[str]:
    """Letters that these results alone finish, as they do with nearly all: their rows need no more than to go.
    sqlite3.Error."""
    spans: dict[str, tuple[str, int, int] | None] = {}
    for done in settlements:
        # Two attempts at one letter may have met with different luck.
        spans[done.id] = None if done.id in spans else _span(done)
    found = [span for span in spans.values() if span is not None]
    return [id for (id,) in db.execute(FINISHED_BY, (json.dumps(found),))] if found else []


def _span(done: Settlement) -> tuple[str, int, int] | None:
    """A letter, and the first and last number of the recipients that have it. None: there are gaps, or others."""
    if not done.results:
        return None
    first = done.results[0].number
    for number, result in enumerate(done.results, first):
        if result.state != "sent" or result.number != number:
            return None
    return done.id, first, number


def settle(db: sqlite3.Connection, batch: Batch, settlements: Sequence[Settlement]) -> None:
    """All that the batch changes of letters that are there; of its settlements only these. sqlite3.Error."""
    if settlements:
        rows = [result_row(done.id, result) for done in settlements for result in done.results]
        db.execute(SETTLE, (json.dumps(rows),))
    if batch.quarantined:
        db.execute(QUARANTINE, (json.dumps([(id, held(why)) for id, why in batch.quarantined]),))
    if batch.hastened:
        db.execute(HASTEN, (json.dumps([(each.id, each.number, each.next_attempt) for each in batch.hastened]),))
    if batch.corrected:
        corrected = json.dumps([(each.id, each.arrived, each.not_before) for each in batch.corrected])
        for statement in CORRECT:
            db.execute(statement, (corrected,))
    if batch.saved:
        db.execute(SAVED, (json.dumps(batch.saved),))
    if batch.firm:
        db.execute(FIRM, (json.dumps(batch.firm),))
    if batch.reported:
        told = [(report.id, number) for report in batch.reported for number in report.numbers]
        db.execute(REPORTED, (json.dumps(told),))
        db.execute(WARNED, (json.dumps([(report.id, report.warned) for report in batch.reported]),))


def remove(db: sqlite3.Connection, ids: Collection[str], finished: bool = False) -> None:
    """All that there is of these letters; of ``finished`` ones nothing is unsaved. sqlite3.Error."""
    if not ids:
        return
    rows = (json.dumps(list(ids)),)
    if not finished:
        db.execute(SAVED, rows)
    for statement in REMOVE:
        db.execute(statement, rows)


def remember(db: sqlite3.Connection, staying: Iterable[Settlement]) -> None:
    """For who asks why a letter is still there; of those that go nobody asks. sqlite3.Error."""
    rows = [history_row(done.id, result) for done in staying for result in done.results]
    if rows:
        db.execute(REMEMBER, (json.dumps(rows),))
