"""The queue's rows, read. Blocking, on a connection of its own, so in a thread of its own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path
from typing import Any

from attrs import evolve

from mailstack.interfaces.spool import Lagging, Wanted
from mailstack.model.address import Address
from mailstack.model.entry import Entry
from mailstack.model.letter import NOT_SAID, Due, Letter, Pending, Recipient
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome
from mailstack.model.reply import Reply
from mailstack.spool import notes
from mailstack.spool.entries import entries
from mailstack.spool.errors import as_os_error
from mailstack.spool.rows import UNSEALED, seal
from mailstack.spool.states import IS_UNREPORTED, WAITING, listed

WINDOW = 10_000  #: rows that a look reads at most, before it goes from destination to destination
#: Read along an index, and only as far as is needed: SQLite knows no sense in that, so the index is named.
DESTINATIONS = f"""
SELECT DISTINCT destination
FROM (SELECT destination FROM recipients INDEXED BY waiting
      WHERE state IN {listed(WAITING)} AND next_attempt <= :now ORDER BY next_attempt {{order}} LIMIT {WINDOW})
WHERE destination NOT IN (SELECT value FROM json_each(:exclude)) LIMIT :limit
"""
BEYOND = f"""
SELECT 1 FROM recipients INDEXED BY waiting
WHERE state IN {listed(WAITING)} AND next_attempt <= :now LIMIT 1 OFFSET {WINDOW}
"""
#: However many letters wait for one destination, a step leads to the next: so a million for ten cost ten steps.
STEPS = f"""
WITH RECURSIVE known(destination) AS (
    SELECT {{first}}(destination) FROM recipients INDEXED BY in_line WHERE state IN {listed(WAITING)}
    UNION ALL
    SELECT (SELECT {{first}}(destination) FROM recipients INDEXED BY in_line
            WHERE state IN {listed(WAITING)} AND destination {{beyond}} known.destination)
    FROM known WHERE destination IS NOT NULL
)
SELECT destination FROM known
WHERE destination NOT IN (SELECT value FROM json_each(:exclude))
      AND EXISTS (SELECT 1 FROM recipients INDEXED BY in_line WHERE state IN {listed(WAITING)}
                  AND destination = known.destination AND next_attempt <= :now)
LIMIT :limit
"""
IN_LINE = f"""
SELECT DISTINCT id FROM recipients INDEXED BY in_line
WHERE state IN {listed(WAITING)} AND destination = :destination AND next_attempt <= :now
      AND id NOT IN (SELECT value FROM json_each(:exclude))
ORDER BY next_attempt {{order}} LIMIT :limit
"""
#: Without a destination, wherever they go.
PENDING = f"""
SELECT number, attempts, next_attempt FROM recipients
WHERE id = :id AND state IN {listed(WAITING)} AND next_attempt <= :now
      AND (:destination IS NULL OR destination = :destination)
ORDER BY number
"""
UNTOLD = f"""
SELECT DISTINCT id FROM recipients
WHERE {IS_UNREPORTED} AND id > :after AND id NOT IN (SELECT value FROM json_each(:exclude))
ORDER BY id LIMIT :limit
"""
#: Who was tried since has had its turn.
LATER = f"""
SELECT id, number, next_attempt FROM recipients AS later INDEXED BY in_line
WHERE state IN {listed(WAITING)} AND destination = :destination AND next_attempt > :after AND state = 'deferred'
      AND NOT EXISTS (SELECT 1 FROM history
                      WHERE history.id = later.id AND history.number = later.number AND at >= :since)
ORDER BY next_attempt LIMIT :limit
"""
UNBELIEVABLE = f"""
SELECT id, number FROM recipients WHERE state IN {listed(WAITING)} AND next_attempt > ? AND state = 'deferred'
"""
UNSAVED = """
SELECT id, unsaved.account FROM unsaved JOIN messages USING (id)
WHERE not_before <= :now AND id NOT IN (SELECT value FROM json_each(:exclude)) ORDER BY id LIMIT :limit
"""
OF_ACCOUNT = f"""
SELECT id FROM messages WHERE account = :account AND account != '' AND id NOT IN (SELECT value FROM json_each(:exclude))
AND EXISTS (SELECT 1 FROM recipients WHERE recipients.id = messages.id AND state IN {listed(WAITING)})
ORDER BY id DESC LIMIT :limit
"""
NEXT_DUE = f"SELECT min(next_attempt) FROM recipients WHERE state IN {listed(WAITING)} AND next_attempt > ?"
#: All of a domain go to the same destination. With sub-domains (``.domain``) that may be any.
IN_DOMAIN = f"""
SELECT id, number, next_attempt FROM recipients
WHERE state IN {listed(WAITING)} AND destination = :destination AND substr(address, -length(:at)) = :at
"""
IN_SUBDOMAINS = f"""
SELECT id, number, next_attempt FROM recipients
WHERE state IN {listed(WAITING)} AND (substr(address, -length(:at)) = :at OR substr(address, -length(:sub)) = :sub)
"""


class Reader:
    """Sees what the last transaction left. Every method raises OSError when SQLite or the disk fail."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA wal_autocheckpoint = 0")  # the log may have a hole; who writes knows
        # A row that is damaged must not keep the others from being read.
        self._db.text_factory = lambda octets: octets.decode("utf-8", "replace")

    def close(self) -> None:
        self._db.close()

    def destinations(self, now: float, limit: int, exclude: Iterable[str], newest: bool) -> list[str]:
        """Those of the oldest, or newest, letters that are due; if a long queue is for few, in order of name."""
        query = DESTINATIONS.format(order="DESC" if newest else "ASC")
        where = {"now": now, "limit": limit, "exclude": json.dumps(list(exclude))}
        rows = self._rows(query, where)
        if len(rows) < limit and self._rows(BEYOND, {"now": now}):
            first, beyond = ("max", "<") if newest else ("min", ">")
            rows = self._rows(STEPS.format(first=first, beyond=beyond), where)
        return [destination for (destination,) in rows]

    def due(self, now: float, wanted: Sequence[Wanted], damaged: set[str]) -> list[list[Due]]:
        """Letters whose rows make no sense are added to ``damaged``, and left out."""
        letters: dict[str, tuple[Letter | None, int]] = {}
        return [self._in_line(now, each, damaged, letters) for each in wanted]

    def _in_line(
        self, now: float, wanted: Wanted, damaged: set[str], letters: dict[str, tuple[Letter | None, int]]
    ) -> list[Due]:
        """``letters`` were read already: one with many destinations is read, and kept, once."""
        query = IN_LINE.format(order="DESC" if wanted.newest else "ASC")
        exclude = json.dumps([*wanted.exclude, *damaged])
        where = {"destination": wanted.destination, "now": now, "limit": wanted.limit, "exclude": exclude}
        found: list[Due] = []
        for (id,) in self._rows(query, where):
            try:
                if id not in letters:
                    letters[id] = self.letter(id)
                due = self._due(*letters[id], now, wanted.destination)
            except (ValueError, IndexError):
                damaged.add(id)
            else:
                # Nothing: the administrator has held, ended or dropped it between the two queries.
                found += [due] if due and due.pending else []
        return found

    def _due(self, letter: Letter | None, warned: int, now: float, destination: str | None = None) -> Due | None:
        if letter is None:
            return None
        rows = self._rows(PENDING, {"id": letter.id, "now": now, "destination": destination})
        pending = tuple(Pending(number, letter.recipients[number], *rest) for number, *rest in rows)
        return Due(letter, pending, warned=warned)

    def untold(self, limit: int, after: str, damaged: set[str]) -> list[Due]:
        found: list[Due] = []
        for (id,) in self._rows(UNTOLD, {"limit": limit, "after": after, "exclude": json.dumps(list(damaged))}):
            try:
                letter, warned = self.letter(id)
            except (ValueError, IndexError):
                damaged.add(id)
            else:
                found += [Due(letter, (), warned=warned, unreported=True)] if letter else []
        return found

    def later(self, destination: str, since: float, after: float, limit: int) -> list[tuple[str, int, float]]:
        """Recipients at a destination whose next attempt is behind ``after``, not tried after ``since``."""
        return self._rows(LATER, {"destination": destination, "since": since, "after": after, "limit": limit})

    def unbelievable(self, horizon: float) -> list[tuple[str, int]]:
        """Recipients that are to be tried again later than that. Looks at no others."""
        return self._rows(UNBELIEVABLE, (horizon,))

    def from_the_future(self, now: float) -> list[tuple[str, float, float, str]]:
        """Letters that have come after ``now``, until when they are held back, and their senders' wish. Looks at all
        letters."""
        return self._rows("SELECT id, arrived, not_before, hold FROM messages WHERE arrived > ?", (now,))

    def waiting(self, domain: str, destination: str, subdomains: bool = False) -> list[tuple[str, int, float]]:
        """Recipients in a domain, by id and number, and their next attempt. Looks at all that wait for its
        ``destination``; with sub-domains, at all that wait."""
        at = f"@{domain}"
        if subdomains:
            return self._rows(IN_SUBDOMAINS, {"at": at, "sub": f".{domain}"})
        return self._rows(IN_DOMAIN, {"at": at, "destination": destination})

    def ahead_of_time(self, id: str, domains: Sequence[str]) -> Due | None:
        try:
            due = self._due(*self.letter(id), inf)
        except (ValueError, IndexError):
            return None  # damaged, as due() tells
        pending = tuple(each for each in due.pending if each.recipient.address.domain in domains) if due else ()
        return evolve(due, pending=pending) if due and pending else None

    def letter(self, id: str) -> tuple[Letter | None, int]:
        """A letter and how many delay warnings it had. ValueError: its rows are damaged."""
        rows = self._rows(
            "SELECT sender, arrived, size, lines, relay_offset, eight_bit, checksum, smtputf8, require_tls, ret, envid,"
            " not_before, hold, warned, seal FROM messages WHERE id = ?",
            (id,),
        )
        if not rows:
            return None, 0
        sender, arrived, *measures, smtputf8, require_tls, ret, envid, not_before, hold, warned, mark = rows[0]
        found = self._rows(
            "SELECT address, original, notify, orcpt, expanded FROM recipients WHERE id = ? ORDER BY number", (id,)
        )
        if mark not in (UNSEALED, seal((id, sender, *measures, smtputf8, require_tls, ret, envid, hold), found)):
            raise ValueError(f"{id}: the envelope is not what was accepted")
        recipients = tuple(_recipient(*row) for row in found)
        origin = _address(sender) if sender else None
        size, lines, offset, eight_bit, checksum = measures
        about = (arrived, size, lines, offset, bool(eight_bit), checksum, bool(smtputf8), bool(require_tls))
        return Letter(id, origin, recipients, *about, ret, envid, not_before, hold), warned

    def unreported(self, id: str) -> dict[int, Outcome]:
        rows = self._rows(
            "SELECT number, state, code, status, reply, relay FROM recipients"
            f" WHERE id = ? AND {IS_UNREPORTED} ORDER BY number",
            (id,),
        )
        return {
            number: _outcome(state, Reply(code, status, text), relay)
            for number, state, code, status, text, relay in rows
        }

    def lagging(self, id: str, now: float) -> Lagging:
        rows = self._rows(
            "SELECT number, attempts, next_attempt, code, status, reply, relay"
            f" FROM recipients WHERE id = ? AND state IN {listed(WAITING)} ORDER BY number",
            (id,),
        )
        late = {number: Delayed(Reply(*reply), relay) for number, tries, _, *reply, relay in rows if tries}
        trying = any(following <= now for _, _, following, *_ in rows)
        ((warned,),) = self._rows("SELECT max(warned) FROM messages WHERE id = ?", (id,))
        return Lagging(late, trying, warned or 0)

    def next_due(self, after: float) -> float | None:
        rows = self._rows(NEXT_DUE, (after,))
        earliest: float | None = rows[0][0]
        return earliest

    def unsaved(self, now: float, limit: int, exclude: Iterable[str]) -> list[Letter]:
        found: list[Letter] = []
        for id, account in self._rows(UNSAVED, {"now": now, "limit": limit, "exclude": json.dumps(list(exclude))}):
            try:
                letter, _ = self.letter(id)
                found += [evolve(letter, sent_by=_address(account))] if letter else []
            except (ValueError, IndexError):
                continue  # damaged, as due() tells
        return found

    def of_account(self, account: str, limit: int, exclude: Iterable[str]) -> list[Entry]:
        where = {"account": account, "limit": limit, "exclude": json.dumps(list(exclude))}
        ids = [id for (id,) in self._rows(OF_ACCOUNT, where)]
        try:
            return entries(self._db, ids)[::-1]
        except sqlite3.Error as error:
            raise as_os_error(error) from error

    def surviving(self, ids: Sequence[str]) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        query = "SELECT id, number, state FROM recipients WHERE id IN (SELECT value FROM json_each(?))"
        for id, number, state in self._rows(query, (json.dumps(ids),)):
            found.setdefault(id, set()).update({number} if state in WAITING else ())
        return found

    def notes(self) -> Sequence[tuple[str, dict[str, Any]]]:
        """What the command line has done, once: see :mod:`.notes`."""
        try:
            return notes.take(self._db)
        except sqlite3.Error as error:
            raise as_os_error(error) from error

    def _rows(self, query: str, parameters: Sequence[Any] | dict[str, Any]) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise as_os_error(error) from error


def _address(text: str) -> Address:
    return Address.parse(text)


def _recipient(address: str, original: str, notify: str, orcpt: str, expanded: int) -> Recipient:
    wishes = frozenset(notify.split(",")) if notify else NOT_SAID
    return Recipient(_address(address), _address(original), wishes, orcpt, bool(expanded))


def _outcome(state: str, reply: Reply, relay: str) -> Outcome:
    return Failed(reply, relay) if state == "bounced" else Delivered(reply, relay, action=state)
