"""Who a message says it is from. What could be read in two ways is refused."""

from __future__ import annotations

import contextlib
from email.headerregistry import Address as LibraryAddress
from email.headerregistry import HeaderRegistry
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message.mailboxes import MAX_FIELD, BadField, mailboxes


def found(value: str | bytes) -> list[str]:
    octets = value if isinstance(value, bytes) else value.encode()
    return [f"{address.local}@{address.domain}" for address in mailboxes(octets)]


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        (" alice@office.test", ["alice@office.test"]),
        (" Alice <alice@office.test>\n", ["alice@office.test"]),
        (" Alice\n\t<alice@office.test>\n", ["alice@office.test"]),
        ('"Doe, Alice" <alice@OFFICE.test>', ["alice@office.test"]),
        ("<alice@office.test>", ["alice@office.test"]),
        ("Alice B. Doe <alice@office.test>", ["alice@office.test"]),
        ("=?utf-8?Q?Andr=C3=A9?= =?utf-8?B?w4k=?= <alice@office.test>", ["alice@office.test"]),
        ("Åsa Öl <alice@office.test>", ["alice@office.test"]),
        ("Müller <müller@büro.test>", ["müller@xn--bro-hoa.test"]),
        (b"\xc5sa <alice@office.test>", ["alice@office.test"]),
        ("alice@office.test (Alice)", ["alice@office.test"]),
        ("(a (nested) comment) alice (x) @ (y) office . test", ["alice@office.test"]),
        (r"alice(a \) b)@office.test", ["alice@office.test"]),
        ("alice@office.test, Bob <bob@office.test>", ["alice@office.test", "bob@office.test"]),
        (",alice@office.test,,bob@office.test,", ["alice@office.test", "bob@office.test"]),
        ("Team: alice@office.test, Bob <bob@office.test>;", ["alice@office.test", "bob@office.test"]),
        ("Team:;", []),
        ("A: a@x;, B: b@x;, c@x", ["a@x", "b@x", "c@x"]),
        ("", []),
        (" \n ", []),
        ("(nobody)", []),
        ('"two words"@office.test', ["two words@office.test"]),
        (r'"a\"b"@office.test', ['a"b@office.test']),
        ("alice@[192.0.2.1]", ["alice@[192.0.2.1]"]),
        # A name that should be quoted: whichever a reader sees must be right.
        ("alice@office.test <alice@office.test>", ["alice@office.test", "alice@office.test"]),
        ("ceo@far.test <alice@office.test>", ["ceo@far.test", "alice@office.test"]),
        # A name is a name, whatever it looks like.
        ('"ceo@far.test" <alice@office.test>', ["alice@office.test"]),
        (r'"ceo@far.test\" <ceo@far.test>" <alice@office.test>', ["alice@office.test"]),
        ('"(" <alice@office.test>', ["alice@office.test"]),
        ("alice@office.test (<ceo@far.test>)", ["alice@office.test"]),
        ("(alice@office.test) ceo@far.test", ["ceo@far.test"]),
        ('"alice@office.test, " <ceo@far.test>', ["ceo@far.test"]),
        ('"alice@office.test"@far.test', ["alice@office.test@far.test"]),
        ("=?utf-8?Q?alice=40office.test?= <ceo@far.test>", ["ceo@far.test"]),
    ],
)
def test_addresses(value: str | bytes, addresses: list[str]) -> None:
    assert found(value) == addresses


@pytest.mark.parametrize(
    "value",
    [
        "alice",
        "Alice Doe",
        "alice@",
        "@office.test",
        "alice@office.test boss@far.test",
        "<alice@office.test> <ceo@far.test>",
        "<alice@office.test> ceo@far.test",
        "<alice@office.test> (x) more",
        "alice@office.test; ceo@far.test",
        "alice@office.test@far.test",
        "alice@far.test(@office.test",
        "<@relay.test:alice@office.test>",
        "<alice@office.test",
        "alice@office.test>",
        "<<alice@office.test>>",
        "<>",
        "Team: alice@office.test",
        "Team: Inner: alice@office.test;;",
        "Team: alice@office.test; ceo@far.test",
        ";",
        ":;",
        "al ice@office.test",
        ".alice@office.test",
        "alice.@office.test",
        "a..b@office.test",
        "alice@office..test",
        "alice@office.test.",
        "alice@[192.0.2.1].test",
        "alice@of[fice.test",
        '"alice@office.test',
        '"alice\\',
        "alice@office.test (comment",
        "alice@office.test (com\\",
        "alice@office.test )",
        "\\alice@office.test",
        "alice\x00@office.test",
        "alice@office.test\x00",
        "alice@office.test (\x00)",
        "alice@office.test\r",
        "\x7falice@office.test",
    ],
)
def test_what_has_no_one_meaning(value: str) -> None:
    with pytest.raises(BadField):
        found(value)


@pytest.mark.parametrize("value", ["(", "()", "<", '"', "a:", "a.", "a,", "\\", "[", "a@b,", "(\\", "\n ", "a@b<", "@"])
def test_hostile_field_takes_no_time(value: str) -> None:
    """In the worst case, once, some milliseconds."""
    octets = (value * MAX_FIELD).encode()[:MAX_FIELD]
    began = process_time()
    with contextlib.suppress(BadField):
        found(octets)
    assert process_time() - began < 1


def test_ten_thousand_authors() -> None:
    with pytest.raises(BadField, match="longer than"):
        found(", ".join(f"alice+{number}@office.test" for number in range(10_000)))


@settings(max_examples=500)
@given(st.one_of(st.binary(max_size=60), st.text('a@.,:;<>()[]"\\ \n\t\0é', max_size=40).map(str.encode)))
def test_never_another_error(value: bytes) -> None:
    try:
        for address in mailboxes(value):
            assert address.domain
    except BadField:
        pass


NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=20)
LOCALS = st.text('abcXYZ019+-_!#$ "\\@,(<', min_size=1, max_size=12)


@settings(max_examples=300)
@given(st.lists(st.tuples(NAMES, LOCALS), min_size=1, max_size=5))
def test_what_others_write_is_understood(people: list[tuple[str, str]]) -> None:
    """The standard library writes correct fields; and where it reads one without complaint, it reads the same."""
    written = ", ".join(str(LibraryAddress(name, local, "office.test")) for name, local in people)
    ours = found(written)
    assert ours == [f"{local}@office.test" for _, local in people]
    theirs = HeaderRegistry()("From", written)
    if not theirs.defects and "=?" not in written:
        assert [f"{each.username}@{each.domain}" for each in theirs.addresses] == ours
