"""Logging in: quick for the owner, slow for the guesser, silent about who exists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from mailstack.accounts import passwords
from mailstack.accounts.directory import Directory
from mailstack.accounts.failures import MAX_CLIENTS, Failures, source
from mailstack.accounts.login import Login
from mailstack.accounts.users import Account, Users
from mailstack.accounts.verified import LIFETIME, MAX_ENTRIES, Verified
from mailstack.config.settings import Settings
from mailstack.model.address import Address
from tests.accounts.contract import PASSWORD, AuthenticatorContract
from tests.accounts.places import Place, notes, ssha
from tests.fakes import ListLog
from tests.fakes_accounts import HandClock


class Threads:
    """Runs a check at once and counts."""

    def __init__(self) -> None:
        self.checks = 0
        self.before = lambda: None

    async def __call__(self, check):  # type: ignore[no-untyped-def]  # as mailstack.accounts.tries.InThread
        self.checks += 1
        self.before()
        return check()


class TestLogin(AuthenticatorContract):
    @pytest.fixture(autouse=True)
    def _authenticator(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passwords, "DUMMY", ssha("\0"))  # or every unknown user takes 100 ms
        self.waited: list[float] = []
        self.place, self.clock, self.log, self.threads = Place(tmp_path), HandClock(), ListLog(), Threads()
        self.place.write(f"alice@office.test:{ssha(PASSWORD)}\nbob@office.test:{{NONSENSE}}x\n", "")
        self.directory = Directory(self.place.settings, self.clock, self.log)
        self.authenticator = self.doorman()

    def doorman(self, settings: Settings | None = None, users: Callable[[], Users | None] | None = None) -> Login:
        return Login(
            settings or self.place.settings,
            users or self.directory.users.value,
            self.clock,
            self.threads,
            self.pause,
            self.log,
        )

    async def pause(self, seconds: float) -> None:
        self.waited.append(seconds)

    def test_a_second_login_needs_no_check_for_five_minutes(self) -> None:
        for _ in range(3):
            assert self.login("alice", PASSWORD) == "alice@office.test"
        assert self.threads.checks == 1
        self.clock.advance(LIFETIME)
        self.login("alice", PASSWORD)
        assert self.threads.checks == 2

    def test_a_wrong_password_is_not_remembered(self) -> None:
        self.login("alice", PASSWORD)
        assert self.login("alice", "wrong") == "535 5.7.8"
        assert self.login("alice", "wrong") == "535 5.7.8"
        assert self.threads.checks == 3

    def test_a_changed_line_counts_at_once(self) -> None:
        """The old password is out, although it was right a moment ago."""
        self.login("alice", PASSWORD)
        self.place.write(f"alice@office.test:{ssha('new')}\n")
        self.clock.advance(1.0)
        assert self.login("alice", PASSWORD) == "535 5.7.8"
        assert self.login("alice", "new") == "alice@office.test"

    def test_a_removed_account_is_out_at_once(self) -> None:
        self.login("alice", PASSWORD)
        self.place.write("")
        self.clock.advance(1.0)
        assert self.login("alice", PASSWORD) == "535 5.7.8"

    def test_an_unknown_user_costs_a_check_too(self) -> None:
        self.login("nobody", PASSWORD)
        assert self.threads.checks == 1

    def test_a_password_that_cannot_be_checked_is_wrong(self) -> None:
        assert self.login("bob", "x") == "535 5.7.8"

    def test_the_block_ends_after_a_minute(self) -> None:
        for guess in range(10):
            self.login("alice", str(guess))
        assert self.login("alice", PASSWORD) == "454 4.7.0"
        assert self.threads.checks == 10
        self.clock.advance(60.0)
        assert self.login("alice", PASSWORD) == "alice@office.test"

    def test_a_blocked_guesser_learns_nothing_from_the_cache(self) -> None:
        self.login("alice", PASSWORD, "192.0.2.9")
        for guess in range(10):
            self.login("alice", str(guess))
        assert self.login("alice", PASSWORD) == "454 4.7.0"

    def test_right_passwords_do_not_count(self) -> None:
        for _ in range(20):
            assert self.login("alice", PASSWORD) == "alice@office.test"
            self.clock.advance(LIFETIME)

    def test_tries_that_wait_together_do_not_exceed_the_limit(self) -> None:
        """The tenth failure happens while the eleventh waits for its thread."""
        for guess in range(9):
            self.login("alice", str(guess))

        def tenth() -> None:
            self.threads.before = lambda: None
            assert self.login("alice", "10") == "535 5.7.8"

        self.threads.before = tenth
        assert self.login("alice", "11") == "454 4.7.0"

    def test_loopback_is_an_address_like_others(self) -> None:
        for guess in range(10):
            self.login("alice", str(guess), "127.0.0.1")
        assert self.login("alice", PASSWORD, "127.0.0.1") == "454 4.7.0"

    def test_without_a_users_file_nobody_is_told_wrong(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        directory = Directory(Place(tmp_path / "empty").settings, self.clock, self.log)
        self.authenticator = self.doorman(users=directory.users.value)
        assert self.login("alice", PASSWORD) == "454 4.7.0"

    def test_no_memory_is_our_fault(self) -> None:
        def exhausted() -> None:
            raise MemoryError("Memory allocation error")

        self.threads.before = exhausted
        assert self.login("alice", PASSWORD) == "454 4.7.0"
        assert notes(self.log) == [
            f"{self.place.users}:2: bob@office.test cannot log in: the password scheme {{NONSENSE}} is not known",
            "no memory to check a password: Memory allocation error",
        ]

    def test_several_domains_need_the_full_address(self) -> None:
        server = evolve(self.place.settings.server, domains=("office.test", "second.test"))
        self.authenticator = self.doorman(evolve(self.place.settings, server=server))
        assert self.login("alice", PASSWORD) == "535 5.7.8"
        assert self.login("alice@office.test", PASSWORD) == "alice@office.test"


class TestFailures:
    def test_one_subscriber_of_ipv6_is_one_client(self) -> None:
        assert source("2001:db8::1") == source("2001:db8::ffff:1") != source("2001:db8:0:1::1")

    def test_ipv4_in_ipv6_is_ipv4(self) -> None:
        assert source("::ffff:192.0.2.1") == source("192.0.2.1") != source("192.0.2.2")

    def test_what_is_no_address_is_a_client_too(self) -> None:
        assert source("") == ""
        assert source("fe80::1%eth0") == "fe80::/64"

    def test_memory_is_bounded(self) -> None:
        """Whoever failed longest ago is forgotten first."""
        failures = Failures(1, HandClock())
        for number in range(MAX_CLIENTS + 1):
            assert failures.begin(str(number), "alice") is not None
        assert not failures.blocked("0")
        assert failures.blocked("1")

    def test_a_client_that_succeeds_leaves_nothing_behind(self) -> None:
        failures = Failures(1, HandClock())
        assert failures.begin("a", "alice") is not None
        failures.take_back("a", "alice")
        assert failures.begin("a", "alice") is not None


def test_the_cache_is_bounded() -> None:
    verified = Verified(b"secret", HandClock())
    account = Account(Address("alice", "office.test"), "x", 1, "alice@office.test:x")
    for number in range(MAX_ENTRIES + 1):
        verified.add(account, str(number))
    assert (account, "0") not in verified
    assert (account, "1") in verified
    assert (account, str(MAX_ENTRIES)) in verified


def test_secrets_are_not_shown() -> None:
    """An account may end up in a message; its hash may not."""
    assert "hash" not in repr(Account(Address("alice", "office.test"), "hash", 1, "alice@office.test:hash"))
