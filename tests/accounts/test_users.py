"""The users file: what its lines mean, and how one is changed without touching the others."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.accounts.users import Users, parse
from mailstack.accounts.users_file import AccountExists, NoSuchAccount, UsersFile
from mailstack.model.address import Address
from tests.accounts.places import ssha

ALICE = Address("alice", "office.test")
GOOD = ssha("x")


def read(text: str) -> Users:
    return parse(text, Path("users"), ("office.test",))


class TestReading:
    def test_an_account_a_line(self) -> None:
        found = read(f"# comment\n\nAlice@Office.Test:{GOOD}\nbob@office.test:{GOOD}:uid:gid::/home::x=y\r\n")
        assert [account.address for account in found.accounts.values()] == [ALICE, Address("bob", "office.test")]
        assert {account.password for account in found.accounts.values()} == {GOOD}
        assert found.broken == ()

    @pytest.mark.parametrize(
        ("line", "wrong"),
        [
            ("nonsense", "'nonsense' is not an address like name@domain"),
            (f"alice:{GOOD}", "is not an address"),
            (f"@office.test:{GOOD}", "is not an address"),
            (f"a b@office.test:{GOOD}", "the part before the @ must not have "),
            (f"carol@far.test:{GOOD}", "far.test is not in [server] domains"),
            (f"a/b@office.test:{GOOD}", "a folder cannot have this name"),
            (f'"../x"@office.test:{GOOD}', "a folder cannot have this name"),
            (f'"..x"@office.test:{GOOD}', "begins with a dot"),
            (f'"a\0b"@office.test:{GOOD}', "the part before the @ must not have "),
            (f'"a\tb"@office.test:{GOOD}', "the part before the @ must not have "),
            (f"{'x' * 65}@office.test:{GOOD}", "more than 64 octets"),
            (f"BOB@office.test:{GOOD}", "bob@office.test stands in line 2 already"),
            (f'"\udcff"@office.test:{GOOD}', "the part before the @ must not have "),
        ],
    )
    def test_a_broken_line_is_reported_and_the_others_work(self, line: str, wrong: str) -> None:
        found = read(f"# first\nbob@office.test:{GOOD}\n{line}\nalice@office.test:{GOOD}\n")
        assert list(found.accounts) == ["bob@office.test", "alice@office.test"]
        (broken,) = found.broken
        assert str(broken).startswith("users:3: ")
        assert wrong in broken.wrong

    @pytest.mark.parametrize("password", ["", "{NONSENSE}x", "{SSHA}x"])
    def test_an_account_that_cannot_log_in_still_gets_mail(self, password: str) -> None:
        found = read(f"alice@office.test:{password}\n")
        assert "alice@office.test" in found.accounts
        assert found.broken[0].wrong.startswith("alice@office.test cannot log in: ")

    @pytest.mark.parametrize(
        ("fields", "saved"),
        [
            ("", None),
            (":1000:1000::/home::a=b", None),
            ("::::::save_sent=yes", True),
            ("::::::x=y SAVE_SENT=no save_sent=No z", False),
            ("::::::save_sent", True),
            ("::::save_sent=yes:", None),
        ],
    )
    def test_whether_what_is_sent_is_saved(self, fields: str, saved: bool | None) -> None:
        found = read(f"alice@office.test:{GOOD}{fields}\n")
        assert found.accounts["alice@office.test"].save_sent is saved
        assert found.broken == ()

    def test_a_wish_that_cannot_be_understood_is_told(self) -> None:
        found = read(f"alice@office.test:{GOOD}::::::save_sent=perhaps\n")
        assert found.accounts["alice@office.test"].save_sent is None
        assert [str(each) for each in found.broken] == ["users:1: alice@office.test: save_sent is yes or no"]

    @settings(max_examples=150)
    @given(st.text(alphabet=st.sampled_from('alice@office.test:{}"\\/ #\n\0\t\udcff'), max_size=60))
    def test_any_text_is_read(self, text: str) -> None:
        for key, account in read(text).accounts.items():
            assert key == str(account.address).lower()


class TestChanging:
    @pytest.fixture()
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "users"

    def test_an_account_is_added_at_the_end(self, path: Path) -> None:
        path.write_text("# ours\nbob@office.test:x")
        UsersFile(path).add(ALICE, "{PLAIN}y")
        assert path.read_text() == "# ours\nbob@office.test:x\nalice@office.test:{PLAIN}y\n"

    def test_a_missing_file_is_not_made_up(self, path: Path) -> None:
        """With one account in it, all others would be unknown from then on."""
        with pytest.raises(FileNotFoundError):
            UsersFile(path).add(ALICE, "{PLAIN}y")
        assert not path.exists()

    def test_owner_and_mode_stay(self, path: Path) -> None:
        path.touch(0o640)
        path.chmod(0o640)
        UsersFile(path).add(ALICE, "{PLAIN}y")
        assert path.stat().st_mode & 0o777 == 0o640

    def test_an_account_is_there_in_any_case_of_letters(self, path: Path) -> None:
        path.write_text("Alice@OFFICE.test:x\n")
        with pytest.raises(AccountExists):
            UsersFile(path).add(ALICE, "y")

    def test_a_changed_password_leaves_all_else_alone(self, path: Path) -> None:
        """Comments, broken lines, other fields, octets that are no text."""
        path.write_bytes(b"# caf\xe9\n\nbroken\nAlice@office.test:x:1000:1000::/home::a=b\nbob@office.test:z\n")
        UsersFile(path).set_password(ALICE, "{PLAIN}y")
        assert path.read_bytes() == (
            b"# caf\xe9\n\nbroken\nAlice@office.test:{PLAIN}y:1000:1000::/home::a=b\nbob@office.test:z\n"
        )

    def test_an_extra_field_leaves_all_else_alone(self, path: Path) -> None:
        path.write_bytes(b"# caf\xe9\nbob@office.test:z\nAlice@office.test:x:1:2::/home::a=b \xff\r\n")
        file = UsersFile(path)
        file.set_field(ALICE, "save_sent", "yes")
        file.set_field(Address("bob", "office.test"), "save_sent", "no")
        bob, alice = b"bob@office.test:z::::::save_sent=no", b"Alice@office.test:x:1:2::/home::a=b \xff save_sent=yes"
        assert path.read_bytes() == b"# caf\xe9\n%b\n%b\r\n" % (bob, alice)
        file.set_field(ALICE, "save_sent", "")
        assert path.read_bytes().endswith(b"\nAlice@office.test:x:1:2::/home::a=b \xff\r\n")
        with pytest.raises(NoSuchAccount):
            file.set_field(Address("nobody", "office.test"), "save_sent", "yes")

    def test_remove(self, path: Path) -> None:
        path.write_text("bob@office.test:x\nalice@office.test:y\n# end\n")
        UsersFile(path).remove(ALICE)
        assert path.read_text() == "bob@office.test:x\n# end\n"
        with pytest.raises(NoSuchAccount):
            UsersFile(path).remove(ALICE)
        with pytest.raises(NoSuchAccount):
            UsersFile(path).set_password(ALICE, "y")

    def test_a_symbolic_link_stays_one(self, path: Path, tmp_path: Path) -> None:
        (tmp_path / "real").write_text("")
        path.symlink_to(tmp_path / "real")
        UsersFile(path).add(ALICE, "x")
        assert path.is_symlink()
        assert (tmp_path / "real").read_text() == "alice@office.test:x\n"

    def test_two_programs_at_once_lose_nothing(self, path: Path) -> None:
        """Each adds ten accounts; all twenty are there in the end."""
        path.touch()
        context = multiprocessing.get_context("fork")
        programs = [context.Process(target=_add_ten, args=(path, name)) for name in ("a", "b")]
        for program in programs:
            program.start()
        for program in programs:
            program.join()
        assert len(path.read_text().splitlines()) == 20


def _add_ten(path: Path, name: str) -> None:
    for number in range(10):
        UsersFile(path).add(Address(f"{name}{number}", "office.test"), "x")
