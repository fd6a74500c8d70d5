"""Replies of servers, sane and otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.model.reply import Reply
from mailstack.protocol.replies import MAX_LINE, MAX_LINES, MAX_REPLY, Garbled, ReplyReader


def read_all(*pieces: bytes) -> list[Reply | Garbled]:
    reader = ReplyReader()
    found: list[Reply | Garbled] = []
    for piece in pieces:
        reader.feed(piece)
        while (reply := reader.next()) is not None:
            found.append(reply)
            if isinstance(reply, Garbled):
                return found
    return found


@pytest.mark.parametrize(
    ("raw", "reply"),
    [
        (b"250 ok\r\n", Reply(250, "", "ok")),
        (b"250\r\n", Reply(250, "", "")),
        (b"250 \n", Reply(250, "", "")),
        (b"250 2.1.5 fine\r\n", Reply(250, "2.1.5", "fine")),
        (b"550-5.1.1 no such\r\n550 5.1.1 user\r\n", Reply(550, "5.1.1", "no such\nuser")),
        (b"550-5.1.1 no such\r\n550 user\r\n", Reply(550, "5.1.1", "no such\nuser")),
        (b"550-5.1.1\r\n550 5.1.1\r\n", Reply(550, "5.1.1", "\n")),
        (b"550 4.1.1 odd\r\n", Reply(550, "", "4.1.1 odd")),
        (b"550 5.1.1.2 odd\r\n", Reply(550, "", "5.1.1.2 odd")),
        (b"250-mx\r\n250-SIZE 10\r\n250 HELP\r\n", Reply(250, "", "mx\nSIZE 10\nHELP")),
        (b"550 a\0b\x1b[31m\tc\r\n", Reply(550, "", "a?b?[31m c")),
        ("550 grüße".encode() + b"\xff\r\n", Reply(550, "", "grüße\ufffd")),
    ],
)
def test_reply(raw: bytes, reply: Reply) -> None:
    assert read_all(raw) == [reply]
    assert read_all(*(raw[i : i + 1] for i in range(len(raw)))) == [reply]
    assert read_all(raw + raw) == [reply, reply]


@pytest.mark.parametrize(
    "raw",
    [
        b"hello\r\n",
        b"\r\n",
        b"25 ok\r\n",
        b"2500 ok\r\n",
        b"150 what\r\n",
        b"650 what\r\n",
        b"250-one\r\n550 two\r\n",
        b"250 " + b"x" * MAX_LINE + b"\r\n",
        b"250-x\r\n" * 10_000,
        b"250-" + b"x" * 4_000 + b"\r\n" + (b"250-" + b"x" * 4_000 + b"\r\n") * 20,
    ],
)
def test_garbled(raw: bytes) -> None:
    """Nonsense is a value with a short reason."""
    *_, last = read_all(raw)
    assert isinstance(last, Garbled)
    assert len(last.reason) < 200


def test_line_without_an_end() -> None:
    """Nobody waits for it."""
    (found,) = read_all(b"250 " + b"x" * MAX_LINE)
    assert isinstance(found, Garbled)


def test_longest_reply() -> None:
    """The limits themselves are still in order."""
    line = b"250-" + b"x" * (MAX_REPLY // MAX_LINES - 4)
    (reply,) = read_all((line + b"\r\n") * (MAX_LINES - 1) + line.replace(b"-", b" ") + b"\r\n")
    assert isinstance(reply, Reply)
    assert reply.text.count("\n") == MAX_LINES - 1


def test_pending() -> None:
    """Every part of a reply that is still to come counts."""
    reader = ReplyReader()
    assert not reader.pending
    for data in (b"2", b"50-a\r\n"):
        reader.feed(data)
        assert reader.next() is None
        assert reader.pending
    reader.feed(b"250 b\r\n")
    assert reader.next()
    assert not reader.pending


@settings(max_examples=150, deadline=None)
@given(
    data=st.binary(max_size=300) | st.from_regex(rb"([245]50[ -][\x00-\xff]{0,20}\r?\n){1,5}"),
    cut=st.integers(1, 9),
)
def test_any_octets(data: bytes, cut: int) -> None:
    """No input raises, the cut does not matter, and nothing unprintable gets through."""
    whole = read_all(data)
    assert whole == read_all(*(data[i : i + cut] for i in range(0, len(data), cut)))
    for reply in whole:
        text = reply.reason if isinstance(reply, Garbled) else reply.text.replace("\n", "")
        assert text.isprintable()
