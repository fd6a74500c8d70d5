"""Some of the power losses of :mod:`.power_loss`, others each time; and that a server that does not sync is seen."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash.campaign import Tally, unheeded
from tests.crash.disk import lacking
from tests.crash.power_loss import play
from tests.live.programs import missing, need_root, program


def lose_power(file_system: str, mode: str, synced: bool, folder: Path) -> Tally:
    need_root()
    if lack := lacking(file_system):
        missing(lack)
    seed = str(random.SystemRandom().randrange(1_000_000))
    print(f"seed {seed}")
    tally = play(file_system, mode, synced, folder, 2, seed, unheeded())
    print(tally.verdict)
    return tally


@pytest.mark.parametrize(("file_system", "mode"), [("ext4", "filesystem"), ("xfs", "file")])
def test_power_is_lost(file_system: str, mode: str, tmp_path: Path) -> None:
    tally = lose_power(file_system, mode, True, tmp_path)
    assert tally.verdict.problems + tally.problems == []
    assert tally.rounds == 2


def test_without_syncs_mail_is_lost(tmp_path: Path) -> None:
    program("strace")
    assert lose_power("ext4", "filesystem", False, tmp_path).verdict.lost
