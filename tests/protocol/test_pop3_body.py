"""Multi-line responses in pieces of any size."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.protocol.pop3_body import multiline, top

LETTERS = st.lists(st.sampled_from([b"\n", b"\r\n", b"\n\n", b"a: b\n", b"x", b".", b"\r", b"\n.\n"])).map(b"".join)


def cut(letter: bytes, length: int) -> Iterator[bytes]:
    return (letter[i : i + length] for i in range(0, len(letter), length))


@given(LETTERS, st.integers(0, 4), st.integers(1, 7))
@settings(max_examples=200)
def test_top_does_not_depend_on_the_pieces(letter: bytes, lines: int, length: int) -> None:
    end = re.search(rb"(?:\A|\n)\r?\n", letter)
    header, body = (letter[: end.end()], letter[end.end() :]) if end else (letter, b"")
    expected = header + b"".join(re.findall(rb"[^\n]*\n|[^\n]+\Z", body)[:lines])
    assert b"".join(top(cut(letter, length), lines)) == expected


def test_top_reads_no_further_than_it_must() -> None:
    """A TOP of a letter of any size is cheap."""

    def pieces() -> Iterator[bytes]:
        yield b"a: b\n\none\ntwo\n"
        pytest.fail("read too far")

    assert b"".join(top(pieces(), 1)) == b"a: b\n\none\n"
    assert b"".join(top(pieces(), 0)) == b"a: b\n\n"


@given(LETTERS, st.integers(1, 7))
@settings(max_examples=100)
def test_multiline_does_not_depend_on_the_pieces(letter: bytes, length: int) -> None:
    sent = b"".join(multiline(cut(letter, length)))
    assert sent == b"".join(multiline([letter]))
    assert sent.endswith(b".\r\n")
    assert b"\r\n.\r\n" not in sent[:-5]


def test_nothing_at_all() -> None:
    assert b"".join(multiline([])) == b".\r\n"
