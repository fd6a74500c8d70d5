"""Message data on the wire and in storage: only CRLF.CRLF ends it, and nothing is lost or added."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.protocol.dots import END, DotDecoder, DotEncoder
from tests import cuts

#: Shared with the tests that try them on the running server.
SEQUENCES = Path(__file__).parent.parent / "live" / "data" / "end_of_data.json"
FAKE_ENDS = [text.encode() for text in json.loads(SEQUENCES.read_text())["sequences"]]


def decode(pieces: list[bytes]) -> tuple[bytes, bytes | None, bool]:
    """The content, what came after its end (None: it has not ended), and whether there was a stray CR or LF."""
    decoder, content = DotDecoder(), io.BytesIO()
    for number, piece in enumerate(pieces):
        decoded = decoder.feed(piece)
        content.write(decoded.content)
        assert decoder.stray or decoded.lines == decoded.content.count(b"\n")
        if decoded.rest is not None:
            return content.getvalue(), decoded.rest + b"".join(pieces[number + 1 :]), decoder.stray
    return content.getvalue(), None, decoder.stray


def encode(pieces: list[bytes]) -> bytes:
    encoder = DotEncoder()
    return b"".join(map(encoder.encode, pieces)) + encoder.finish()


@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\n"),
        (b"a\r\n.\r\n", b"a\n"),
        (b"..\r\n.\r\n", b".\n"),
        (b"...\r\n..x\r\nx.\r\n\r\n..\r\n.\r\n", b"..\n.x\nx.\n\n.\n"),
        (b"\r\n\r\n\r\n.\r\n", b"\n\n\n"),
        (b"NUL \x00 and \xff\r\n.\r\n", b"NUL \x00 and \xff\n"),
    ],
)
def test_both_ways_at_every_split(wire: bytes, content: bytes) -> None:
    for pieces in cuts.everywhere(wire + b"QUIT\r\n"):
        assert decode(pieces) == (content, b"QUIT\r\n", False)
    for pieces in cuts.everywhere(content):
        assert encode(pieces) == wire


@pytest.mark.parametrize("wire", [b".x\r\n.\r\n", b"a\r\n.x\r\n.\r\n", b". \r\n.\r\n"])
def test_dot_that_was_not_doubled_goes_too(wire: bytes) -> None:
    """RFC 5321 §4.5.2: the first character of the line is deleted, whatever follows."""
    for pieces in cuts.everywhere(wire):
        content, rest, stray = decode(pieces)
        assert (content, rest, stray) == (wire[:-5].replace(b".", b"").replace(b"\r\n", b"\n") + b"\n", b"", False)


@pytest.mark.parametrize("fake", FAKE_ENDS, ids=repr)
def test_fake_ends_do_not_end(fake: bytes) -> None:
    """Nor is anything taken from them; the message is marked where it holds a bare CR or LF."""
    smuggled = b"MAIL FROM:<evil@far.test>\r\nRCPT TO:<victim@far.test>\r\nDATA\r\nx"
    inside = b"x: 1\r\n\r\nbody" + fake + smuggled
    lone = inside.replace(b"\r\n", b"")
    for pieces in cuts.everywhere(inside):
        content, rest, _ = decode(pieces)
        assert rest is None
    for pieces in cuts.everywhere(inside + END + b"QUIT\r\n"):
        content, rest, stray = decode(pieces)
        assert rest == b"QUIT\r\n"
        assert stray == (b"\r" in lone or b"\n" in lone)
        assert smuggled.replace(b"\r\n", b"\n") in content


@pytest.mark.parametrize("fake", FAKE_ENDS, ids=repr)
def test_fake_ends_are_no_ends_when_they_come_first(fake: bytes) -> None:
    """The CRLF after DATA counts as a line end, but for the real dot alone."""
    for pieces in cuts.everywhere(fake.removeprefix(b"\r\n") + b"x"):
        assert decode(pieces)[1] is None


LINES = st.lists(st.text("a.\x00 ü", max_size=4), max_size=8)


@settings(max_examples=200)
@given(LINES, st.data())
def test_round_trip(lines: list[str], data: st.DataObject) -> None:
    """Wire, file, wire: the same octets, however the stream and the file are cut."""
    content = "".join(f"{line}\n" for line in lines).encode()
    wire = encode([content])
    decoded, rest, stray = decode(data.draw(cuts.anywhere(st.just(wire))))
    assert (decoded, rest, stray) == (content, b"", False)
    assert encode(data.draw(cuts.anywhere(st.just(content)))) == wire
    assert wire.count(END) == 1 or wire == b".\r\n"


@settings(max_examples=300)
@given(cuts.anywhere(st.text("a.\r\n", max_size=30).map(str.encode)))
def test_cuts_make_no_difference(pieces: list[bytes]) -> None:
    """For anything at all, strict or not."""
    assert decode(pieces) == decode([b"".join(pieces)])


@settings(max_examples=300)
@given(cuts.anywhere(st.text("a.\r\n", max_size=30).map(str.encode)))
def test_encoded_data_ends_once(pieces: list[bytes]) -> None:
    """Whatever a file holds, what we send can't be ended from inside, and each LF has its CR."""
    wire = encode(pieces)
    assert wire == encode([b"".join(pieces)])
    assert (b"\r\n" + wire).index(END) == len(wire) + 2 - len(END)
    assert wire.count(b"\n") == wire.count(b"\r\n")
    assert wire.count(b"\r") == wire.count(b"\r\n")


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"a\rb\n", b"a b\r\n.\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a\r\r\n", b"a \r\n.\r\n"),
        (b"a\n\r.\n", b"a\r\n .\r\n.\r\n"),
        (b"\r", b" \r\n.\r\n"),
        (b"a\n.\r", b"a\r\n.. \r\n.\r\n"),
        (b"a\n.\r\nb", b"a\r\n..\r\nb\r\n.\r\n"),
    ],
)
def test_stray_cr_is_a_blank(content: bytes, wire: bytes) -> None:
    """It could be the first half of a line end for somebody else, and so of an end of data."""
    for pieces in cuts.everywhere(content):
        assert encode(pieces) == wire
