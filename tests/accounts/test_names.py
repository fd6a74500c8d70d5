"""Whom a name means at log-in, and which folder."""

from __future__ import annotations

import pytest

from mailstack.accounts.names import Names
from mailstack.accounts.users import Account
from mailstack.model.address import Address

ONE = Names(("office.test",), "+")
TWO = Names(("office.test", "second.test"), "+")
IDN = Names(("xn--0zwm56d",), "+")  # 测试


def accounts(*names: str) -> dict[str, Account]:
    found = map(Address.parse, names)
    return {each.key: Account(each, "", number, "") for number, each in enumerate(found)}


KNOWN = accounts("alice@office.test", "alice+sales@office.test", "bob@second.test")


@pytest.mark.parametrize(
    ("name", "account", "folder"),
    [
        ("alice", "alice@office.test", ""),
        ("ALICE@office.test", "alice@office.test", ""),
        ("alice/Junk", "alice@office.test", "Junk"),
        ("alice@office.test/Junk", "alice@office.test", "Junk"),
        ("alice/Junk@office.test", "alice@office.test", "Junk"),
        ("alice@office.test/a@b", "alice@office.test", "a@b"),
        ("alice/a@b", "alice@office.test", "a@b"),
        ("alice/a@", "alice@office.test", "a@"),
        ("alice+Junk", "alice@office.test", "Junk"),
        ("Alice+Junk@Office.TEST", "alice@office.test", "Junk"),
        ("alice+Work/2026@office.test", "alice@office.test", "Work/2026"),
        ("alice/Work/2026", "alice@office.test", "Work/2026"),
        ("alice/C++", "alice@office.test", "C++"),
        ("alice+C++", "alice@office.test", "C++"),
        ("alice/../bob", "alice@office.test", "../bob"),
        ("alice/", "alice@office.test", ""),
        ("alice+", "alice@office.test", ""),
        ("alice//Junk", "alice@office.test", "/Junk"),
        # The account whose own name has a delimiter, and its folders.
        ("alice+sales", "alice+sales@office.test", ""),
        ("alice+sales/Junk", "alice+sales@office.test", "Junk"),
        ("alice+sales+Junk@office.test", "alice+sales@office.test", "Junk"),
        ("alice+sale", "alice@office.test", "sale"),
    ],
)
def test_meanings(name: str, account: str, folder: str) -> None:
    found = ONE.find(KNOWN, name)
    assert found.account is not None
    assert (found.key, str(found.account.address), found.folder) == (account, account, folder)


def test_several_domains_need_one_in_the_name() -> None:
    assert TWO.find(KNOWN, "bob/Junk").account is None
    assert TWO.find(KNOWN, "bob@second.test/Junk").key == "bob@second.test"
    assert TWO.find(KNOWN, "bob/Junk@second.test").folder == "Junk"


def test_a_domain_in_any_script() -> None:
    known = accounts("用户@测试")
    for name in ("用户/垃圾邮件", "用户@测试/垃圾邮件", "用户/垃圾邮件@测试", "用户+垃圾邮件@xn--0zwm56d"):
        found = IDN.find(known, name)
        assert found.account is not None
        assert found.folder == "垃圾邮件"


@pytest.mark.parametrize(
    "behind", ["", "/Junk", "/Junk@office.test", "+Junk", "+a+b", "/C++", "+x/C++", "/", "+", "/a@b"]
)
def test_who_does_not_exist_has_one_key_with_any_folder(behind: str) -> None:
    """As who exists has: or what is counted against a name would tell which of both it is."""
    assert ONE.find(KNOWN, f"nobody{behind}").key == "nobody@office.test"
    assert ONE.find(KNOWN, f"alice{behind}").key == "alice@office.test"
    whole = f"nobody@office.test{behind if behind.startswith('/') else ''}"
    assert ONE.find(KNOWN, whole).key == "nobody@office.test"


def test_without_a_delimiter_only_slashes_part() -> None:
    plain = Names(("office.test",), "")
    assert plain.find(KNOWN, "alice+Junk").account is None
    assert plain.find(KNOWN, "alice/Junk").folder == "Junk"


@pytest.mark.parametrize("domain", ["é" * 500, "a." * 200, "far.test"])
def test_a_foreign_domain_is_looked_at_once_or_twice(domain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the password, anybody can say what they like."""
    looks: list[str] = []
    parse = Address.parse
    monkeypatch.setattr(Address, "parse", lambda text: looks.append(text) or parse(text))
    assert ONE.find(KNOWN, f"{'a+' * 32}@{domain}").account is None
    assert 1 <= len(looks) <= 2
    looks.clear()
    assert ONE.find(KNOWN, f"{'a+' * 32}@{domain * 5000}").account is None
    assert not looks


def test_odd_names_are_nobody() -> None:
    for name in (
        "",
        "@",
        "/",
        "+",
        "/alice",
        "+alice",
        "@office.test/x",
        "\0",
        "a b",
        "+" * 5000,
        "x/" * 5000,
        "/@" * 99,
    ):
        assert ONE.find(KNOWN, name).account is None
