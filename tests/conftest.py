"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from mailstack.spool import incoming

LIVE = [Path(__file__).parent / name for name in ("live", "crash", "soak")]


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """A server that is started in this process sets it for good."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    """No letter is small enough for the log: all depend on their files."""
    monkeypatch.setattr(incoming, "MAX_LOGGED", -1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "live: real sockets and processes, foreign programs")
    config.addinivalue_line("markers", "slow: takes more than a few seconds")
    # How long an example takes says more about what else the machine does than about us.
    hypothesis.settings.register_profile("no deadline", deadline=None)
    hypothesis.settings.load_profile("no deadline")
    # xdist would begin with the modules that have most tests; those with few, which run long, would come last.
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``pytest -m "not live"`` leaves out what opens a socket. On several cores the long ones come first, so that none
    is busy with one of them while the others have nothing left."""
    for item in items:
        if any(folder in item.path.parents for folder in LIVE):
            item.add_marker(pytest.mark.live)
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: (item.path not in slow, item.get_closest_marker("live") is None))
