"""How many letters wait for what, and since when."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mailstack.model.entry import Ages
from mailstack.spool.states import listed

#: What letters are counted by. Of an address the domain is behind the last @: a local part in quotes may have some too.
KEYS = {
    "destination": "r.destination",
    "domain": "substr(r.address, length(rtrim(r.address, replace(r.address, '@', ''))) + 1)",
    "sender": "m.sender",
}
_PAIRS = """
SELECT DISTINCT r.id, {key} AS key, m.arrived FROM recipients AS r CROSS JOIN messages AS m ON m.id = r.id
WHERE r.state IN {states}
"""
_COUNTS = "SELECT key, {column}, count(*) FROM ({pairs}) GROUP BY 1, 2"


def ages(db: sqlite3.Connection, by: str, states: Sequence[str], steps: Sequence[float], now: float) -> Ages:
    def counted(key: str) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        pairs = _PAIRS.format(key=key, states=listed(states))
        for name, column, letters in db.execute(_COUNTS.format(column=_column(steps), pairs=pairs), {"now": now}):
            found.setdefault(name, [0] * (len(steps) + 1))[column] = letters
        return found

    rows = sorted(counted(KEYS[by]).items(), key=lambda row: (-sum(row[1]), row[0]))
    total = counted("''").get("", [0] * (len(steps) + 1))
    return Ages(tuple(steps), tuple(total), {name: tuple(counts) for name, counts in rows})


def _column(steps: Sequence[float]) -> str:
    """The first whose step is not shorter than the age."""
    cases = " ".join(f"WHEN :now - arrived <= {step!r} THEN {number}" for number, step in enumerate(steps))
    return f"CASE {cases} ELSE {len(steps)} END"
