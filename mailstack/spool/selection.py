"""A selection as SQL. The tables are ``messages AS m`` and ``recipients AS r``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

from mailstack.model.selection import Selection
from mailstack.spool.states import DONE, listed

#: What SQL's LIKE takes for more than it is. Its case of letters does not matter, as long as they are ASCII.
_PLAIN = str.maketrans({"%": "\\%", "_": "\\_", "\\": "\\\\"})
_LIKE = {**_PLAIN, **str.maketrans({"*": "%", "?": "_"})}
_REPLY = "iif(r.code, r.code || ' ', '') || r.status || ' ' || r.reply"


@frozen
class Condition:
    sql: str
    values: dict[str, Any]  # Any: whatever SQLite takes


def like(pattern: str) -> str:
    return pattern.translate(_LIKE)


def id_list(ids: Sequence[str]) -> str:
    """For ``json_each``: any number of ids as one value. What is no text that SQLite can have is no id."""
    return json.dumps(list(ids))


def condition(selection: Selection) -> Condition:
    """For recipients of letters that still are something to deal with."""
    clauses = [f"r.state NOT IN {listed(DONE)}"]
    values: dict[str, Any] = {}
    for sql, given in _clauses(selection):
        clauses.append(sql)
        values |= given
    return Condition(" AND ".join(f"({each})" for each in clauses), values)


def _clauses(chosen: Selection) -> Iterator[tuple[str, dict[str, Any]]]:
    if chosen.sender is not None:
        yield "m.sender LIKE :sender ESCAPE '\\'", {"sender": like(chosen.sender)}
    if chosen.account is not None:
        yield "m.account = :account", {"account": chosen.account}
    if chosen.recipient is not None:
        sql = "r.address LIKE :recipient ESCAPE '\\' OR r.original LIKE :recipient ESCAPE '\\'"
        yield sql, {"recipient": like(chosen.recipient)}
    if chosen.destination is not None:
        # A domain alone means its own servers.
        sql = "r.destination LIKE :destination ESCAPE '\\' OR r.destination LIKE 'mx:' || :destination ESCAPE '\\'"
        yield sql, {"destination": like(chosen.destination)}
    if chosen.states:
        yield "r.state IN (SELECT value FROM json_each(:states))", {"states": json.dumps(chosen.states)}
    if chosen.arrived_before is not None:
        yield "m.arrived <= :before", {"before": chosen.arrived_before}
    if chosen.arrived_after is not None:
        yield "m.arrived >= :after", {"after": chosen.arrived_after}
    if chosen.released_before is not None:
        yield "m.not_before <= :released", {"released": chosen.released_before}
    if chosen.reply is not None:
        yield f"{_REPLY} LIKE :reply ESCAPE '\\'", {"reply": f"%{chosen.reply.translate(_PLAIN)}%"}
