"""``mailstack user``."""

from __future__ import annotations

import pytest

from mailstack.accounts import passwords, verifiers
from mailstack.protocol.scram import derive
from tests.admin.office import Office


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without argon2id and the keys beside it, which have tests of their own."""
    monkeypatch.setattr(passwords, "make", lambda password: f"{{PLAIN}}{password}")
    monkeypatch.setattr(verifiers, "make", lambda stored, password: f"keys-of-{len(stored)}-{len(password)}")


def stored(office: Office) -> list[str]:
    return [line for line in office.users.read_text().splitlines() if not line.startswith("#")]


def test_add_before_the_first_start(office: Office) -> None:
    """The folder and the files are made as the server would make them."""
    result = office.run("user", "add", "Alice@Office.Test", "--password-stdin", input="se cret\nmore\n")
    assert (result.exit_code, result.stdout) == (0, "alice@office.test was added.\n")
    assert stored(office) == ["alice@office.test:{PLAIN}se cret::::::scram_sha_256=keys-of-14-7"]
    assert office.users.stat().st_mode & 0o777 == 0o600
    assert office.aliases.exists()


def test_a_password_is_made_up_and_shown_once(office: Office) -> None:
    result = office.run("user", "add", "alice@office.test")
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("Password: ")]
    assert stored(office) == [
        f"alice@office.test:{{PLAIN}}{line.removeprefix('Password: ')}::::::scram_sha_256=keys-of-30-23"
    ]


def test_a_short_password_is_taken_with_a_warning(office: Office) -> None:
    result = office.run("user", "add", "alice@office.test", "--password-stdin", input="x\n")
    assert (result.exit_code, result.stdout) == (0, "alice@office.test was added.\n")
    assert result.stderr == "Warning: the password has fewer than 10 characters, and guessers try those first\n"
    assert office.run("user", "passwd", "alice@office.test", "--password-stdin", input="x" * 9).stderr
    assert not office.run("user", "passwd", "alice@office.test", "--password-stdin", input="ten letter").stderr


def test_the_local_part_is_enough_with_one_domain(office: Office) -> None:
    assert office.run("user", "add", "alice", "--password-stdin", input="x\n").exit_code == 0
    assert stored(office) == ["alice@office.test:{PLAIN}x::::::scram_sha_256=keys-of-8-1"]


@pytest.mark.parametrize(
    ("address", "wrong"),
    [
        ("alice@far.test", "far.test is not in [server] domains; accounts are in office.test"),
        ("a b", "must not have"),
        ("a/b@office.test", "a folder cannot have this name"),
        ("alice@", "not an address"),
    ],
)
def test_an_address_that_can_be_no_account(office: Office, address: str, wrong: str) -> None:
    result = office.run("user", "add", address, "--password-stdin", input="x\n")
    assert result.exit_code == 1
    assert wrong in result.stderr


def test_a_bare_name_is_of_the_first_domain(office: Office) -> None:
    office.ini.write_text("[server]\nhostname = m.test\ndomains = one.test two.test\ndata = data\n")
    assert "alice@one.test was added" in office.run("user", "add", "alice").stdout


def test_nobody_is_added_twice(office: Office) -> None:
    office.run("user", "add", "alice", "--password-stdin", input="x\n")
    result = office.run("user", "add", "ALICE", "--password-stdin", input="y\n")
    assert result.exit_code == 1
    assert "exists already" in result.stderr
    assert stored(office) == ["alice@office.test:{PLAIN}x::::::scram_sha_256=keys-of-8-1"]


def test_an_empty_password_is_refused(office: Office) -> None:
    for nothing in ("", "\n"):
        assert office.run("user", "add", "alice", "--password-stdin", input=nothing).exit_code == 1
    assert not office.users.exists()


def test_a_lost_users_file_is_not_started_anew(office: Office) -> None:
    (office.folder / "data/spool").mkdir(parents=True)
    (office.folder / "data/spool/queue.db").touch()
    result = office.run("user", "add", "alice", "--password-stdin", input="long enough\n")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {office.users}: No such file or directory\n"


def test_passwd(office: Office) -> None:
    office.run("user", "add", "alice", "--password-stdin", input="x\n")
    result = office.run("user", "passwd", "alice@office.test", "--password-stdin", input="y\r\n")
    assert result.stdout == "alice@office.test has a new password.\n"
    assert stored(office) == ["alice@office.test:{PLAIN}y::::::scram_sha_256=keys-of-8-1"]
    assert "Password: " in office.run("user", "passwd", "alice").stdout
    assert office.run("user", "passwd", "bob").exit_code == 1


def test_remove_keeps_the_mail(office: Office) -> None:
    office.run("user", "add", "alice", "--password-stdin", input="x\n")
    folder = office.folder / "data/mail/office.test/alice"
    folder.mkdir(parents=True)
    result = office.run("user", "remove", "alice@office.test")
    assert result.stdout == f"alice@office.test was removed.\nThe mail is still in {folder}\n"
    assert stored(office) == []
    assert folder.exists()
    assert office.run("user", "remove", "alice@office.test").exit_code == 1


def test_list(office: Office) -> None:
    office.run("user", "add", "bob", "--password-stdin", input="x\n")
    office.run("user", "add", "alice", "--password-stdin", input="x\n")
    assert [account["address"] for account in office.json("user", "list")] == ["alice@office.test", "bob@office.test"]
    assert office.json("user", "list")[0] == {
        "address": "alice@office.test",
        "scheme": "PLAIN",
        "mechanisms": ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"],
        "mailbox": str(office.folder / "data/mail/office.test/alice"),
        "save_sent": False,
    }
    lines = office.run("user", "list").stdout.splitlines()
    assert lines[0].split() == ["ADDRESS", "PASSWORD", "MECHANISMS", "SAVE_SENT", "MAILBOX"]
    assert lines[2].startswith(
        "bob@office.test    PLAIN     PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS  no         /"
    )
    assert "x" not in [word for line in lines for word in line.split()]


def saved(office: Office) -> list[bool]:
    return [bool(account["save_sent"]) for account in office.json("user", "list")]


def test_who_has_what_is_sent_saved(office: Office) -> None:
    """The account goes before mail.ini, both ways; keys for SCRAM stay, whatever is set first."""
    for name in ("alice", "bob", "carol"):
        office.run("user", "add", name, "--password-stdin", input="x\n")
    said = office.run("user", "set", "alice", "save_sent=yes")
    assert said.stdout == "What alice@office.test sends is saved in its Sent folder.\n"
    office.run("user", "set", "BOB@office.test", "save_sent=no")
    assert stored(office)[0] == "alice@office.test:{PLAIN}x::::::scram_sha_256=keys-of-8-1 save_sent=yes"
    assert saved(office) == [True, False, False]
    office.ini.write_text(office.ini.read_text() + "\n[submission]\nsave_sent = yes\n")
    assert saved(office) == [True, False, True]
    office.run("user", "passwd", "bob", "--password-stdin", input="y\n")
    assert stored(office)[1] == "bob@office.test:{PLAIN}y::::::save_sent=no scram_sha_256=keys-of-8-1"
    assert "if mail.ini says so" in office.run("user", "set", "bob", "save_sent=default").stdout
    assert stored(office)[1] == "bob@office.test:{PLAIN}y::::::scram_sha_256=keys-of-8-1"
    assert saved(office) == [True, True, True]


@pytest.mark.parametrize(
    "setting", ["save_sent", "save_sent=", "save_sent=perhaps", "uid=0", "save_sent=yes uid=0", ""]
)
def test_what_cannot_be_set(office: Office, setting: str) -> None:
    office.run("user", "add", "alice", "--password-stdin", input="x\n")
    result = office.run("user", "set", "alice", setting)
    assert result.exit_code == 64
    assert "save_sent=yes, save_sent=no or save_sent=default" in result.stderr
    assert stored(office) == ["alice@office.test:{PLAIN}x::::::scram_sha_256=keys-of-8-1"]


def test_setting_of_nobody(office: Office) -> None:
    office.run("user", "add", "alice", "--password-stdin", input="x\n")
    assert office.run("user", "set", "bob", "save_sent=yes").exit_code == 1


def test_list_without_anybody(office: Office) -> None:
    office.users.parent.mkdir()
    office.users.touch()
    assert office.json("user", "list") == []
    assert "no accounts yet" in office.run("user", "list").stdout


def test_broken_lines_are_told_beside_the_list(office: Office) -> None:
    office.users.parent.mkdir()
    office.users.write_text("\x1b[31mred\nalice@office.test:{PLAIN}x\n")
    result = office.run("user", "list", "--json")
    assert result.exit_code == 0
    assert "alice@office.test" in result.stdout
    assert result.stderr.startswith(f"Warning: {office.users}:1: ")
    assert "\x1b" not in result.stderr


def test_who_can_use_scram(office: Office) -> None:
    """It needs the password, or keys that go with its hash; without a password nobody can use anything."""
    office.users.parent.mkdir()
    hash = "{SSHA}m7A2tFeqNpnYliQA7oN1n9UeVDq82VsY"
    keys = verifiers.text(derive(b"se cret", verifiers.salt(hash), 4096))
    lines = [
        f"a@office.test:{hash}::::::scram_sha_256={keys}",
        f"b@office.test:{hash}",
        f"c@office.test:{{SCRAM-SHA-256}}{keys}",
        "d@office.test:{NONSENSE}x",
    ]
    office.users.write_text("\n".join(lines))
    known = {account["address"][0]: len(account["mechanisms"]) for account in office.json("user", "list")}
    assert known == {"a": 4, "b": 2, "c": 4, "d": 0}


def test_name_in_any_script(office: Office) -> None:
    assert office.run("user", "add", "Zoe\u0308@OFFICE.test", "--password-stdin", input="x\n").exit_code == 0
    (line,) = stored(office)
    assert line.startswith("zo\u00eb@office.test:{PLAIN}x")
    assert "zo\u00eb" in office.run("user", "list").stdout
    assert office.run("user", "remove", "zo\u00cb@office.test").exit_code == 0
    assert stored(office) == []
