"""Some thousand hostile POP3 clients, new ones each time; the long run is ``python -m tests.fuzz_pop3``."""

from __future__ import annotations

from random import SystemRandom

import pytest

from mailstack.model.address import Address
from mailstack.server.maildrop import Maildrop
from tests.fuzz.play import Broken
from tests.fuzz_pop3.play import play
from tests.server import pop3_office
from tests.server.pop3_office import ALICE

CLIENTS = 4_000


def test_hostile_clients_do_no_harm() -> None:
    first = SystemRandom().getrandbits(48)
    print(f"the first client has seed {first}")
    for seed in range(first, first + CLIENTS):
        try:
            play(seed)
        except Exception as error:
            raise AssertionError(f"see it again: python -m tests.fuzz_pop3 --count 1 --seed {seed}") from error


def test_a_login_without_password_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check has teeth."""

    async def everybody(*_: str) -> Address:
        return ALICE

    monkeypatch.setattr(pop3_office.Doorman, "login", everybody)
    with pytest.raises(Broken, match="in without the password"):
        for seed in range(CLIENTS):
            play(seed)


def test_a_bug_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Maildrop, "answer", lambda *_: 1 / 0)
    with pytest.raises(Broken, match="a traceback"):
        for seed in range(CLIENTS):
            play(seed)
