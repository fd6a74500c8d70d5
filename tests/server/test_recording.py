"""What is kept of one session, and how much of it."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from mailstack.interfaces.sessions import Identity, IRecording, Said, Who
from mailstack.model.reply import Reply
from mailstack.model.transcript import Spoken, Transcript
from mailstack.server import session_file
from mailstack.server.recording import FIRST, LAST, MAX_LINE, NO_RECORDING, Recording

OK = Reply(250, "2.0.0", "Ok")
BYE = Reply(221, "2.0.0", "Bye")


class Watch:
    """A quarter of a second goes by between two looks at it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now - 0.25


def record(*said: Said, end: bool = True, who: Who = lambda: Identity("192.0.2.7")) -> Transcript:
    recording = Recording(7, 1e9, Watch(), "smtp", 25, who, lambda _: None)
    for each in said:
        recording.add(each)
    if end:
        recording.end()
    transcript = session_file.decode(session_file.encode(recording.copy().facts()))
    assert transcript is not None
    return transcript


def test_the_dialogue() -> None:
    transcript = record(b"EHLO a", Reply(250, "", "greets\nSIZE 9"), b"DATA", 1234, Reply(451, "4.3.0", "No"))
    assert transcript.lines == (
        Spoken(250, "C", "EHLO a"),
        Spoken(500, "S", "250-greets"),
        Spoken(500, "S", "250 SIZE 9"),
        Spoken(750, "C", "DATA"),
        Spoken(1000, "C", "(message, 1,234 octets)"),
        Spoken(1250, "S", "451 4.3.0 No"),
        Spoken(1500, "-", "(end of the connection)"),
    )
    assert (transcript.id, transcript.began, transcript.seconds) == (7, 1e9, 1.5)
    assert (transcript.commands, transcript.refusals, transcript.protocol) == (3, ["451 4.3.0 No"], "ESMTP")


@pytest.mark.parametrize(
    ("last", "ended"),
    [
        (BYE, "QUIT"),
        (Reply(421, "4.4.2", "Silent"), "time-out"),
        (Reply(421, "4.3.2", "Stops"), "server stopped"),
        (Reply(421, "4.7.0", "Too many errors"), "421 4.7.0"),
        (Reply(554, "5.5.1", "Too early"), "554 5.5.1"),
        (Reply(550, "5.1.1", "No"), "lost"),
        (OK, "lost"),
        (b"MAIL", "lost"),
    ],
)
def test_how_it_ended(last: Said, ended: str) -> None:
    assert record(b"NOOP", last).ended == ended


def test_open() -> None:
    transcript = record(b"NOOP", end=False)
    assert transcript.ended == ""
    assert transcript.seconds > 0


def test_lost_before_a_word() -> None:
    assert record().ended == "lost"


def test_queue_ids() -> None:
    """Only what the final reply to a message says."""
    queued = [Reply(250, "2.0.0", f"Ok: queued as ID{number}") for number in range(3)]
    assert record(b"DATA", 5, queued[0], b"NOOP", queued[1], b"DATA", 0, queued[2]).queue_ids == ("ID0", "ID2")


def test_many_lines() -> None:
    """The first and the last are kept; how many are missing is told where they would be."""
    transcript = record(*(b"NOOP %d" % number for number in range(1000)))
    texts = [line.text for line in transcript.lines]
    assert texts[:FIRST] == [f"NOOP {number}" for number in range(FIRST)]
    assert texts[FIRST] == f"({1001 - FIRST - LAST} lines are missing here)"
    assert texts[-2] == "NOOP 999"
    assert len(texts) == FIRST + LAST + 1


def test_as_many_lines_as_there_is_room_for() -> None:
    transcript = record(*[b"NOOP"] * (FIRST + LAST - 1))
    assert len(transcript.lines) == FIRST + LAST
    assert "missing" not in str(transcript.lines)


@pytest.mark.parametrize("said", [b"NOOP " + b"x" * 1000, Reply(250, "2.0.0", "x" * 1000)])
def test_long_lines(said: Said) -> None:
    text = record(said).lines[0].text
    assert len(text) == MAX_LINE
    assert text.endswith("x…")


def test_octets_that_are_no_text() -> None:
    assert record(b"\xff\x00\xe4\xb8\xad").lines[0].text == "\\xff\x00中"


def test_who_it_was() -> None:
    """As known at the end; while the session is open, as known now."""
    known = ["192.0.2.7", ""]
    recording = Recording(1, 0.0, Watch(), "submission", 587, lambda: Identity(known[0], known[1]), lambda _: None)
    assert recording.copy().facts()["user"] == ""
    known[:] = ["198.51.100.9", "alice@office.test"]
    recording.secured("TLSv1.3")
    recording.end()
    known.clear()
    facts = recording.copy().facts()
    assert (facts["client"], facts["user"], facts["tls"]) == ("198.51.100.9", "alice@office.test", "TLSv1.3")


def test_one_end() -> None:
    ends: list[Recording] = []
    recording = Recording(1, 0.0, Watch(), "smtp", 25, lambda: Identity(""), ends.append)
    recording.end()
    recording.end()
    assert ends == [recording]


def test_providers() -> None:
    assert verifyObject(IRecording, Recording(1, 0.0, Watch(), "smtp", 25, lambda: Identity(""), lambda _: None))
    assert verifyObject(IRecording, NO_RECORDING)
    NO_RECORDING.add(b"x")
    NO_RECORDING.secured("TLS")
    NO_RECORDING.end()


@pytest.mark.parametrize("line", [b"", b"{", b"[]\n", b'{"id": 1}\n', b"\xff\n", b'{"id": 1, "lines": 3}'])
def test_what_is_none_of_ours(line: bytes) -> None:
    assert session_file.decode(line) is None
