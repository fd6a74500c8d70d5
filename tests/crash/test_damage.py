"""Some of the variants of :mod:`.damage`, others each time; and that the judge has teeth."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from mailstack.model.letter import Letter
from mailstack.queue.damage import DamageNotices
from mailstack.spool import gleaning, salvage
from mailstack.spool.custody import Custody
from tests.crash.damage import run


def test_some_damaged_spools() -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    tally = run(120, seed)
    assert tally.problems == []
    assert tally.salvaged > 10 and tally.quarantined > 50


async def _believe(self: Custody, letters: Iterable[Letter]) -> Mapping[str, str]:
    return {}


#: What is left out, and what the judge says of it. One seed, which has something of each.
TEETH: dict[str, tuple[Any, str, Any, str]] = {
    "no look at files": (Custody, "faults", _believe, "nobody has sent this"),
    "no look at the database": (salvage, "diagnosed", lambda database, mail: "", "not touched"),
    "no look at pages": (gleaning, "_by_pages", lambda *args: {}, "was not touched, and is aside"),
    "nobody is told": (DamageNotices, "add", lambda self, faults: None, "nobody was told"),
}


@pytest.mark.parametrize("kind", TEETH)
def test_what_is_not_guarded_is_seen(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, instead, words = TEETH[kind]
    monkeypatch.setattr(where, name, instead)
    assert any(words in problem for problem in run(16, 20).problems)
