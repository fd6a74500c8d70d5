"""How SQLite goes about what the dispatcher asks."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from mailstack.spool.reader import DESTINATIONS, IN_LINE, LATER, NEXT_DUE, UNBELIEVABLE, UNTOLD
from mailstack.spool.schema import prepare


class TestQueries:
    """With 100,000 letters in the queue, what is asked often must not look at all of them."""

    @pytest.fixture(autouse=True)
    def _database(self, tmp_path: Path) -> Any:
        self.db = sqlite3.connect(tmp_path / "queue.db", isolation_level=None)
        prepare(self.db)
        self.db.execute("BEGIN")  # else each row would be synced
        self.db.executemany(
            "INSERT INTO recipients (id, number, address, original, state, attempts, next_attempt, destination)"
            " VALUES (?, 0, 'a@x.test', 'a@x.test', 'deferred', 1, ?, ?)",
            ((f"L{number:05}", number, f"{number % 50}.test") for number in range(5000)),
        )
        self.db.execute("COMMIT")
        yield
        self.db.close()

    def plan(self, query: str) -> list[str]:
        names = {"now", "limit", "exclude", "destination", "after", "since"}
        values: Any = dict.fromkeys(names, "[]") if ":" in query else (0,)
        return [row[3] for row in self.db.execute(f"EXPLAIN QUERY PLAN {query}", values)]

    @pytest.mark.parametrize("order", ["ASC", "DESC"])
    def test_of_the_dispatcher(self, order: str) -> None:
        for query, first in (
            (DESTINATIONS.format(order=order), "SEARCH recipients USING COVERING INDEX waiting (next_attempt<?)"),
            (IN_LINE.format(order=order), "USING COVERING INDEX in_line (destination=? AND next_attempt<?)"),
            (LATER, "USING COVERING INDEX in_line (destination=? AND next_attempt>?)"),
            (UNTOLD, "SEARCH recipients USING INDEX unreported (id>?)"),
            (UNBELIEVABLE, "USING COVERING INDEX waiting (next_attempt>?)"),
            (NEXT_DUE, "USING COVERING INDEX waiting (next_attempt>?)"),
        ):
            plan = self.plan(query)
            assert first in plan[0], plan
            assert not any("ORDER BY" in step or "GROUP BY" in step for step in plan), plan

    def test_a_look_stops_where_it_has_enough(self) -> None:
        """And it sees what is next, whichever way it looks."""
        where: dict[str, Any] = {"now": 4000, "limit": 3, "exclude": '["0.test"]', "destination": "7.test"}
        assert self.ask(DESTINATIONS.format(order="ASC"), where) == ["1.test", "2.test", "3.test"]
        assert self.ask(DESTINATIONS.format(order="DESC"), where) == ["49.test", "48.test", "47.test"]
        assert self.ask(IN_LINE.format(order="ASC"), where) == ["L00007", "L00057", "L00107"]
        assert self.ask(IN_LINE.format(order="DESC"), where) == ["L03957", "L03907", "L03857"]

    def ask(self, query: str, where: dict[str, Any]) -> list[str]:
        return [row[0] for row in self.db.execute(query, where)]
