"""What every IDirectory and every IAuthenticator must do. A provider's test class inherits one of these."""

from __future__ import annotations

from time import time

from zope.interface.verify import verifyObject

from mailstack.interfaces.accounts import IAuthenticator, IDirectory
from mailstack.model.address import Address
from mailstack.model.reply import Reply
from tests.fakes import at_once

ALICE, BOB = Address("alice", "office.test"), Address("bob", "office.test")
ACCOUNTS = ("alice@office.test", "bob@office.test")
ALIASES = {"sales@office.test": ACCOUNTS, "away@office.test": ("Friend@far.test",)}
PASSWORD = "correct horse"
SRS_KEY = b"k" * 32


class Asking:
    """Questions to a directory."""

    directory: IDirectory

    def targets(self, text: str) -> list[str]:
        """Where mail goes, ``["550 5.1.1"]`` for a refusal."""
        found = self.directory.resolve(Address.parse(text))
        if found.refusal is not None:
            assert found.recipients == ()
            return [f"{found.refusal.code} {found.refusal.status}"]
        assert {recipient.original for recipient in found.recipients} == {Address.parse(text)}
        return [str(recipient.address) for recipient in found.recipients]


class DirectoryContract(Asking):
    """``directory`` has the ACCOUNTS and ALIASES above, in the one domain office.test, and SRS_KEY."""

    def test_interface(self) -> None:
        assert verifyObject(IDirectory, self.directory)

    def test_local_domains(self) -> None:
        assert self.directory.is_local("office.test")
        assert not self.directory.is_local("far.test")
        assert not self.directory.is_local("sub.office.test")

    def test_an_account_in_any_case_of_letters(self) -> None:
        assert self.targets("alice@office.test") == ["alice@office.test"]
        assert self.targets("ALICE@Office.Test") == ["alice@office.test"]

    def test_a_sub_address_is_the_account(self) -> None:
        assert self.targets("alice+lists@office.test") == ["alice@office.test"]

    def test_an_alias_for_several(self) -> None:
        assert self.targets("sales@office.test") == ["alice@office.test", "bob@office.test"]

    def test_an_alias_that_leads_outside_keeps_the_case_of_letters(self) -> None:
        assert self.targets("away@office.test") == ["Friend@far.test"]

    def test_nobody(self) -> None:
        for name in ("nobody@office.test", "alic@office.test", '"a b"@office.test', '"../alice"@office.test'):
            assert self.targets(name) == ["550 5.1.1"]

    def test_postmaster_and_abuse_exist_always(self) -> None:
        """RFC 5321 §4.5.1, RFC 2142 §2."""
        for name in ("postmaster", "abuse", "PostMaster"):
            assert self.targets(f"{name}@office.test") == ["postmaster@office.test"]

    def test_by_what_a_name_is_known(self) -> None:
        known = {
            "alice@office.test": "account",
            "ALICE+x@office.test": "account",
            "sales@office.test": "alias",
            "away+x@office.test": "alias",
            "Abuse@office.test": "alias",
            "nobody@office.test": "unknown",
        }
        assert {name: self.directory.rule(Address.parse(name)) for name in known} == known

    def test_a_return_address_leads_to_the_sender(self) -> None:
        sender = Address("Friend", "far.test")
        given = self.directory.return_address(sender, "office.test", time())
        assert given.domain == "office.test"
        found = self.directory.resolve(given)
        assert [(each.address, each.original) for each in found.recipients] == [(sender, given)]
        assert found.bounces_only
        assert self.directory.rule(given) == "return"
        assert self.directory.mailbox(given) is None

    def test_nothing_else_is_for_bounces_only(self) -> None:
        for name in (*ACCOUNTS, *ALIASES):
            assert not self.directory.resolve(Address.parse(name)).bounces_only

    def test_our_own_people_need_no_return_address(self) -> None:
        assert self.directory.return_address(ALICE, "office.test", time()) == ALICE

    def test_forged_return_addresses(self) -> None:
        for local in (
            "SRS0=AAAAAAAA=AA=far.test=friend",
            "srs0=x",
            "SRS1=AAAAAAAA=far.test==x",
            "SRS0-",
            "SRS0+a=b=c=d",
        ):
            address = Address(local, "office.test")
            assert self.directory.rule(address) == "unknown"
            assert self.targets(str(address)) == ["550 5.1.1"]

    def test_every_target_of_ours_has_a_mailbox(self) -> None:
        for name in (*ACCOUNTS, "sales@office.test", "postmaster@office.test"):
            for target in self.targets(name):
                assert self.directory.mailbox(Address.parse(target)) == "/".join(reversed(target.split("@")))

    def test_nobody_has_no_mailbox(self) -> None:
        for name in ("nobody@office.test", "sales@office.test", "alice@far.test", '"../alice"@office.test'):
            assert self.directory.mailbox(Address.parse(name)) is None

    def test_whose_name_it_is(self) -> None:
        """As for the log-in: a folder may stand behind, aliases are no names."""
        for name in ("alice", "ALICE", "Alice@Office.Test", "alice@office.test", "alice/Junk", "alice+x@office.test"):
            assert self.directory.account(name) == ALICE
        for name in ("", "@", "nobody", "nobody+x", "/alice", "sales", "alice@far.test", "a b", "alice@", "x" * 9000):
            assert self.directory.account(name) is None

    def test_nothing_is_saved_unless_somebody_says_so(self) -> None:
        assert not any(self.directory.saves_sent(account) for account in (ALICE, BOB, Address("nobody", "office.test")))

    def test_accounts_are_sorted(self) -> None:
        assert list(self.directory.accounts()) == [ALICE, BOB]


class AuthenticatorContract:
    """``authenticator`` knows alice@office.test with PASSWORD, in the one domain office.test."""

    authenticator: IAuthenticator

    def login(self, name: str, password: str, client: str = "192.0.2.1") -> str:
        answer = at_once(self.authenticator.login(name, password, client))
        return f"{answer.code} {answer.status}" if isinstance(answer, Reply) else str(answer)

    def test_interface(self) -> None:
        assert verifyObject(IAuthenticator, self.authenticator)

    def test_the_full_address_in_any_case_of_letters(self) -> None:
        for name in ("alice@office.test", "ALICE@OFFICE.TEST"):
            assert self.login(name, PASSWORD) == "alice@office.test"

    def test_the_local_part_is_enough_with_one_domain(self) -> None:
        assert self.login("Alice", PASSWORD) == "alice@office.test"

    def test_a_folder_behind_the_name(self) -> None:
        for name in ("alice/Junk", "Alice@Office.Test/Junk", "alice+Junk", "alice+Junk@office.test"):
            assert self.login(name, PASSWORD) == "alice@office.test/Junk"
        assert self.login("alice@office.test/Work/2026", PASSWORD) == "alice@office.test/Work/2026"
        assert self.login("alice/垃圾邮件", PASSWORD) == "alice@office.test/垃圾邮件"

    def test_a_folder_needs_the_password_too(self) -> None:
        assert self.login("alice/Junk", "wrong") == self.login("nobody/Junk", PASSWORD) == "535 5.7.8"

    def test_wrong_password_and_unknown_user_get_the_same_answer(self) -> None:
        answers = {
            at_once(self.authenticator.login(name, password, "192.0.2.1"))
            for name, password in (
                ("alice@office.test", "wrong"),
                ("nobody@office.test", PASSWORD),
                ("", ""),
                ("@", "x"),
                ("a b", "x"),
                ("alice@far.test", PASSWORD),
                ("alice@office.test", PASSWORD.upper()),
                ("alice", f"{PASSWORD}\0"),
            )
        }
        assert len(answers) == 1
        assert self.login("alice@office.test", "wrong", "192.0.2.2") == "535 5.7.8"

    def test_guessers_are_stopped_and_the_owner_gets_in_from_elsewhere(self) -> None:
        assert [self.login("alice", str(guess)) for guess in range(10)] == ["535 5.7.8"] * 10
        assert self.login("alice", "11") == "454 4.7.0"
        assert self.login("alice", PASSWORD) == "454 4.7.0"
        assert self.login("alice", PASSWORD, "192.0.2.2") == "alice@office.test"
