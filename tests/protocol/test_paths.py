"""Addresses in MAIL and RCPT: RFC 5321 §4.1.2, and nothing that others might understand differently."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.model.address import Address
from mailstack.protocol.paths import Argument, BadPath, SourceRoute, argument, mailbox, recipient


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("a@b.test", Address("a", "b.test")),
        ("First.Last+tag@B.Test", Address("First.Last+tag", "b.test")),
        ("a@b.test.", Address("a", "b.test")),
        ("!#$%&'*+-/=?^_`{|}~@b", Address("!#$%&'*+-/=?^_`{|}~", "b")),
        ('"two words"@b.test', Address("two words", "b.test")),
        (r'"a\"b\\c"@b.test', Address('a"b\\c', "b.test")),
        ('"plain"@b.test', Address("plain", "b.test")),
        ('"a@far.test"@b.test', Address("a@far.test", "b.test")),
        ('"<a>"@b.test', Address("<a>", "b.test")),
        ("a@[192.0.2.1]", Address("a", "[192.0.2.1]")),
        ("a@[IPv6:2001:DB8::1]", Address("a", "[ipv6:2001:db8::1]")),
        ("a@under_score.test", Address("a", "under_score.test")),
        ("x" * 255 + "@b.test", Address("x" * 255, "b.test")),
        ("用户@例子.测试", Address("用户", "xn--fsqu00a.xn--0zwm56d")),
        ("用户@例子。测试", Address("用户", "xn--fsqu00a.xn--0zwm56d")),
        ("a@\uff22.test", Address("a", "b.test")),
        ("e\u0301@b.test", Address("é", "b.test")),
        ('"é e"@b.test', Address("é e", "b.test")),
        ("é" * 127 + "@b.test", Address("é" * 127, "b.test")),
    ],
)
def test_mailbox(path: str, address: Address) -> None:
    assert mailbox(path) == address
    assert recipient(path) == address
    assert mailbox(str(address)) == address, "what we write in our own commands is understood again"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "@b.test",
        "a@",
        "a@b@c.test",
        ".a@b.test",
        "a.@b.test",
        "a..b@c.test",
        "a b@c.test",
        "a@b..test",
        "a@.b.test",
        "a@-b.test",
        "a@b-.test",
        "a@b.test..",
        "a@[]",
        "a@[b",
        "a@b.test ",
        '"a@b.test',
        '"a"b@c.test',
        'a"b"@c.test',
        '""@b.test',
        '"a\\"@b.test',
        "x" * 256 + "@b.test",
        "a@" + "b." * 128 + "test",
        "a,b@c.test",
        "a;b@c.test",
        "(comment)a@b.test",
        "a\u200bb@c.test",
        "a\u202eb@c.test",
        "a\u0085b@c.test",
        "a\u3000b@c.test",
        "\udcff@b.test",
        "a@☃.test",
        "a@ü\uff20b.test",
        "a@b.test\u200b",
        "é" * 128 + "@b.test",
        "a\n@b.test",
        "a@b.test\n",
        '"a\nb"@c.test',
        "postmaster",
    ],
)
def test_no_mailbox(path: str) -> None:
    with pytest.raises(BadPath):
        mailbox(path)


@pytest.mark.parametrize("path", ["@a.test:b@c.test", "@a.test,@b.test:c@d.test", "@:a@b.test"])
def test_source_routes_are_known_by_name(path: str) -> None:
    with pytest.raises(SourceRoute):
        mailbox(path)


@pytest.mark.parametrize("path", ["postmaster", "POSTMASTER", "PostMaster"])
def test_postmaster_needs_no_domain_as_a_recipient(path: str) -> None:
    """RFC 5321 §4.1.1.3."""
    assert recipient(path) == Address("postmaster", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM:<a@b.test>", Argument("a@b.test", ())),
        ("from: <a@b.test> ", Argument("a@b.test", ())),
        ("FROM:<>", Argument("", ())),
        ("FROM:<a@b.test> SIZE=10 body=7BIT X", Argument("a@b.test", (("SIZE", "10"), ("BODY", "7BIT"), ("X", "")))),
        ('FROM:<"a> b"@c.test> X=<y>', Argument('"a> b"@c.test', (("X", "<y>"),))),
        (r'FROM:<"a\"> b"@c.test>', Argument(r'"a\"> b"@c.test', ())),
        ("FROM:<a@b.test> AUTH=<>=", Argument("a@b.test", (("AUTH", "<>="),))),
    ],
)
def test_argument(text: str, expected: Argument) -> None:
    assert argument(text, "FROM") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FROM",
        "FROM:",
        "FROM <a@b.test>",
        "TO:<a@b.test>",
        "FROM:a@b.test",
        "FROM:<a@b.test",
        "FROM:<a@b.test>x",
        "FROM:<<a@b.test>>",
        "FROM:<a<b>@c.test>",
        'FROM:<"a@b.test>',
        "X FROM:<a@b.test>",
    ],
)
def test_no_argument(text: str) -> None:
    with pytest.raises(BadPath, match=r"Syntax: FROM:<address>"):
        argument(text, "FROM")


@settings(max_examples=300)
@given(st.text('ab.@"\\<>[]:% \x00ü', max_size=25))
def test_whatever_is_taken_reads_the_same_again(path: str) -> None:
    """No string has two meanings, and nothing but BadPath is raised."""
    try:
        address = mailbox(path)
    except BadPath:
        return
    assert mailbox(str(address)) == address
    assert "@" not in address.domain
    assert address.local.isprintable()


@pytest.mark.parametrize("text", ["FROM:<" + '"a' * 1001 + ">", 'FROM:<"' + "\\" * 2000 + ">", "FROM:<" + "a." * 1000])
def test_malice_does_not_take_time(text: str) -> None:
    """No pattern here can be made to go back and forth: these would never end."""
    with pytest.raises(BadPath):
        argument(text, "FROM")
    with pytest.raises(BadPath):
        mailbox(text)
