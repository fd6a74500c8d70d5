"""Some of the kills of :mod:`.killed`, others each time."""

from __future__ import annotations

import random
from pathlib import Path

from tests.crash.campaign import unheeded
from tests.crash.killed import play


def test_killed_at_random_moments(tmp_path: Path) -> None:
    seed = str(random.SystemRandom().randrange(1_000_000))
    print(f"seed {seed}")
    tally = play(tmp_path, 5, seed, unheeded())
    print(tally.verdict)
    assert tally.verdict.problems + tally.problems == []
    assert tally.rounds == 5 and tally.verdict.letters > 0
