"""Logging in: quick for the owner, slow for the guesser, silent about who exists."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from time import time

import pytest
from attrs import evolve

from mailstack.accounts import keyring, passwords, verifiers
from mailstack.accounts.directory import Directory
from mailstack.accounts.failures import MAX_CLIENTS, Failures
from mailstack.accounts.login import Login
from mailstack.accounts.users import Account, Users
from mailstack.accounts.verified import LIFETIME, MAX_ENTRIES, Verified
from mailstack.config.settings import Settings
from mailstack.model.address import MAX_NAME, Address
from mailstack.model.reply import Reply
from mailstack.protocol import scram
from mailstack.protocol.sasl_steps import Lookup, Opening, Proof
from tests.accounts.contract import PASSWORD, AuthenticatorContract
from tests.accounts.places import Place, notes, ssha
from tests.fakes import ListCounts, ListLog, at_once
from tests.fakes_accounts import HandClock

BINDINGS = {"tls-exporter": b"the channel"}


class Threads:
    """Runs a check at once and counts."""

    def __init__(self) -> None:
        self.checks = 0
        self.parties: list[tuple[str, bool]] = []
        self.before = lambda: None

    async def __call__(self, check, party, friend):  # type: ignore[no-untyped-def]  # as mailstack.accounts.tries.InTurn
        self.checks += 1
        self.parties.append((party, friend))
        self.before()
        return check()


class LoginFixture(AuthenticatorContract):
    """The server's own, with threads and time in our hands; ``waited`` are the pauses that it made."""

    @pytest.fixture(autouse=True)
    def _authenticator(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passwords, "DUMMY", ssha("\0"))  # or every unknown user takes 100 ms
        self.waited: list[float] = []
        self.place, self.clock, self.log, self.threads = Place(tmp_path), HandClock(), ListLog(), Threads()
        self.place.write(f"alice@office.test:{ssha(PASSWORD)}\nbob@office.test:{{NONSENSE}}x\n", "")
        self.directory = Directory(self.place.settings, self.clock, time, self.log)
        self.counts = ListCounts()
        self.authenticator = self.doorman()

    def doorman(self, settings: Settings | None = None, users: Callable[[], Users | None] | None = None) -> Login:
        return Login(
            settings or self.place.settings,
            users or self.directory.users.value,
            self.clock,
            self.threads,
            self.pause,
            self.log,
            self.counts,
        )

    async def pause(self, seconds: float) -> None:
        self.waited.append(seconds)


class TestLogin(LoginFixture):
    def test_a_second_login_needs_no_check_for_five_minutes(self) -> None:
        for _ in range(3):
            assert self.login("alice", PASSWORD) == "alice@office.test"
        assert self.threads.checks == 1
        self.clock.advance(LIFETIME)
        self.login("alice", PASSWORD)
        assert self.threads.checks == 2

    def test_a_wrong_password_is_wrong_again(self) -> None:
        """That it was right a moment ago is known of the right one only."""
        self.login("alice", PASSWORD)
        for guess in ("wrong", "wrong", "", PASSWORD[:-1]):
            assert self.login("alice", guess) == "535 5.7.8"
        assert self.login("alice", PASSWORD) == "alice@office.test"

    def test_who_is_familiar_is_a_friend_and_others_share_their_network(self) -> None:
        self.login("alice", PASSWORD, "192.0.2.7")
        self.clock.advance(LIFETIME)
        self.login("alice", PASSWORD, "192.0.2.7")
        self.login("alice", "wrong", "2001:db8:1:2::9")
        assert self.threads.parties == [
            ("192.0.2.0/24", False),
            ("192.0.2.0/24", True),
            ("2001:db8:1::/48", False),
        ]

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
        assert self.counts.strikes[-1][0] == "auth_failures_per_minute"
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
        directory = Directory(Place(tmp_path / "empty").settings, self.clock, time, self.log)
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

    def test_of_a_long_name_little_is_kept(self) -> None:
        """Or who makes them up would fill the memory."""
        for name in ("x" * 9000, "x" * 9000 + "@office.test", f"{'x ' * 5000}@"):
            assert self.login(name, "wrong") == "535 5.7.8"
        kept = self.authenticator._tries._failures._delays._accounts._levels
        assert max(map(len, kept)) <= MAX_NAME

    def test_several_domains_need_the_full_address(self) -> None:
        server = evolve(self.place.settings.server, domains=("office.test", "second.test"))
        self.authenticator = self.doorman(evolve(self.place.settings, server=server))
        assert self.login("alice", PASSWORD) == "535 5.7.8"
        assert self.login("alice@office.test", PASSWORD) == "alice@office.test"


class TestFolders(LoginFixture):
    def test_guesses_at_any_folder_count_against_the_account(self) -> None:
        """Also for who does not exist, or the waiting would tell."""
        for name in ("alice", "nobody"):
            self.waited.clear()
            for number, folder in enumerate(("/Junk", "+a", "/INBOX", "@office.test/x", "+b", "/y", "", "/C++")):
                self.login(f"{name}{folder}", "wrong", f"10.{number}.{len(name)}.1")
            assert self.waited[-1] > 1.0

    def test_no_second_check_for_another_folder(self) -> None:
        for name in ("alice", "alice/Junk", "alice+Sent", "alice@office.test/Work/2026"):
            assert self.login(name, PASSWORD).startswith("alice@office.test")
        assert self.threads.checks == 1

    @pytest.mark.parametrize(
        ("authzid", "folder"),
        [("", "/Junk"), ("alice", "/Junk"), ("alice@office.test/Junk", "/Junk"), ("alice/Sent", "/Junk")],
    )
    def test_who_acts_for_oneself_has_the_folder_of_the_name(self, authzid: str, folder: str) -> None:
        answer = at_once(self.authenticator.login("alice/Junk", PASSWORD, "192.0.2.1", authzid))
        assert str(answer) == f"alice@office.test{folder}"

    def test_a_folder_in_the_authzid_alone(self) -> None:
        answer = at_once(self.authenticator.login("alice", PASSWORD, "192.0.2.1", "alice/Sent"))
        assert str(answer) == "alice@office.test/Sent"
        refused = at_once(self.authenticator.login("alice", PASSWORD, "192.0.2.1", "bob/Sent"))
        assert isinstance(refused, Reply)

    def test_an_account_whose_own_name_has_a_delimiter(self) -> None:
        self.place.write(f"alice@office.test:{ssha('a')}\nalice+sales@office.test:{ssha('s')}\n")
        self.clock.advance(1.0)
        assert self.login("alice+sales", "s") == "alice+sales@office.test"
        assert self.login("alice+sales", "a") == "535 5.7.8"
        assert self.login("alice/sales", "a") == "alice@office.test/sales"
        assert self.login("alice+sales+Junk", "s") == "alice+sales@office.test/Junk"


class TestWaiting(LoginFixture):
    def test_the_answer_waits_after_failures_right_or_wrong(self) -> None:
        for guess in range(5):
            self.login("alice", str(guess))
        assert self.waited == [0.5, 1]
        assert self.login("alice", PASSWORD) == "alice@office.test"
        assert self.waited == [0.5, 1, 2]

    def test_how_long_the_check_took_does_not_show(self) -> None:
        """It is part of the wait."""
        for guess in range(5):
            self.login("alice", str(guess))
        self.threads.before = lambda: self.clock.advance(0.5)
        self.login("alice", "6")
        assert self.waited[-1] == 1.5

    def test_unknown_users_wait_as_well(self) -> None:
        for number in range(6):
            self.login("nobody", "x", f"10.{number}.0.1")
        assert self.waited == [0.5]

    def test_a_password_known_from_the_cache_waits_as_well(self) -> None:
        """Or who is not answered at once would know that the guess was wrong."""
        self.login("alice", PASSWORD, "192.0.2.9")
        for number in range(9):
            self.login("alice", "x", f"10.{number}.0.1")
        self.waited.clear()
        assert self.login("alice", PASSWORD, "192.0.2.9") == "alice@office.test"
        assert self.waited == []
        assert self.login("alice", PASSWORD, "203.0.113.1") == "alice@office.test"
        assert self.waited == [4]
        assert self.threads.checks == 10

    def test_however_many_guess_nobody_is_refused_elsewhere(self) -> None:
        for number in range(200):
            self.login("alice", "x", f"10.0.{number}.1")
        assert self.login("alice", PASSWORD, "203.0.113.1") == "alice@office.test"
        assert max(self.waited) == 4

    def test_one_name_however_it_is_written(self) -> None:
        for number, name in enumerate(("alice", "ALICE", "Alice@office.test", "alice@OFFICE.test", "aLice") * 2):
            self.login(name, "x", f"10.{number}.0.1")
        assert self.waited == [0.5, 1, 2, 4, 4]


class TestScram(LoginFixture):
    """alice has keys beside her hash, bob has Dovecot's scheme, carol a password in clear, dave a hash alone."""

    @pytest.fixture(autouse=True)
    def _accounts(self, _authenticator: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keyring, "ITERATIONS", 4096)
        hash = ssha(PASSWORD)
        keys = verifiers.text(scram.derive(PASSWORD.encode(), verifiers.salt(hash), 4096))
        self.place.write(
            f"alice@office.test:{hash}::::::scram_sha_256={keys}\nbob@office.test:{{SCRAM-SHA-256}}{keys}\n"
            f"carol@office.test:{{PLAIN}}{PASSWORD}\ndave@office.test:{hash}\n"
        )
        self.clock.advance(1.0)

    def opening(self, name: str, flag: str = "n", client: str = "192.0.2.1") -> Opening | str:
        given: list[Opening] = []
        refusal = self.authenticator.look_up(Lookup(name, flag, given.append), lambda: BINDINGS, client)
        return given[0] if refusal is None else str(refusal)

    def prove(self, name: str, password: str, client: str = "192.0.2.1", authzid: str = "", bound: bool = True) -> str:
        opening = self.opening(name, client=client)
        if isinstance(opening, str):
            return opening[:9]
        proof = client_proof(password.encode(), opening, b"what was said")
        given: list[bytes] = []
        answer = at_once(
            self.authenticator.prove(Proof(name, authzid, b"what was said", proof, bound, given.append), client)
        )
        assert bool(given) >= (not isinstance(answer, Reply))
        return f"{answer.code} {answer.status}" if isinstance(answer, Reply) else str(answer)

    @pytest.mark.parametrize("name", ["alice", "bob", "carol", "ALICE@office.test", "Bob@OFFICE.test"])
    def test_with_keys_of_every_kind(self, name: str) -> None:
        assert self.prove(name, PASSWORD) == f"{name[:5].partition('@')[0].lower()}@office.test"
        assert self.prove(name, "wrong") == "535 5.7.8"

    def test_without_keys_nobody_gets_in(self) -> None:
        """Somebody without keys and somebody unknown fail alike."""
        for name in ("dave", "nobody", "a b", "@", "nobody@far.test"):
            assert self.prove(name, PASSWORD) == "535 5.7.8"

    def test_a_lookup_does_not_tell_who_exists(self) -> None:
        """A salt of the usual size, the same each time, another one for each name."""
        names = ("alice", "carol", "dave", "nobody")
        first, second = ([self.opening(name) for name in names] for _ in range(2))
        openings = [each for each in first if isinstance(each, Opening)]
        assert [evolve(each, nonce="") for each in openings] == [
            evolve(each, nonce="") for each in second if isinstance(each, Opening)
        ]
        assert len({each.salt for each in openings}) == 4
        assert {(len(each.salt), each.iterations) for each in openings} == {(16, 4096)}
        assert self.opening("DAVE@office.test").salt == openings[2].salt  # type: ignore[union-attr]  # no refusal

    def test_a_folder_behind_the_name(self) -> None:
        assert self.prove("alice/Junk", PASSWORD) == "alice@office.test/Junk"
        assert self.prove("bob+Junk@office.test", PASSWORD, authzid="bob") == "bob@office.test/Junk"
        assert self.prove("alice/Junk", "wrong") == self.prove("nobody/Junk", PASSWORD) == "535 5.7.8"

    def test_a_lookup_does_not_tell_whose_folder_it_is(self) -> None:
        """All names of an account have one salt, whether it exists or not."""
        for name in ("alice", "carol", "dave", "nobody"):
            folders = ("", "/Junk", "+Junk", "+Junk@office.test", "@office.test/Junk", "/../bob", "/Junk@office.test")
            openings = [self.opening(f"{name}{folder}") for folder in folders]
            assert len({each.salt for each in openings if isinstance(each, Opening)}) == 1

    def test_nonces_are_new(self) -> None:
        nonces = {self.opening("alice").nonce for _ in range(20)}  # type: ignore[union-attr]  # no refusal
        assert len(nonces) == 20
        assert {len(nonce) for nonce in nonces} == {24}

    def test_every_check_costs_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One derivation, also where none is needed."""
        derived: list[int] = []
        derive = scram.derive

        def counting(password: bytes, salt: bytes, iterations: int) -> scram.Verifier:
            derived.append(iterations)
            return derive(password, salt, iterations)

        monkeypatch.setattr(keyring, "derive", counting)
        for name in ("alice", "bob", "carol", "dave", "nobody"):
            self.prove(name, "wrong", f"10.{name}")
        assert derived == [4096] * 5

    def test_guessers_are_stopped_and_the_owner_gets_in_from_elsewhere(self) -> None:
        assert [self.prove("alice", str(guess)) for guess in range(10)] == ["535 5.7.8"] * 10
        assert self.waited == [0.5, 1, 2, 4, 4, 4, 4]
        assert self.prove("alice", PASSWORD) == "454 4.7.0"
        assert self.login("alice", PASSWORD) == "454 4.7.0"
        assert self.prove("alice", PASSWORD, "203.0.113.1") == "alice@office.test"
        assert self.waited[7:] == [4]

    def test_only_as_oneself(self) -> None:
        assert self.prove("alice", PASSWORD, authzid="Alice@office.test") == "alice@office.test"
        assert self.prove("alice", PASSWORD, authzid="bob") == "535 5.7.8"

    def test_another_channel_is_no_guess(self) -> None:
        for _ in range(20):
            assert self.prove("alice", PASSWORD, bound=False) == "535 5.7.8"
        assert self.prove("alice", PASSWORD) == "alice@office.test"

    def test_what_a_client_says_of_the_channel(self) -> None:
        assert self.opening("alice", "tls-exporter").binding == b"the channel"  # type: ignore[union-attr]
        assert str(self.opening("alice", "tls-unique")).startswith("535 5.7.8 This kind of channel binding")
        assert str(self.opening("alice", "y")).startswith("535 5.7.8 Your channel is not ours")
        assert self.authenticator.look_up(Lookup("alice", "y", lambda opening: None), dict, "") is None

    def test_offered_where_somebody_has_keys(self) -> None:
        assert list(self.authenticator.mechanisms(dict)) == ["PLAIN", "LOGIN", "SCRAM-SHA-256"]
        assert self.authenticator.mechanisms(lambda: BINDINGS)[-1] == "SCRAM-SHA-256-PLUS"
        self.place.write(f"dave@office.test:{ssha(PASSWORD)}\n")
        self.clock.advance(1.0)
        assert list(self.authenticator.mechanisms(lambda: BINDINGS)) == ["PLAIN", "LOGIN"]

    def test_without_a_users_file_nobody_is_told_wrong(self) -> None:
        self.authenticator = self.doorman(users=lambda: None)
        assert self.prove("alice", PASSWORD) == "454 4.7.0"
        assert list(self.authenticator.mechanisms(lambda: BINDINGS)) == ["PLAIN", "LOGIN"]


def client_proof(password: bytes, opening: Opening, message: bytes) -> bytes:
    """RFC 5802 §3, from the client's side."""
    salted = hashlib.pbkdf2_hmac("sha256", password, opening.salt, opening.iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
    return bytes(a ^ b for a, b in zip(client_key, signature, strict=True))


class TestFailures:
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
