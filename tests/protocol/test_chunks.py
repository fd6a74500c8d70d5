"""Counted chunks: what is stored is what DATA would have stored, wherever the chunks and the segments are cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.protocol.chunks import ChunkDecoder
from mailstack.protocol.dots import DotDecoder, DotEncoder
from mailstack.protocol.smtp_events import Body, BodyEnd, ChunkEnd, Event, Rejected
from tests import cuts
from tests.intake.test_one_message import play
from tests.protocol.test_smtp_server import OK, State, events, in_state


def decode(pieces: list[bytes]) -> tuple[bytes, bool]:
    decoder = ChunkDecoder()
    content = b"".join(map(decoder.feed, pieces)) + decoder.finish()
    return content, decoder.stray


@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b"", b""),
        (b"\r\n", b"\n"),
        (b"a\r\n", b"a\n"),
        (b"a", b"a\n"),
        (b".\r\n..\r\n.x", b".\n..\n.x\n"),
        (b"\r\n.\r\nQUIT\r\n", b"\n.\nQUIT\n"),
        (b"NUL \x00 and \xff\r\n", b"NUL \x00 and \xff\n"),
    ],
)
def test_every_split(wire: bytes, content: bytes) -> None:
    """A CRLF may be cut; a last line without its end gets one."""
    for pieces in cuts.everywhere(wire) if wire else [[]]:
        assert decode(pieces) == (content, False)


@pytest.mark.parametrize("wire", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\n", b"\n", b"\r", b"a\r\n\n", b"a\n\r"])
def test_bare_ends_are_noted(wire: bytes) -> None:
    for pieces in cuts.everywhere(wire):
        assert decode(pieces)[1]


@settings(max_examples=300)
@given(cuts.anywhere(st.lists(st.binary(max_size=9), max_size=9).map(b"\r\n".join)))
def test_the_same_as_data(pieces: list[bytes]) -> None:
    """Octets and verdict."""
    wire = b"".join(pieces)
    if wire and not wire.endswith(b"\r\n"):
        wire += b"\r\n"
    dots = DotDecoder()
    stuffed = wire.replace(b"\r\n.", b"\r\n..")
    decoded = dots.feed((b"." if wire.startswith(b".") else b"") + stuffed + b".\r\n")
    content, stray = decode(pieces)
    assert stray == dots.stray
    if not stray:
        assert content == decoded.content
        encoder = DotEncoder()
        assert DotDecoder().feed(encoder.encode(content) + encoder.finish()).content == content


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=12) | st.just(b"\r\n.\r\nMAIL FROM:<evil@far.test>\r\n"), max_size=6), st.data())
def test_chunks_are_one_message(chunks: list[bytes], data: st.DataObject) -> None:
    """Whatever stands in them, nothing is a command, and the segments make no difference."""
    envelope = b"EHLO client.test\r\nMAIL FROM:<friend@far.test>\r\nRCPT TO:<alice@office.test>\r\n"
    sent = b"".join(b"BDAT %d\r\n%s" % (len(chunk), chunk) for chunk in chunks) + b"BDAT 0 LAST\r\n"
    octets = envelope + sent + b"QUIT\r\n"
    office, replies = play(octets, data.draw(st.lists(st.integers(0, len(octets)), max_size=8)))
    codes = [reply[:3] for reply in replies if reply]
    assert codes[:3] == [b"250"] * 3
    assert codes[3 : 3 + len(chunks)] == [b"250"] * len(chunks)
    assert codes[3 + len(chunks) :] in ([b"250", b"221"], [b"550", b"221"])
    assert len(office.letters) == (codes[-2] == b"250")


def test_nothing_is_asked_before_the_octets_are_here() -> None:
    server = in_state(State.RECIPIENTS)
    server.receive(b"BDAT 4\r\nab")
    found: list[Event] = list(events(server))
    assert found[1:] == [Body(b"ab", 0)]
    assert server.receiving
    server.receive(b"cdBDAT 3 LAST\r\nxy")
    found = list(events(server))
    assert found[:2] == [Body(b"cd", 0), ChunkEnd(4)]
    server.receive(b"zNOOP\r\n")
    assert list(events(server))[:2] == [Body(b"z\n", 1), BodyEnd(stray=False)]
    assert not server.receiving


def test_octets_of_a_refused_chunk_are_dropped() -> None:
    """As they come: a large one costs no memory, and is answered at its end."""
    server = in_state(State.READY)
    server.receive(b"BDAT 99999999999999999999\r\n")
    for _ in range(100):
        server.receive(b"x" * 65536)
        assert server.next_event() is None
        assert not len(server._lines)
    assert server.receiving
    server = in_state(State.READY)
    server.receive(b"BDAT 6\r\nQUIT\r")
    assert server.next_event() is None
    server.receive(b"\nNOOP\r\n")
    event = server.next_event()
    assert isinstance(event, Rejected)
    assert server.answer(event.reply).startswith(b"503 5.5.1 ")
    assert server.next_event() is not None


@pytest.mark.parametrize(
    "line",
    [
        b"BDAT",
        b"BDAT LAST",
        b"BDAT -1",
        b"BDAT +1",
        b"BDAT 0x10",
        b"BDAT 1.5",
        b"BDAT 1 FIRST",
        b"BDAT 1 LAST LAST",
        b"BDAT 1,LAST",
        b"BDAT 000000000000000000001",
        b"BDAT\t1",
        b"BDAT 1\xb2",
        b"bdat1",
        b"BDAT 1" + b" " * 3000,
        b"BDAT 1\nNOOP",
        b"BDAT 1\rNOOP",
    ],
)
@pytest.mark.parametrize("state", [State.GREET, State.RECIPIENTS, State.CHUNKS])
def test_nobody_knows_how_many_octets_to_skip(line: bytes, state: State) -> None:
    """The line gets its answer, and then the session ends: nothing behind it is looked at."""
    server = in_state(state)
    server.receive(line + b"\r\nMAIL FROM:<>\r\n")
    event = server.next_event()
    assert isinstance(event, Rejected)
    assert event.reply.code in (500, 501)
    server.answer(event.reply)
    assert not server.closing
    event = server.next_event()
    assert event is not None
    assert server.answer(event.reply if hasattr(event, "reply") else OK).startswith(b"421 4.7.0 ")
    assert server.closing
    assert server.next_event() is None
