"""Who exists, on files that change and break."""

from __future__ import annotations

import os
from pathlib import Path
from time import time

import pytest
from attrs import evolve

from mailstack.accounts.directory import EXPIRED, NOT_GIVEN_OUT, Directory
from mailstack.accounts.users import read
from mailstack.config.settings import DAY, Queue, Route
from mailstack.model.address import Address
from tests.accounts.contract import ACCOUNTS, ALIASES, SRS_KEY, Asking, DirectoryContract
from tests.accounts.places import Place, notes, ssha
from tests.fakes import ListLog
from tests.fakes_accounts import HandClock

USERS = "".join(f"{name}:{ssha('x')}\n" for name in ACCOUNTS)


class Files(Asking):
    """A directory on real files."""

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.place, self.clock, self.log = Place(tmp_path), HandClock(), ListLog()
        self.place.write(USERS, "".join(f"{key}: {', '.join(found)}\n" for key, found in ALIASES.items()))
        self.days = 0  #: that have gone by since the files were written
        self.directory: Directory = Directory(self.place.settings, self.clock, self.wall, self.log)
        self.directory.remember(SRS_KEY)

    def wall(self) -> float:
        return time() + self.days * DAY


class TestDirectory(Files, DirectoryContract):
    """The contract."""


class TestRules(Files):
    """What comes before what."""

    def aliases(self, text: str) -> None:
        self.place.write(aliases=text)
        self.directory.reload()

    def test_an_alias_comes_before_the_account(self) -> None:
        self.aliases("alice: bob\n")
        assert self.targets("alice@office.test") == ["bob@office.test"]
        assert self.targets("alice+x@office.test") == ["bob@office.test"]

    def test_an_alias_may_be_for_one_sub_address(self) -> None:
        self.aliases("alice+lists: bob\n")
        assert self.targets("alice+lists@office.test") == ["bob@office.test"]
        assert self.targets("alice+other@office.test") == ["alice@office.test"]

    def test_an_alias_that_names_itself_means_the_mailbox(self) -> None:
        self.aliases("alice: alice, friend@far.test\n")
        assert self.targets("alice@office.test") == ["alice@office.test", "friend@far.test"]

    def test_aliases_of_aliases_end_at_each_mailbox_once(self) -> None:
        self.aliases("all: sales, tech, alice\nsales: alice, bob\ntech: bob, all\n")
        assert self.targets("all@office.test") == ["alice@office.test", "bob@office.test"]

    def test_a_loop_is_put_off_until_it_is_mended(self) -> None:
        self.aliases("a: b\nb: a\n")
        assert self.targets("a@office.test") == ["451 4.3.0"]
        assert any("leads back to itself" in line for line in notes(self.log))

    def test_a_chain_that_is_too_long(self) -> None:
        self.aliases("".join(f"a{number}: a{number + 1}\n" for number in range(30)) + "a30: alice\n")
        assert self.targets("a0@office.test") == ["451 4.3.0"]
        assert self.targets("a20@office.test") == ["alice@office.test"]

    def test_an_alias_to_nobody(self) -> None:
        """The sender hears of it, the postmaster too."""
        self.aliases("old: gone\nmixed: gone, alice\n")
        assert self.targets("old@office.test") == ["550 5.1.1"]
        assert self.targets("mixed@office.test") == ["alice@office.test"]
        assert sum("who does not exist" in line for line in notes(self.log)) == 2

    def test_an_alias_whose_line_is_broken_is_put_off(self) -> None:
        self.aliases("sales: |program\n")
        assert self.targets("sales@office.test") == ["451 4.3.0"]

    def test_the_catch_all_of_a_domain_comes_last(self) -> None:
        self.aliases("@office.test: bob\nsales: alice\n")
        assert self.targets("nobody@office.test") == ["bob@office.test"]
        assert self.targets("alice+x@office.test") == ["alice@office.test"]
        assert self.targets("sales@office.test") == ["alice@office.test"]
        assert self.targets("abuse@office.test") == ["postmaster@office.test"]

    def test_the_catch_all_of_the_settings(self) -> None:
        self.directory = self.with_settings(catch_all=Address("Bob", "office.test"))
        assert self.targets("nobody@office.test") == ["bob@office.test"]

    def test_what_is_not_known_for_sure(self) -> None:
        self.aliases("@office.test: bob\nbroken: :include:/nowhere/list\n")
        known = {"x@office.test": "catch-all", "alice@office.test": "account", "broken@office.test": "unsure"}
        assert {name: self.directory.rule(Address.parse(name)) for name in known} == known

    def test_another_delimiter_and_none(self) -> None:
        self.directory = self.with_settings(recipient_delimiter="-")
        assert self.targets("alice-x@office.test") == ["alice@office.test"]
        self.directory = self.with_settings(recipient_delimiter="")
        assert self.targets("alice+x@office.test") == ["550 5.1.1"]

    def test_the_files_may_say_who_the_postmaster_is(self) -> None:
        self.aliases("postmaster: alice\n")
        assert self.targets("postmaster@office.test") == ["alice@office.test"]
        assert self.targets("abuse@office.test") == ["alice@office.test"]

    def test_a_postmaster_elsewhere(self) -> None:
        settings = self.place.settings
        server = evolve(settings.server, postmaster=Address("Chief", "far.test"))
        self.directory = Directory(evolve(settings, server=server), self.clock, time, self.log)
        assert self.targets("abuse@office.test") == ["Chief@far.test"]

    def test_without_an_aliases_file(self) -> None:
        self.directory = self.with_settings(aliases=None)
        assert self.targets("alice@office.test") == ["alice@office.test"]
        assert self.targets("sales@office.test") == ["550 5.1.1"]

    def with_settings(self, **changes: object) -> Directory:
        settings = self.place.settings
        accounts = evolve(settings.accounts, **changes)  # type: ignore[arg-type]
        return Directory(evolve(settings, accounts=accounts), self.clock, time, self.log)

    def test_an_alias_without_a_domain_counts_in_all(self, tmp_path: Path) -> None:
        place = Place(tmp_path, ("office.test", "second.test"))
        place.write(USERS, "sales: alice\ninfo@second.test: bob\n")
        self.directory = Directory(place.settings, self.clock, time, self.log)
        assert self.targets("sales@second.test") == ["alice@office.test"]
        assert self.targets("info@second.test") == ["bob@office.test"]
        assert self.targets("info@office.test") == ["550 5.1.1"]
        assert self.targets("alice@second.test") == ["550 5.1.1"]
        assert self.targets("abuse@second.test") == ["postmaster@office.test"]


class TestReturnAddresses(Files):
    """SRS: what aliases send on."""

    def given(self, sender: str = "Friend@far.test") -> Address:
        return self.directory.return_address(Address.parse(sender), "office.test", time())

    def with_settings(self, **changes: object) -> None:
        settings = evolve(self.place.settings, **changes)  # type: ignore[arg-type]
        self.directory = Directory(settings, self.clock, self.wall, self.log)
        self.directory.remember(SRS_KEY)

    def test_it_expires(self) -> None:
        """Three weeks after the last attempt that we may have made; however often it was used."""
        given = self.given()
        for self.days, found in ((0, "Friend@far.test"), (26, "Friend@far.test"), (27, "550 5.1.1")):
            assert self.targets(str(given)) == [found]
        assert self.directory.resolve(given).refusal == EXPIRED
        assert self.directory.rule(given) == "unknown"

    def test_a_longer_lifetime_of_letters(self) -> None:
        self.with_settings(routes=(("slow.test", Route("mx", lifetime=30 * DAY)), ("*", Route("mx"))))
        given = self.given()
        self.days = 51
        assert self.targets(str(given)) == ["Friend@far.test"]
        self.days = 52
        assert self.targets(str(given)) == ["550 5.1.1"]

    def test_a_lifetime_beyond_all_measure(self) -> None:
        """The stamp comes again after 1,024 days: the last day of them is tomorrow."""
        self.with_settings(queue=Queue(lifetime=5000 * DAY))
        given = self.given()
        self.days = 1022
        assert self.targets(str(given)) == ["Friend@far.test"]

    def test_another_key(self) -> None:
        given = self.given()
        self.directory.remember(b"x" * 32)
        assert self.directory.resolve(given).refusal == NOT_GIVEN_OUT

    def test_switched_off(self) -> None:
        given = self.given()
        self.with_settings(accounts=evolve(self.place.settings.accounts, srs=False))
        assert self.given() == Address("Friend", "far.test")
        assert self.targets(str(given)) == ["550 5.1.1"]

    def test_before_there_is_a_key(self) -> None:
        given = self.given()
        self.directory = Directory(self.place.settings, self.clock, self.wall, self.log)
        assert self.given() == Address("Friend", "far.test")
        assert self.targets(str(given)) == ["550 5.1.1"]

    def test_a_sender_too_long_for_it_keeps_its_address(self) -> None:
        sender = f"{'x' * 230}@far.test"
        assert str(self.given(sender)) == sender

    def test_accounts_and_aliases_of_such_names_keep_their_mail(self) -> None:
        given = self.given()
        self.place.write(f"{USERS}srs0@office.test:{ssha('x')}\n", f"{given.local}: bob\nsrs1-x: alice\n")
        self.directory.reload()
        assert self.targets(str(given)) == ["bob@office.test"]
        assert self.targets("SRS1-x@office.test") == ["alice@office.test"]
        assert self.targets("srs0+shop@office.test") == ["srs0@office.test"]
        assert self.targets("srs0-shop@office.test") == ["550 5.1.1"]

    def test_the_catch_all_does_not_get_them(self) -> None:
        """Nobody reads the bounces of others, and guesses are refused."""
        given = self.given()
        self.place.write(aliases="@office.test: bob\n")
        self.directory.reload()
        assert self.targets(str(given)) == ["Friend@far.test"]
        assert self.targets("SRS0=AAAAAAAA=AA=far.test=x@office.test") == ["550 5.1.1"]

    def test_a_sender_whose_domain_has_become_ours(self, tmp_path: Path) -> None:
        given = self.given("alice@second.test")
        self.with_settings(server=evolve(self.place.settings.server, domains=("office.test", "second.test")))
        assert self.targets(str(given)) == ["550 5.1.1"], "that user does not exist"
        self.place.write(aliases="alice@second.test: bob\n")
        self.directory.reload()
        assert self.targets(str(given)) == ["bob@office.test"]

    def test_an_alias_that_leads_to_one_is_for_bounces_too(self) -> None:
        self.place.write(aliases=f"errors: {self.given()}\n")
        self.directory.reload()
        found = self.directory.resolve(Address("errors", "office.test"))
        assert [str(each.address) for each in found.recipients] == ["friend@far.test"]
        assert found.bounces_only

    def test_it_leads_back_even_when_the_files_cannot_be_read(self) -> None:
        given = self.given()
        self.place.users.unlink()
        self.place.aliases.unlink()
        self.with_settings()
        assert self.targets(str(given)) == ["Friend@far.test"]
        assert self.targets("SRS0=AAAAAAAA=AA=far.test=x@office.test") == ["451 4.3.0"]


class TestChanges(Files):
    """Files that are replaced, written in place, taken away."""

    def test_a_replaced_file_is_seen_within_a_second(self) -> None:
        assert self.targets("carol@office.test") == ["550 5.1.1"]
        self.place.write(f"{USERS}carol@office.test:{ssha('x')}\n")
        assert self.targets("carol@office.test") == ["550 5.1.1"]
        self.clock.advance(1.0)
        assert self.targets("carol@office.test") == ["carol@office.test"]

    def test_a_file_that_is_being_written_is_read_when_it_is_done(self) -> None:
        """An editor that empties the file first does not make everybody unknown."""
        self.targets("alice@office.test")
        self.place.users.write_text("")
        self.clock.advance(1.0)
        assert self.targets("alice@office.test") == ["alice@office.test"]
        self.place.users.write_text(USERS + f"carol@office.test:{ssha('x')}\n")
        for _ in range(2):
            self.clock.advance(1.0)
            assert self.targets("alice@office.test") == ["alice@office.test"]
        assert self.targets("carol@office.test") == ["carol@office.test"]

    def test_a_name_is_put_off_and_not_refused_while_the_file_is_being_written(self) -> None:
        self.targets("alice@office.test")
        with self.place.users.open("a") as users:
            users.write(f"carol@office.test:{ssha('x')}\n")
        self.clock.advance(5.0)
        assert self.targets("carol@office.test") == ["451 4.3.0"]
        self.clock.advance(1.0)
        assert self.targets("carol@office.test") == ["carol@office.test"]

    def test_a_line_that_was_added_some_time_ago_counts_at_once(self) -> None:
        """However long nobody has asked."""
        self.targets("alice@office.test")
        with self.place.users.open("a") as users:
            users.write(f"carol@office.test:{ssha('x')}\n")
        earlier = self.place.users.stat().st_mtime - 10
        os.utime(self.place.users, (earlier, earlier))
        self.clock.advance(5.0)
        assert self.targets("carol@office.test") == ["carol@office.test"]

    def test_a_file_that_is_taken_away_counts_as_it_was(self) -> None:
        self.targets("alice@office.test")
        self.place.users.unlink()
        self.place.aliases.unlink()
        for _ in range(3):
            self.clock.advance(1.0)
            assert self.targets("alice@office.test") == ["alice@office.test"]
            assert self.targets("sales@office.test") == ["alice@office.test", "bob@office.test"]
        assert sum("the last version counts" in line for line in notes(self.log)) == 2

    def test_a_file_that_comes_back_is_read(self) -> None:
        self.targets("alice@office.test")
        self.place.users.unlink()
        self.clock.advance(1.0)
        self.targets("alice@office.test")
        self.place.write(f"bob@office.test:{ssha('x')}\n")
        self.clock.advance(1.0)
        assert self.targets("alice@office.test") == ["550 5.1.1"]

    def test_an_included_list_is_watched_too(self) -> None:
        self.place.write(aliases="team: :include:team\n")
        self.directory.reload()
        assert self.targets("team@office.test") == ["451 4.3.0"]
        (self.place.aliases.parent / "team").write_text("alice\n")
        self.clock.advance(1.0)
        assert self.targets("team@office.test") == ["alice@office.test"]

    def test_broken_lines_are_told_once(self) -> None:
        self.place.write(users=f"nonsense\n{USERS}")
        self.directory.reload()
        for _ in range(3):
            self.clock.advance(1.0)
            assert self.targets("alice@office.test") == ["alice@office.test"]
        assert sum(f"{self.place.users}:1: " in line for line in notes(self.log)) == 1

    def test_a_damaged_users_file_makes_nobody_unknown(self) -> None:
        """Holes, as a disk leaves them: whoever stood there, nobody can tell. What was read before holds."""
        self.place.write(users=USERS)
        self.directory.reload()
        assert self.targets("alice@office.test") == ["alice@office.test"]
        self.place.users.write_bytes(self.place.users.read_bytes()[:5] + bytes(512))
        self.clock.advance(10.0)
        self.directory.reload()
        assert self.targets("alice@office.test") == ["alice@office.test"]
        with pytest.raises(OSError, match="it is damaged"):
            read(self.place.users, ["office.test"])

    def test_a_clock_that_is_set_back(self) -> None:
        self.targets("alice@office.test")
        self.place.write(f"bob@office.test:{ssha('x')}\n")
        self.clock.advance(-1000.0)
        assert self.targets("alice@office.test") == ["550 5.1.1"]


class TestWithoutFiles(Asking):
    """A start without them: nobody is told that they do not exist."""

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.place, self.clock, self.log = Place(tmp_path), HandClock(), ListLog()
        self.directory = Directory(self.place.settings, self.clock, time, self.log)

    def test_who_may_exist_is_put_off(self) -> None:
        assert self.targets("alice@office.test") == ["451 4.3.0"]
        assert sum("is put off" in line for line in notes(self.log)) == 2

    def test_who_is_known_otherwise_gets_mail(self) -> None:
        self.place.write(aliases="away: friend@far.test\n")
        assert self.targets("away@office.test") == ["friend@far.test"]
        assert self.targets("postmaster@office.test") == ["postmaster@office.test"]

    def test_accounts_count_without_aliases(self) -> None:
        self.place.write(users=USERS)
        assert self.targets("alice@office.test") == ["alice@office.test"]
        assert self.targets("sales@office.test") == ["451 4.3.0"]

    def test_what_was_accepted_earlier_is_delivered_not_bounced(self) -> None:
        assert self.directory.mailbox(Address("alice", "office.test")) == "office.test/alice"
        assert self.directory.mailbox(Address("../alice", "office.test")) is None
        assert self.directory.mailbox(Address("alice", "far.test")) is None

    def test_a_mailbox_is_remembered_until_the_files_change(self) -> None:
        bob, nobody = Address("bob", "office.test"), Address("nobody", "office.test")
        assert [self.directory.mailbox(each) for each in (bob, nobody)] == ["office.test/bob", "office.test/nobody"]
        self.place.write(users=USERS)
        self.clock.advance(1.0)
        self.directory.reload()
        assert [self.directory.mailbox(each) for each in (bob, nobody)] == ["office.test/bob", None]

    def test_nothing_is_known_for_sure(self) -> None:
        """An account may have an alias in the file that cannot be read."""
        for name in ("alice@office.test", "nobody@office.test", "postmaster@office.test"):
            assert self.directory.rule(Address.parse(name)) == "unsure"

    def test_nobody_is_listed(self) -> None:
        assert list(self.directory.accounts()) == []
