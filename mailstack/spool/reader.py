"""The queue's rows, read. Blocking, on a connection of its own, so in a thread of its own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path
from typing import Any

from attrs import evolve

from mailstack.interfaces.spool import Lagging
from mailstack.model.address import Address
from mailstack.model.letter import NOT_SAID, Due, Letter, Pending, Recipient
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome
from mailstack.model.reply import Reply
from mailstack.spool import notes
from mailstack.spool.errors import as_os_error
from mailstack.spool.states import UNREPORTED, WAITING, listed

DUE = f"""
SELECT id FROM (
    SELECT id, next_attempt FROM recipients WHERE state IN {listed(WAITING)} AND next_attempt <= :now
    UNION ALL SELECT id, 0.0 FROM recipients WHERE state IN {listed(UNREPORTED)}
) WHERE id NOT IN (SELECT value FROM json_each(:exclude)) GROUP BY id ORDER BY min(next_attempt), id LIMIT :limit
"""
#: The end of an address: ``@domain``, and ``.domain`` with sub-domains, else the same again.
IN_DOMAIN = f"""
SELECT id, number, next_attempt FROM recipients
WHERE state IN {listed(WAITING)} AND (substr(address, -length(:at)) = :at OR substr(address, -length(:sub)) = :sub)
"""


class Reader:
    """Sees what the last transaction left. Every method raises OSError when SQLite or the disk fail."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)

    def close(self) -> None:
        self._db.close()

    def due(self, now: float, limit: int, exclude: Iterable[str]) -> tuple[list[Due], list[str]]:
        """What is due; and letters whose rows are damaged."""
        skip = json.dumps(list(exclude))
        found: list[Due] = []
        damaged: list[str] = []
        for (id,) in self._rows(DUE, {"now": now, "limit": limit, "exclude": skip}):
            try:
                due = self._due(id, now)
            except (ValueError, IndexError):
                damaged.append(id)
            else:
                found += [due] if due else []
        return found, damaged

    def _due(self, id: str, now: float) -> Due | None:
        letter, warned = self.letter(id)
        if letter is None:
            return None
        rows = self._rows(
            f"SELECT number, attempts FROM recipients WHERE id = ? AND state IN {listed(WAITING)}"
            " AND next_attempt <= ? ORDER BY number",
            (id, now),
        )
        pending = tuple(Pending(number, letter.recipients[number], attempts) for number, attempts in rows)
        return Due(letter, pending, warned=warned, unreported=bool(self.unreported(id)))

    def waiting(self, domain: str, subdomains: bool) -> list[tuple[str, int, float]]:
        """Recipients in a domain, by id and number, and their next attempt. Looks at all that wait."""
        at = f"@{domain}"
        return self._rows(IN_DOMAIN, {"at": at, "sub": f".{domain}" if subdomains else at})

    def ahead_of_time(self, id: str, domains: Sequence[str]) -> Due | None:
        try:
            due = self._due(id, inf)
        except (ValueError, IndexError):
            return None  # damaged, as due() tells
        pending = tuple(each for each in due.pending if each.recipient.address.domain in domains) if due else ()
        return evolve(due, pending=pending) if due and pending else None

    def letter(self, id: str) -> tuple[Letter | None, int]:
        """A letter and how many delay warnings it had."""
        rows = self._rows(
            "SELECT sender, arrived, size, lines, relay_offset, eight_bit, checksum, smtputf8, require_tls, ret, envid,"
            " not_before, hold, warned FROM messages WHERE id = ?",
            (id,),
        )
        if not rows:
            return None, 0
        sender, arrived, size, lines, offset, eight_bit, checksum, smtputf8, require_tls, *rest, warned = rows[0]
        found = self._rows(
            "SELECT address, original, notify, orcpt, expanded FROM recipients WHERE id = ? ORDER BY number", (id,)
        )
        recipients = tuple(_recipient(*row) for row in found)
        origin = _address(sender) if sender else None
        measures = (arrived, size, lines, offset, bool(eight_bit), checksum)
        return Letter(id, origin, recipients, *measures, bool(smtputf8), bool(require_tls), *rest), warned

    def unreported(self, id: str) -> dict[int, Outcome]:
        rows = self._rows(
            "SELECT number, state, code, status, reply, relay FROM recipients"
            f" WHERE id = ? AND state IN {listed(UNREPORTED)} ORDER BY number",
            (id,),
        )
        return {
            number: _outcome(state, Reply(code, status, text), relay)
            for number, state, code, status, text, relay in rows
        }

    def lagging(self, id: str, now: float) -> Lagging:
        rows = self._rows(
            "SELECT number, attempts, next_attempt, code, status, reply, relay, warned"
            f" FROM recipients JOIN messages USING (id) WHERE id = ? AND state IN {listed(WAITING)} ORDER BY number",
            (id,),
        )
        late = {number: Delayed(Reply(*reply), relay) for number, tries, _, *reply, relay, _ in rows if tries}
        trying = any(following <= now for _, _, following, *_ in rows)
        return Lagging(late, trying, max((row[-1] for row in rows), default=self.letter(id)[1]))

    def next_due(self, after: float) -> float | None:
        rows = self._rows(
            f"SELECT min(next_attempt) FROM recipients WHERE state IN {listed(WAITING)} AND next_attempt > ?",
            (after,),
        )
        earliest: float | None = rows[0][0]
        return earliest

    def surviving(self, ids: Sequence[str]) -> set[str]:
        rows = self._rows(
            "SELECT DISTINCT id FROM recipients WHERE id IN (SELECT value FROM json_each(?)) AND state <> 'hold'",
            (json.dumps(ids),),
        )
        return {id for (id,) in rows}

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
