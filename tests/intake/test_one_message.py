"""Whatever stands in a message, it is one message, and nothing in it is a command."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailstack.protocol.smtp_events import Body
from mailstack.protocol.smtp_server import SmtpServer
from tests.cuts import at
from tests.fakes import at_once
from tests.intake.office import Office

ENVELOPE = b"EHLO client.test\r\nMAIL FROM:<friend@far.test>\r\nRCPT TO:<alice@office.test>\r\nDATA\r\n"
SMUGGLED = b"MAIL FROM:<boss@office.test>\r\nRCPT TO:<bob@office.test>\r\nDATA\r\nSubject: fake\r\n"
END = b"\r\n.\r\n"

#: Octets of which fake ends are made, and commands behind them.
PARTS = st.sampled_from(
    [b"\r", b"\n", b".", b"\r\n", b"\0", b" ", b"\t", b"\x0b", b"\x85", b"..", SMUGGLED, b"RSET\r\n"]
)
MESSAGES = st.lists(PARTS | st.binary(max_size=6), max_size=20).map(b"".join)


def without_end(message: bytes) -> bytes:
    """The same without anything that truly ends it."""
    # The CRLF behind DATA counts too.
    whole = b"\r\n" + message + END
    while (found := whole.find(END)) < len(whole) - len(END):
        whole = whole[:found] + whole[found + len(END) - 2 :]
    return whole[2:]


def play(octets: bytes, places: Sequence[int]) -> tuple[Office, list[bytes]]:
    """All replies."""
    office = Office()
    session, reception = SmtpServer(), office.reception()
    replies = []
    for piece in at(octets, places):
        session.receive(piece)
        while event := session.next_event():
            if isinstance(event, Body):
                reception.body(event.chunk, event.lines)
            else:
                replies.append(session.answer(at_once(reception.decide(event))))
    return office, replies


@settings(max_examples=500, deadline=None)
@given(MESSAGES, st.lists(st.integers(0, 400), max_size=8))
@example(b"x\n.\n" + SMUGGLED, [])
@example(b"x\r.\r" + SMUGGLED, [])
@example(b"x\n.\r\n" + SMUGGLED, [])
@example(b"x\r\n.\n" + SMUGGLED, [])
@example(b"x\r\n.\r\r\n" + SMUGGLED, [])
@example(b"x\r\n\0.\r\n" + SMUGGLED, [])
def test_a_message_is_one_message(message: bytes, places: list[int]) -> None:
    octets = without_end(message)
    office, replies = play(ENVELOPE + octets + b"QUIT\r\n", places)
    codes = [reply[:3] for reply in replies]
    assert codes in ([b"250", b"250", b"250", b"354", last, b"221"] for last in (b"250", b"550"))
    assert len(office.letters) == (codes[4] == b"250")
    for letter in office.letters:
        assert [str(each.address) for each in letter.recipients] == ["alice@office.test"]
    if re.search(rb"(?<!\r)\n|\r(?!\n)", octets):
        assert codes[4] == b"550", "a bare CR or LF was taken"


@settings(max_examples=300, deadline=None)
@given(MESSAGES, st.lists(st.integers(0, 400), max_size=4), st.lists(st.integers(0, 400), max_size=8))
def test_the_cut_changes_nothing(message: bytes, one: list[int], other: list[int]) -> None:
    octets = ENVELOPE + without_end(message) + SMUGGLED
    first, second = play(octets, one), play(octets, other)
    assert first[1] == second[1]
    assert first[0].contents == second[0].contents
