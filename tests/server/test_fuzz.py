"""Some thousand hostile clients, new ones each time; the long run is ``python -m tests.fuzz``."""

from __future__ import annotations

from random import SystemRandom

import pytest

from mailstack.intake.relay import RelayRule
from tests.fuzz.play import Broken, play

CLIENTS = 3_000


def test_hostile_clients_do_no_harm() -> None:
    first = SystemRandom().getrandbits(48)
    print(f"the first client has seed {first}")
    for seed in range(first, first + CLIENTS):
        try:
            play(seed)
        except Exception as error:
            raise AssertionError(f"see it again: python -m tests.fuzz --count 1 --seed {seed}") from error


def test_an_open_relay_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check has teeth."""
    monkeypatch.setattr(RelayRule, "permits", lambda *_: True)
    with pytest.raises(Broken, match="relayed for a stranger"):
        for seed in range(CLIENTS):
            play(seed)
