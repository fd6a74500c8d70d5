"""A few of the kills of :mod:`.system_calls`, others each time; and that the judge has teeth."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash.letters import found, letter, named
from tests.crash.system_calls import SCENARIOS, play
from tests.live.programs import program


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_some_system_calls(scenario: str, tmp_path: Path) -> None:
    program("strace")
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    tally = play(tmp_path, [scenario], 10, random.Random(seed))
    assert tally.problems == []
    assert tally.kills > 1 and tally.through > 1


def test_what_is_lost_twice_or_damaged_is_seen() -> None:
    stored = letter("a1").replace(b"\r\n", b"\n")
    seen = found([b"Received: x\n" + stored, stored, stored.replace(b"dots", b"bits"), b""])
    assert seen.lost(["a1", "a2"]) == {"a2"}
    assert seen.twice == {"a1"}
    assert len(seen.damaged) == 2


def test_a_letter_is_known_by_its_header() -> None:
    assert named(letter("a1", 500).partition(b"\r\n\r\n")[0] + b"\n") == b"", "another size is another letter"
    header = letter("a1").partition(b"\r\n\r\n")[0]
    assert named(b"x: y\n" + header + b"\n") == letter("a1")
