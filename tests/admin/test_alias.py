"""``mailstack alias resolve``."""

from __future__ import annotations

from time import time

import pytest

from mailstack.model.address import Address
from mailstack.protocol.srs import DAY, Srs
from tests.admin.office import Office


@pytest.fixture(autouse=True)
def _files(office: Office) -> None:
    office.users.parent.mkdir()
    office.users.write_text("alice@office.test:{PLAIN}x\n")
    office.aliases.write_text("sales: alice, friend@far.test\nold: gone\n\nnonsense\n")


def test_each_step_is_shown(office: Office) -> None:
    result = office.run("alias", "resolve", "sales@office.test")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"sales@office.test is an alias ({office.aliases}:1), leads to",
        f"  alice@office.test is the mailbox: {office.folder}/data/mail/office.test/alice",
        "  friend@far.test goes out by the queue",
    ]
    assert f"{office.aliases}:4: " in result.stderr


def test_a_sub_address(office: Office) -> None:
    assert "is the mailbox of alice@office.test: " in office.run("alias", "resolve", "alice+x").stdout


def test_json(office: Office) -> None:
    steps = office.json("alias", "resolve", "sales")
    assert [(step["depth"], step["address"], step["rule"]) for step in steps] == [
        (0, "sales@office.test", "alias"),
        (1, "alice@office.test", "account"),
        (1, "friend@far.test", "elsewhere"),
    ]
    assert steps[0]["targets"] == ["alice@office.test", "friend@far.test"]
    assert steps[0]["where"] == f"{office.aliases}:1"


def test_mail_that_reaches_nobody(office: Office) -> None:
    office.aliases.write_text("old: gone\n")
    result = office.run("alias", "resolve", "old")
    assert result.exit_code == 1
    assert "  gone@office.test does not exist: refused with 550 5.1.1" in result.stdout
    assert result.stderr == "Error: mail for old reaches nobody\n"


def test_missing_files_are_told(office: Office) -> None:
    office.users.unlink()
    result = office.run("alias", "resolve", "alice")
    assert f"Warning: {office.users} cannot be read: No such file or directory" in result.stderr
    assert result.exit_code == 1


@pytest.mark.parametrize("name", ["postmaster", "abuse"])
def test_the_names_that_exist_always(office: Office, name: str) -> None:
    assert "is the mailbox" in office.run("alias", "resolve", name).stdout


def given(office: Office, sender: str, days: int = 0) -> str:
    """A return address of this office."""
    key = bytes(range(32))
    (office.folder / "data/srs.key").write_bytes(key)
    address = Srs(key, 26).outward(Address.parse(sender), "office.test", time() - days * DAY)
    assert address is not None
    return str(address)


def test_a_return_address(office: Office) -> None:
    address = given(office, "friend@far.test")
    result = office.run("alias", "resolve", address)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{address} is a return address that we gave out (SRS), for bounces alone, leads to",
        "  friend@far.test goes out by the queue",
    ]
    assert [step["rule"] for step in office.json("alias", "resolve", address)] == ["return", "elsewhere"]


def test_a_return_address_that_is_too_old(office: Office) -> None:
    result = office.run("alias", "resolve", given(office, "friend@far.test", days=30))
    assert result.exit_code == 1
    assert "is a return address (SRS) that has expired: refused with 550 5.1.1" in result.stdout


@pytest.mark.parametrize("key", ["another", "missing", "unreadable", "off"])
def test_a_return_address_that_nobody_knows(office: Office, key: str) -> None:
    address = given(office, "friend@far.test")
    path = office.folder / "data/srs.key"
    match key:
        case "another":
            path.write_bytes(bytes(32))
        case "missing":
            path.unlink()
        case "unreadable":
            path.unlink()
            path.mkdir()
        case "off":
            office.ini.write_text(office.ini.read_text() + "[accounts]\nsrs = no\n")
    result = office.run("alias", "resolve", address)
    assert result.exit_code == 1
    assert ("we did not give it out" if key == "another" else "does not exist") in result.stdout
    assert ("srs.key cannot be read" in result.stderr) == (key == "unreadable")
