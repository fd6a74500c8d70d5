"""A NAT or a proxy that hides who calls is noticed, and an office behind one address is left in peace."""

from __future__ import annotations

import pytest

from mailstack.intake.masquerade import MANY, PAUSE, WINDOW, SourceWatch
from tests.fakes import ListLog
from tests.fakes_accounts import HandClock

ROUTER, COPIER, STRANGER = "192.168.1.1", "192.168.1.50", "203.0.113.9"


class Watched:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.log = ListLog()
        trusts = lambda address: address.startswith("192.168.")  # noqa: E731
        self.watch = SourceWatch(trusts, ("office.test", "mail.office.test"), self.clock, self.log)

    def greet(self, address: str, *names: str, times: int = WINDOW) -> int:
        """The warnings so far, after so many greetings with these names in turn."""
        for number in range(times):
            self.watch.greeted(address, names[number % len(names)])
        return len(self.log.warnings)


STRANGERS = [f"mx{number}.far{number}.test" for number in range(MANY)]


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_strangers_with_one_trusted_address(watched: Watched) -> None:
    assert watched.greet(ROUTER, *STRANGERS, times=WINDOW - 1) == 0
    assert watched.greet(ROUTER, *STRANGERS, times=1) == 1
    ((id, fields),) = watched.log.warnings
    assert id == "relay"
    assert "all came from 192.168.1.1, which is in [relay] networks" in str(fields["what"])


def test_once_an_hour(watched: Watched) -> None:
    assert watched.greet(ROUTER, *STRANGERS, times=1000) == 1
    watched.clock.advance(PAUSE - 1)
    assert watched.greet(ROUTER, *STRANGERS) == 1
    watched.clock.advance(1)
    assert watched.greet(ROUTER, *STRANGERS) == 2


@pytest.mark.parametrize(
    "names",
    [
        ["copier"],
        ["pc1", "pc2", "laptop", "phone", "tablet", "copier"],
        [f"[192.168.1.{number}]" for number in range(20)],
        [f"pc{number}.office.test" for number in range(20)],
        [f"pc{number}.branch{number}.local" for number in range(20)],
        ["filter.provider.test"],
        [f"mx{number}.provider.test" for number in range(20)],
        STRANGERS[: MANY - 1],
    ],
    ids=["copier", "PCs", "literals", "our names", "local names", "filter", "many filters", "too few"],
)
def test_an_office_behind_one_address(watched: Watched, names: list[str]) -> None:
    assert watched.greet(ROUTER, *names, times=200) == 0


def test_strangers_with_addresses_of_their_own(watched: Watched) -> None:
    """One of them in time is enough: real addresses do arrive."""
    for _ in range(20):
        assert watched.greet(ROUTER, *STRANGERS, times=WINDOW - 1) == 0
        assert watched.greet(STRANGER, "mail.spam.test", times=1) == 0
    assert watched.greet(STRANGER, *STRANGERS) == 0


def test_two_trusted_addresses(watched: Watched) -> None:
    for _ in range(20):
        assert watched.greet(ROUTER, *STRANGERS, times=10) == 0
        assert watched.greet("192.168.1.2", *STRANGERS, times=10) == 0


def test_the_copier_does_not_hide_the_router(watched: Watched) -> None:
    """What an office says for itself is not looked at, whoever says it."""
    for name in STRANGERS * MANY:
        watched.greet(COPIER, "copier", times=1)
        watched.greet(ROUTER, name, times=1)
    assert watched.log.warnings


@pytest.mark.parametrize("name", ["", ".", "..", "a..b", "[", "x" * 255, "1.2.3.4", "a.b.", "-.-"])
def test_odd_names(watched: Watched, name: str) -> None:
    assert watched.greet(ROUTER, name, times=100) == 0
