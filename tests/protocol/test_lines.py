"""Command lines out of a stream: the same however it is cut, and in bounded memory."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.protocol.lines import Line, LineReader, TooLong
from tests import cuts

LIMIT = 10


def read(pieces: list[bytes], limit: int = LIMIT) -> list[Line | TooLong]:
    reader = LineReader()
    lines: list[Line | TooLong] = []
    for piece in pieces:
        reader.feed(piece)
        while line := reader.next(limit):
            lines.append(line)
        assert len(reader) < limit
    return lines


def test_every_kind_of_line_at_every_split() -> None:
    stream = b"one\r\ntwo\nth\rree\r\n\r\n\n12345678\r\n123456789\r\n" + b"x" * 35 + b"\r\nend\r\nrest"
    expected = [
        Line(b"one"),
        Line(b"two", strict=False),
        Line(b"th\rree", strict=False),
        Line(b""),
        Line(b"", strict=False),
        Line(b"12345678"),
        TooLong(b"12345"),
        TooLong(b"xxxxx"),
        Line(b"end"),
    ]
    for pieces in cuts.everywhere(stream):
        assert read(pieces) == expected


def test_cr_before_the_end_is_stray() -> None:
    assert read([b"a\r\r\n"]) == [Line(b"a\r", strict=False)]


def test_what_follows_a_line_stays_for_others() -> None:
    """Message data, or a TLS handshake."""
    reader = LineReader()
    reader.feed(b"DATA\r\nx: 1\r\n.\r\n")
    assert reader.next(LIMIT) == Line(b"DATA")
    assert reader.take() == b"x: 1\r\n.\r\n"
    assert len(reader) == 0
    assert reader.next(LIMIT) is None


def test_limit_may_change_from_line_to_line() -> None:
    reader = LineReader()
    reader.feed(b"123456789\r\n123456789\r\n")
    assert reader.next(11) == Line(b"123456789")
    assert reader.next(10) == TooLong(b"12345")


def test_endless_line_costs_nothing() -> None:
    """64 MB without a newline leave nothing behind."""
    reader = LineReader()
    for _ in range(1000):
        reader.feed(b"x" * 65536)
        assert reader.next(2048) is None
        assert len(reader) == 0
    reader.feed(b"\r\nNOOP\r\n")
    assert [reader.next(2048), reader.next(2048)] == [TooLong(b"xxxxx"), Line(b"NOOP")]


@settings(max_examples=200)
@given(cuts.anywhere(st.text("ab\r\n", max_size=60).map(str.encode)))
def test_cuts_make_no_difference(pieces: list[bytes]) -> None:
    assert read(pieces) == read([b"".join(pieces)])


def test_lines_that_begin_so_may_be_longer() -> None:
    """In any case of letters, and however they come."""
    line = b"auth " + b"x" * 2 * LIMIT
    for pieces in ([line, b"\r\n"], [line[:3], line[3:], b"\r\n"], [line + b"\r\n"]):
        reader = LineReader(longer=(b"AUTH ", 3 * LIMIT))
        for piece in pieces:
            reader.feed(piece)
            found = reader.next(LIMIT)
        assert found == Line(line)
    reader.feed(line + line + b"\r\nNOOP\r\n")
    assert [reader.next(LIMIT), reader.next(LIMIT)] == [TooLong(b"auth "), Line(b"NOOP")]
    reader.feed(b"x" * 2 * LIMIT + b"\r\n")
    assert reader.next(LIMIT) == TooLong(b"xxxxx")
