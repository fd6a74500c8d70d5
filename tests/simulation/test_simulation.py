"""Some worlds, new ones each time. Many more: ``python -m tests.simulation``."""

from __future__ import annotations

import os
import subprocess
import sys
from random import SystemRandom
from time import process_time

from tests.simulation.watch import watched

TIME = 7.0  # seconds of one core for new worlds
MOST = 300  # of them, on a fast machine
SOME = (11, 12, 2_049)  # worlds of which two runs are compared


def test_new_worlds_keep_all_promises() -> None:
    first = SystemRandom().randrange(10**9)
    end = process_time() + TIME
    number = 0
    while number < MOST and (process_time() < end or number < 10):
        outcome = watched(first + number)
        again = f"python -m tests.simulation --verbose --seeds 1 --first {outcome.seed}"
        assert not outcome.faults, f"{again}\n" + "\n".join(outcome.faults)
        number += 1
    print(f"seeds {first} to {first + number - 1}")


def test_a_seed_is_the_same_world_each_time() -> None:
    """Also where sets have another order."""
    code = f"from tests.simulation.watch import watched; print(*(watched(seed).digest for seed in {SOME}))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    }
    assert found == {" ".join(watched(seed).digest for seed in SOME) + "\n"}
