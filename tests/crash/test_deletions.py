"""Some of the kills of :mod:`.deletions`."""

from __future__ import annotations

from pathlib import Path

from tests.crash.deletions import deletions


def test_killed_between_dele_and_the_answer_to_quit(tmp_path: Path) -> None:
    """Ten times, with four sessions each; see deletions.py for a thousand."""
    found = deletions(tmp_path, rounds=10, servers=2, seed="20")
    assert {name for name in found if name.isupper()} == set(), found
    # The kills came before and after QUIT, or this shows nothing.
    assert {"before QUIT"} < set(found)
