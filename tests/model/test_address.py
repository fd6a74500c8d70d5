"""Addresses as values and as they are written in files."""

from __future__ import annotations

import pytest

from mailstack.model.address import Address, path


@pytest.mark.parametrize(
    ("text", "address", "written"),
    [
        ("a@b.test", Address("a", "b.test"), "a@b.test"),
        (" Alice+x@Office.Test. ", Address("Alice+x", "office.test"), "Alice+x@office.test"),
        ('"two words"@b.test', Address("two words", "b.test"), '"two words"@b.test'),
        ('"needless"@b.test', Address("needless", "b.test"), "needless@b.test"),
        (r'"a\"b\\c"@b.test', Address('a"b\\c', "b.test"), r'"a\"b\\c"@b.test'),
        ('"a@b"@c.test', Address("a@b", "c.test"), '"a@b"@c.test'),
        ("a@[192.0.2.1]", Address("a", "[192.0.2.1]"), "a@[192.0.2.1]"),
        ("用户@例子.测试", Address("用户", "xn--fsqu00a.xn--0zwm56d"), "用户@xn--fsqu00a.xn--0zwm56d"),
        ("用户@xn--FSQU00A.xn--0zwm56d", Address("用户", "xn--fsqu00a.xn--0zwm56d"), "用户@xn--fsqu00a.xn--0zwm56d"),
        ('"grüß dich"@b.test', Address("grüß dich", "b.test"), '"grüß dich"@b.test'),
        ("mu\u0308ller@b.test", Address("m\u00fcller", "b.test"), "m\u00fcller@b.test"),
    ],
)
def test_parse_and_write(text: str, address: Address, written: str) -> None:
    assert Address.parse(text) == address
    assert str(address) == written
    assert Address.parse(written) == address


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "is not an address like name@domain"),
        ("alice", "is not an address like name@domain"),
        ("@b.test", "is not an address like name@domain"),
        ("a@", "is not an address like name@domain"),
        ("a b@c.test", "must not have ' ' outside of quotes"),
        ('""@b.test', "must not have '\"'"),
        ('"a"b"@c.test', "must not have '\"' outside"),
        ('"\u200e"@b.test', r"must not have '\\u200e'"),
        ("a\u202eb@c.test", r"must not have '\\u202e'"),
        ("a\u3000b@c.test", r"must not have '\\u3000'"),
        ('"a\nb"@c.test', r"must not have '\\n'"),
        ('"a\\\x00b"@c.test', r"must not have '\\x00'"),
        ("a..b@c.test", "must not begin or end with a dot, or have two in a row"),
        ("a@b c.test", "'b c.test' is not a domain"),
        ("a@b..test", "'b..test' is not a domain"),
        ("a@☃.test", "'☃.test' is not a domain"),
        ("a@ü\uff20b.test", "is not a domain"),
    ],
)
def test_what_no_command_could_carry_is_no_address(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Address.parse(text)


def test_key_takes_no_notice_of_case() -> None:
    """Domains never depend on it, our users' names do not either."""
    assert Address("Alice", "office.test").key == Address.parse("aLICE@OFFICE.test").key


def test_names_in_any_script_have_one_key_and_one_account() -> None:
    """Case and the way in which Unicode spells a letter make no difference, also where lower case is another letter."""
    assert Address.parse("MU\u0308LLER@Bücher.test").key == Address.parse("müller@xn--bcher-kva.test").key
    assert Address.parse("H\u0331@b.test").canonical == Address("\u1e96", "b.test")


def test_domain_for_people() -> None:
    assert Address.parse("用户@例子.测试").unicode == "用户@例子.测试"
    assert Address.parse("a@xn--zz.test").unicode == "a@xn--zz.test", "what is no A-label stays as it is"
    assert Address.parse("a@xn--fsqu00a.test").isascii and not Address.parse("é@b.test").isascii


def test_path() -> None:
    assert path(Address("a b", "c.test")) == '<"a b"@c.test>'
    assert path(None) == "<>"
