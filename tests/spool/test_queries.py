"""How SQLite goes about what the dispatcher asks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from mailstack.spool.reader import (
    BEYOND,
    DESTINATIONS,
    IN_DOMAIN,
    IN_LINE,
    LATER,
    NEXT_DUE,
    STEPS,
    UNBELIEVABLE,
    UNTOLD,
    WINDOW,
    Reader,
)
from mailstack.spool.schema import prepare


class TestQueries:
    """With 100,000 letters in the queue, what is asked often must not look at all of them."""

    @pytest.fixture(autouse=True)
    def _database(self, tmp_path: Path) -> Any:
        self.path = tmp_path / "queue.db"
        self.db = sqlite3.connect(self.path, isolation_level=None)
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
        names = {"now", "limit", "exclude", "destination", "after", "since", "at"}
        values: Any = dict.fromkeys(names, "[]") if ":" in query else (0,)
        return [row[3] for row in self.db.execute(f"EXPLAIN QUERY PLAN {query}", values)]

    @pytest.mark.parametrize("order", ["ASC", "DESC"])
    def test_of_the_dispatcher(self, order: str) -> None:
        for query, first in (
            (DESTINATIONS.format(order=order), "SEARCH recipients USING COVERING INDEX waiting (next_attempt<?)"),
            (BEYOND, "SEARCH recipients USING COVERING INDEX waiting (next_attempt<?)"),
            (STEPS.format(first="min", beyond=">"), "SEARCH recipients USING COVERING INDEX in_line (destination>?)"),
            (STEPS.format(first="max", beyond="<"), "SEARCH recipients USING COVERING INDEX in_line (destination<?)"),
            (IN_DOMAIN, "SEARCH recipients USING INDEX in_line (destination=?)"),
            (IN_LINE.format(order=order), "USING COVERING INDEX in_line (destination=? AND next_attempt<?)"),
            (LATER, "USING COVERING INDEX in_line (destination=? AND next_attempt>?)"),
            (UNTOLD, "SEARCH recipients USING INDEX unreported (id>?)"),
            (UNBELIEVABLE, "USING COVERING INDEX waiting (next_attempt>?)"),
            (NEXT_DUE, "USING COVERING INDEX waiting (next_attempt>?)"),
        ):
            plan = self.plan(query)
            assert any(first in step for step in plan), plan
            slow = ("ORDER BY", "GROUP BY", "SCAN recipients")
            assert not any(word in step for step in plan for word in slow), plan

    def test_a_look_stops_where_it_has_enough(self) -> None:
        """And it sees what is next, whichever way it looks."""
        where: dict[str, Any] = {"now": 4000, "limit": 3, "exclude": '["0.test"]', "destination": "7.test"}
        assert self.ask(DESTINATIONS.format(order="ASC"), where) == ["1.test", "2.test", "3.test"]
        assert self.ask(DESTINATIONS.format(order="DESC"), where) == ["49.test", "48.test", "47.test"]
        assert self.ask(IN_LINE.format(order="ASC"), where) == ["L00007", "L00057", "L00107"]
        assert self.ask(IN_LINE.format(order="DESC"), where) == ["L03957", "L03907", "L03857"]

    def ask(self, query: str, where: dict[str, Any]) -> list[str]:
        return [row[0] for row in self.db.execute(query, where)]

    @pytest.mark.parametrize(("newest", "found"), [(False, ["a", "b", "d"]), (True, ["d", "b", "a"])])
    def test_a_long_queue_for_few_destinations(self, newest: bool, found: list[str]) -> None:
        """One has more than a look reads, before and behind all others: these are found nevertheless."""
        self.db.execute("DELETE FROM recipients")
        self.add(("b", number) for number in range(WINDOW + 1))
        self.add([("a", WINDOW + 1), ("c", 100_000), ("d", WINDOW + 2)])
        self.add(("b", number) for number in range(WINDOW + 3, 2 * WINDOW + 3))
        reader = Reader(self.path)
        try:
            assert reader.destinations(50_000, 10, ["e"], newest) == found
            assert reader.destinations(50_000, 10, ["b"], newest) == [name for name in found if name != "b"]
            assert reader.destinations(50_000, 1, ["b"], newest) == [name for name in found if name != "b"][:1]
            assert reader.destinations(WINDOW, 10, [], newest) == ["b"]
            assert reader.destinations(WINDOW, 10, ["b"], newest) == []
        finally:
            reader.close()

    def add(self, rows: Iterable[tuple[str, int]]) -> None:
        """Destination and next attempt."""
        self.db.execute("BEGIN")
        self.db.executemany(
            "INSERT INTO recipients (id, number, address, original, state, attempts, next_attempt, destination)"
            " VALUES (?, 0, 'a@x.test', 'a@x.test', 'deferred', 1, ?, ?)",
            ((f"{name}{at}", at, name) for name, at in rows),
        )
        self.db.execute("COMMIT")
