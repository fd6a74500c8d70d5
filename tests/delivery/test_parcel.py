"""A stored letter on its way to the wire: whole, at every edge of the blocks in which it is read."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.delivery import parcel
from mailstack.delivery.parcel import BLOCK, wire_pieces
from mailstack.model.letter import Letter
from mailstack.protocol.dots import END, DotDecoder

#: What could go wrong where two blocks meet.
SEAMS = [
    b"\n.\n",
    b"\n..\n",
    b"\n.x",
    b"\r\n.\r\n",
    b"\n\r.\n",
    b"\r\r\n.",
    b"\n.\r",
    b".\n.",
    b"\n\n.\n\n",
    b"x\r.\r\nx",
]


def stored(offset: int = 0, opening: bytes = b"") -> Letter:
    return Letter("L1", None, (), 0.0, 0, 0, offset, False, 0, opening=opening)


def poured(content: bytes, offset: int = 0, opening: bytes = b"") -> list[bytes]:
    return list(wire_pieces(io.BytesIO(content), stored(offset, opening), False))


def as_line_ends(content: bytes) -> bytes:
    """As the other side will store it."""
    text = content.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    return text if not text or text.endswith(b"\n") else text + b"\n"


def check(content: bytes, pieces: list[bytes]) -> None:
    wire = b"".join(pieces)
    assert wire.count(b"\r") == wire.count(b"\n") == wire.count(b"\r\n")
    assert (b"\r\n" + wire).index(END) == len(wire) + 2 - len(END)
    decoded = DotDecoder().feed(wire)
    assert decoded.rest == b""
    assert decoded.content == as_line_ends(content)


@pytest.mark.parametrize("seam", SEAMS, ids=repr)
def test_edges_of_blocks(seam: bytes) -> None:
    """Each place of the seam comes to lie on the edge, in the first and in the second one."""
    for shift in range(len(seam) + 1):
        for blocks in (1, 2):
            before = b"x" * (blocks * BLOCK - shift)
            content = before + seam + b"x" * 10
            check(content, poured(content))


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
@pytest.mark.parametrize("end", [b"\n", b".", b"\r", b"\n."], ids=repr)
def test_sizes_around_a_block(size: int, end: bytes) -> None:
    content = (b"x" * size + end)[-size:] if size else b""
    check(content, poured(content))


LETTERS = st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b".", b"..", b"x", b"\n.\n", b"\0"])).map(b"".join)


@settings(max_examples=300)
@given(LETTERS, st.integers(1, 5), st.integers(0, 3))
def test_any_blocks(content: bytes, block: int, offset: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parcel, "BLOCK", block)
        check(content[offset:], poured(content, offset))


def test_short_letter_is_one_piece() -> None:
    """So it is one write."""
    assert poured(b"Received: x\n.hello\n", 12) == [b"..hello\r\n.\r\n"]


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_fields_before_the_message(size: int) -> None:
    opening, content = b".To: somebody\n", b"." * size
    pieces = poured(content, opening=opening)
    check(opening + content, pieces)
    assert len(pieces) == 1 + size // BLOCK


def test_empty() -> None:
    assert list(wire_pieces(io.BytesIO(b"hello\n"), stored(), True)) == [b".\r\n"]
