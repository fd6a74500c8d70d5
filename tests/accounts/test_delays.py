"""How long answers wait: a guesser is slowed down wherever he comes from, and the owner gets in."""

from __future__ import annotations

import pytest

from mailstack.accounts.delays import FAMILIAR, HALF_LIFE, MAX_DELAY, MAX_KEYS, Delays, network
from mailstack.model.networks import source
from tests.fakes_accounts import HandClock

HOME, OFFICE = "192.0.2.1", "198.51.100.1"


class TestDelays:
    @pytest.fixture(autouse=True)
    def _delays(self) -> None:
        self.clock = HandClock()
        self.delays = Delays(self.clock)

    def fail(self, number: int, address: str = HOME, account: str = "alice") -> list[float]:
        """What each of them waits."""
        waited = []
        for _ in range(number):
            waited.append(self.delays.seconds(address, account))
            self.delays.count(address, account, 1)
        return waited

    def test_it_grows_for_an_address_whatever_the_accounts(self) -> None:
        waited = [self.fail(1, account=str(number))[0] for number in range(9)]
        assert waited == [0, 0, 0, 0.5, 1, 2, 4, 4, 4]

    def test_it_grows_for_an_account_wherever_they_come_from(self) -> None:
        waited = [self.fail(1, f"10.{number}.0.1")[0] for number in range(11)]
        assert waited == [0, 0, 0, 0, 0, 0.5, 1, 2, 4, 4, 4]

    def test_it_grows_for_a_network(self) -> None:
        waited = [self.fail(1, f"192.0.2.{number}", str(number))[0] for number in range(26)]
        assert waited == [0] * 20 + [0.5, 1, 2, 4, 4, 4]
        assert self.delays.seconds("192.0.3.1", "x") == 0

    def test_never_more_than_the_largest(self) -> None:
        self.fail(5000)
        assert self.delays.seconds(OFFICE, "alice") == MAX_DELAY

    def test_familiar_addresses_do_not_wait_for_others(self) -> None:
        """Neither for those who guess at the account, nor for the neighbours."""
        self.delays.welcome(HOME, "alice")
        for number in range(40):
            self.fail(1, f"192.0.2.{number + 2}")
        assert self.delays.seconds(HOME, "alice") == 0
        assert self.delays.seconds(HOME, "bob") == MAX_DELAY
        assert self.delays.seconds(OFFICE, "alice") == MAX_DELAY
        self.clock.advance(FAMILIAR)
        self.fail(40, "203.0.113.1")
        assert self.delays.seconds(HOME, "alice") == MAX_DELAY

    def test_familiar_addresses_wait_for_themselves(self) -> None:
        self.delays.welcome(HOME, "alice")
        self.fail(9)
        assert self.delays.seconds(HOME, "alice") == MAX_DELAY

    def test_failures_are_forgotten_by_and_by(self) -> None:
        self.fail(7)
        assert self.delays.seconds(HOME, "alice") == 4
        self.clock.advance(HALF_LIFE)
        assert self.delays.seconds(HOME, "alice") == 1
        self.clock.advance(HALF_LIFE)
        assert self.delays.seconds(HOME, "alice") == 0

    def test_right_passwords_leave_failures_as_they_are(self) -> None:
        """Or somebody with an account of his own could wash off his guesses at others'."""
        self.fail(8)
        for _ in range(20):
            self.delays.count(HOME, "mallory", 1)
            self.delays.count(HOME, "mallory", -1)
        assert self.delays.seconds(HOME, "alice") == MAX_DELAY

    def test_memory_is_bounded(self) -> None:
        self.fail(9)
        for number in range(MAX_KEYS):
            self.delays.count(str(number), str(number), 1)
            self.delays.welcome(str(number), str(number))
        assert self.delays.seconds(HOME, "alice") == 0
        assert len(self.delays._familiar) == MAX_KEYS


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("", ""),
    ],
)
def test_networks(address: str, expected: str) -> None:
    assert network(source(address)) == expected
