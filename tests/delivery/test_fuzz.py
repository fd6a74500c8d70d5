"""Some thousand hostile servers, new ones each time; the long run is ``python -m tests.fuzz_remote``."""

from __future__ import annotations

from random import SystemRandom

import pytest

from mailstack.protocol.smtp_transaction import Transaction
from tests.fuzz_remote.play import Broken, play

SERVERS = 2_000


def test_hostile_servers_do_no_harm() -> None:
    first = SystemRandom().getrandbits(48)
    print(f"the first server has seed {first}")
    for seed in range(first, first + SERVERS):
        try:
            play(seed)
        except Exception as error:
            raise AssertionError(f"see it again: python -m tests.fuzz_remote --count 1 --seed {seed}") from error


def test_a_letter_that_nobody_took_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check has teeth."""
    settle = Transaction.settle
    monkeypatch.setattr(Transaction, "settle", lambda self, reply: settle(self, type(reply)(250, "2.0.0", "fine")))
    with pytest.raises(Broken, match="nobody has taken it"):
        for seed in range(SERVERS):
            play(seed)
