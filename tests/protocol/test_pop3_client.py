"""The POP3 client without I/O: answers in the order of the commands, letters in pieces of any size."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.protocol.dots import DotEncoder
from mailstack.protocol.pop3_client import MAX_LINE, Answer, Complete, Event, Garbled, Piece, Pop3Client, Row, Shape
from mailstack.protocol.pop3_multiline import MultilineDecoder
from tests import cuts

OK = Answer(True, "")


def events(client: Pop3Client, pieces: Iterable[bytes]) -> list[Event]:
    """Octets of one letter that come in several pieces are put together."""
    found: list[Event] = []
    for piece in pieces:
        client.receive(piece)
        while (event := client.next_event()) is not None:
            if isinstance(event, Piece) and found and isinstance(last := found[-1], Piece):
                event = Piece(last.octets + event.octets)
                found.pop()
            found.append(event)
            if isinstance(event, Garbled):
                return found
    return found


def greeted() -> Pop3Client:
    client = Pop3Client()
    assert events(client, [b"+OK ready\r\n"]) == [Answer(True, "ready")]
    return client


def stuffed(content: bytes) -> bytes:
    """As RFC 1939 §3 says, whatever the octets are; the last line has its CRLF."""
    lines = content.split(b"\r\n")[:-1]
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"


CONTENTS = st.lists(st.sampled_from([b".", b"\r\n", b"\r", b"\n", b"a", b"..", b"\0"]), max_size=12).map(
    lambda parts: b"".join(parts) + b"\r\n"
)


@given(CONTENTS, st.data())
def test_a_letter_comes_out_octet_for_octet(content: bytes, data: st.DataObject) -> None:
    """However it is cut, and with the next answer behind it."""
    wire = stuffed(content) + b"+OK next"
    pieces = cuts.at(wire, data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    decoder, got, rest = MultilineDecoder(), b"", None
    for piece in pieces:
        if rest is not None:
            rest += piece
            continue
        content_of_piece, rest = decoder.feed(piece)
        got += content_of_piece
    assert (got, rest) == (content, b"+OK next")


@given(st.lists(st.sampled_from([b".", b"\n", b"a", b".."]), max_size=10).map(b"".join))
def test_it_undoes_what_our_server_does(stored: bytes) -> None:
    encoder = DotEncoder()
    wire = encoder.encode(stored) + encoder.finish()
    content = stored if stored.endswith(b"\n") or not stored else stored + b"\n"
    assert MultilineDecoder().feed(wire)[0] == content.replace(b"\n", b"\r\n")


def test_an_empty_letter() -> None:
    for pieces in cuts.everywhere(b"+OK\r\n.\r\n"):
        client = greeted()
        client.say(b"RETR 1", Shape.LETTER)
        assert events(client, pieces) == [OK, Complete()]


def test_pipelined() -> None:
    """Answers and bodies belong to the commands in their order."""
    wire = b"+OK\r\nSubject: x\r\n\r\n..\r\n.\r\n-ERR [SYS/TEMP] no\r\n+OK 2\r\n1 a\r\n2 b\r\n.\r\n+OK bye\r\n"
    for pieces in cuts.everywhere(wire):
        client = greeted()
        client.say(b"RETR 1", Shape.LETTER)
        client.say(b"RETR 2", Shape.LETTER)
        client.say(b"UIDL", Shape.LIST)
        assert client.say(b"QUIT") == b"QUIT\r\n"
        assert client.owed == 4
        assert events(client, pieces) == [
            OK,
            Piece(b"Subject: x\r\n\r\n.\r\n"),
            Complete(),
            Answer(False, "no", "SYS/TEMP"),
            Answer(True, "2"),
            Row(b"1 a"),
            Row(b"2 b"),
            Complete(),
            Answer(True, "bye"),
        ]
        assert client.owed == 0


def test_only_the_true_end_ends_a_letter() -> None:
    """A dot between bare LFs is content: others would go on with what follows as with answers."""
    client = greeted()
    client.say(b"RETR 1", Shape.LETTER)
    content = b"a\n.\nb\n.\r\nc\r\n"
    assert events(client, [b"+OK\r\n" + content, b".\r\n"]) == [OK, Piece(content), Complete()]


def test_lines_of_a_letter_may_be_long() -> None:
    client = greeted()
    client.say(b"RETR 1", Shape.LETTER)
    line = b"x" * 10_000_000
    pieces = [b"+OK\r\n", *cuts.at(line, range(0, len(line), 65_536)), b"\r\n.\r\n"]
    assert events(client, pieces) == [OK, Piece(line + b"\r\n"), Complete()]


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"+OK", OK),
        (b"+ok lower", Answer(True, "lower")),
        (b"-ERR", Answer(False, "")),
        (b"-ERR  spaced ", Answer(False, "spaced")),
        (b"-ERR [in-use] locked", Answer(False, "locked", "IN-USE")),
        (b"-ERR [not a code] x", Answer(False, "[not a code] x")),
        (b"+OK \x1b[31mred\xff", Answer(True, "?[31mred\ufffd")),
        (b"+ cGxlYXNl", Answer(True, "", challenge=b"cGxlYXNl")),
        (b"+", Answer(True, "", challenge=b"")),
        (b"+ ", Answer(True, "", challenge=b"")),
    ],
)
def test_status_lines(said: bytes, answer: Answer) -> None:
    client = greeted()
    client.say(b"NOOP")
    assert events(client, [said + b"\r\n"]) == [answer]


@pytest.mark.parametrize("said", [b"OK", b"+OKAY", b"220 hello", b"", b"* OK IMAP"])
def test_what_is_no_answer(said: bytes) -> None:
    client = greeted()
    client.say(b"NOOP")
    (event,) = events(client, [said + b"\r\n"])
    assert isinstance(event, Garbled)


def test_nobody_speaks_unasked() -> None:
    (event,) = events(greeted(), [b"+OK by the way\r\n"])
    assert event == Garbled("the server speaks without being asked: +OK by the way")


@pytest.mark.parametrize("shape", [Shape.LINE, Shape.LIST])
def test_lines_without_end_are_given_up(shape: Shape) -> None:
    """Whether their ends come or not, and in bounded memory."""
    for end in (b"", b"\r\n"):
        client = greeted()
        client.say(b"CAPA", shape)
        found = events(client, [b"+OK\r\n" if shape is Shape.LIST else b"", *[b"x" * 1000] * 10, end])
        assert found[-1] == Garbled(f"a line of more than {MAX_LINE} octets where an answer was due")


@pytest.mark.parametrize("line", [b"USER a\r\nPASS b", b"USER a\nPASS b", b"USER \0"])
def test_a_command_is_one_line(line: bytes) -> None:
    with pytest.raises(ValueError, match="one line"):
        greeted().say(line)


def test_what_came_before_tls_is_seen() -> None:
    client = greeted()
    client.say(b"STLS")
    assert events(client, [b"+OK go\r\n"]) == [Answer(True, "go")]
    assert not client.pending
    client.receive(b"+OK injected")
    assert client.pending
