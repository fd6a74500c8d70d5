"""The header of a letter that arrives in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message.header import MAX_LINE, HeaderScan, begins_with_field
from tests import cuts

LIMIT = 10_000


def scan(pieces: list[bytes]) -> tuple[int, str]:
    header = HeaderScan(LIMIT)
    for piece in pieces:
        header.feed(piece)
    return header.received, header.message_id


@pytest.mark.parametrize(
    ("message", "received"),
    [
        (b"", 0),
        (b"\nReceived: in the body\n", 0),
        (b"Received: 1\n", 1),
        (b"Received: 1\n\nReceived: in the body\n", 1),
        (b"received: 1\nRECEIVED : 2\nReceived\t: 3\nX-Received: no\nReceived-SPF: no\nSubject: Received: no\n\n", 3),
        (b"A: 1\n\tReceived: folded, so no field\nReceived: 1\n by x\n\n", 1),
        (b"Received: 1\n\n\nReceived: in the body\n", 1),
    ],
)
def test_received_fields(message: bytes, received: int) -> None:
    for pieces in cuts.everywhere(message):
        assert scan(pieces)[0] == received


@pytest.mark.parametrize(
    ("message", "id"),
    [
        (b"Message-ID: <1@far.test>\n", "<1@far.test>"),
        (b"message-id:<1@far.test> (comment)\n\n", "<1@far.test>"),
        (b"Message-ID:\n\t<1@far.test>\n\n", "<1@far.test>"),
        (b"Message-Id :   <1@far.test>\nMessage-ID: <2@far.test>\n", "<1@far.test>"),
        (b"Message-ID: <\xe4@far.test>\n", "<\\xe4@far.test>"),
        (b"Message-ID:\nSubject: x\n\n", ""),
        (b"X-Message-ID: <1@far.test>\n\nMessage-ID: <2@far.test>\n", ""),
        (b"Message-ID: " + b"x" * 1000 + b"\n", "x" * 300),
    ],
)
def test_message_id(message: bytes, id: str) -> None:
    for pieces in [[message], cuts.at(message, range(len(message))), *list(cuts.everywhere(message))[:60]]:
        assert scan(pieces)[1] == id


def test_endless_header_is_not_kept() -> None:
    header = HeaderScan(LIMIT)
    for _ in range(100):
        header.feed(b"Received: x\n" * 1000)
    assert header.too_big
    assert not header.whole
    assert header.received <= 1000


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (b"Subject: x\n", True),
        (b"Subject : x\n", True),
        (b"x:", True),
        (b"\n", True),
        (b"\nbody\n", True),
        (b":\n", False),
        (b" Subject: x\n", False),
        (b"\tfolded: x\n", False),
        (b"just text\n", False),
        (b"text\n", False),
        (b"From alice Mon Jan  1 00:00:00 2001\n", False),
        (b"\xe4: x\n", False),
        (b"\x00: x\n", False),
        (b"a" * (MAX_LINE - 1) + b":", True),
        (b"a" * MAX_LINE + b":", False),
        (b"a" + b" " * MAX_LINE + b":", False),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_first_line(message: bytes, answer: bool) -> None:
    """The answer that comes first, however much of the message is there by then, is the answer."""
    known = [known for end in range(len(message) + 1) if (known := begins_with_field(message[:end])) is not None]
    assert known
    assert set(known) == {answer}
    assert begins_with_field(message + b"more: text\n\n" * 100) is answer


@settings(max_examples=300)
@given(st.text("aR: \t\nü", max_size=20).map(str.encode))
def test_first_answer_stands(message: bytes) -> None:
    known = {begins_with_field(message[:end]) for end in range(len(message) + 1)} - {None}
    assert len(known) <= 1


@settings(max_examples=200)
@given(
    cuts.anywhere(st.lists(st.sampled_from([b"received:", b"\n", b" ", b"x", b"message-id: ", b"<a>"])).map(b"".join))
)
def test_cuts_make_no_difference(pieces: list[bytes]) -> None:
    assert scan(pieces) == scan([b"".join(pieces)])
