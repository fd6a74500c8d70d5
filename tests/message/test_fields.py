"""The header of a letter in a file."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.fields import MAX_VALUE, decoded, fields

LETTER = b"Received: one\n\ttwo\nSubject : x\nTo:\n a@b.test\n\nReceived: in the body\n"
READ = [("received", "one two"), ("subject", "x"), ("to", "a@b.test")]


def read(octets: bytes) -> list[tuple[str, str]]:
    return [(each.name, each.text) for each in fields(octets)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends(end: bytes) -> None:
    assert read(LETTER.replace(b"\n", end)) == READ


@pytest.mark.parametrize(
    "start", [b"\xef\xbb\xbf", b"\n\r\n", b"From - Tue Nov 24 12:00:00 2026\n", b"From a@b x\n>From c\n"]
)
def test_what_programs_put_before(start: bytes) -> None:
    """A mark of UTF-8, blank lines, and the line between the letters of an mbox."""
    assert read(start + LETTER) == READ


@pytest.mark.parametrize(
    "octets", [b"", b"\n\n", b"Hello!\nSubject: x\n", b"\x00\x01", b"\xef\xbb\xbf", b" a: b\n", b"no end"]
)
def test_no_letter(octets: bytes) -> None:
    assert read(octets) == []


def test_header_ends_where_no_field_can_be() -> None:
    """As it does for the server and for mail programs."""
    assert read(b"A: 1\nnonsense\nB: 2\n") == [("a", "1")]
    assert read(b"A: 1") == [("a", "1")]


def test_eight_bits_and_controls_are_kept() -> None:
    assert read("A: 例 \0 \x1b[31m".encode() + b"\xc4\xe3\n") == [("a", "例 \0 \x1b[31m\\xc4\\xe3")]


def test_long_lines_are_cut() -> None:
    began = time.process_time()
    for octets in (b"A: " + b"x" * 1_000_000 + b"\nB: 2\n", b"A: 1\n" + b"\t\n" * 300_000 + b"B: 2\n"):
        first, second = fields(octets)
        assert len(first.value) <= MAX_VALUE and second.text == "2"
    assert read(b"x" * 1_000_000) == []
    assert time.process_time() - began < 2


def test_encoded_words() -> None:
    assert decoded("=?utf-8?B?5byg5LiJ?= <a@b.test>") == "张三 <a@b.test>"
    assert decoded("=?gbk?B?1cXI/Q==?=") == "张三"
    for broken in ("=?utf-8?B?x?=", "=?nonsense?Q?a?=", "=?", "=?utf-8?B?====?="):
        assert isinstance(decoded(broken), str)
    assert decoded("plain") == "plain"


@given(st.binary() | st.text(alphabet=" =?utf8BQ_-:\nA").map(str.encode))
def test_never_raises(octets: bytes) -> None:
    for each in fields(octets):
        decoded(each.text).encode()
