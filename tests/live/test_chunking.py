"""BDAT on the running server. None of the usual clients speaks it (curl, swaks, msmtp, s-nail and Postfix do not; Exim
and Exchange do), so what is compared is the file that DATA makes of the same letter."""

from __future__ import annotations

from tests.live.letters import LARGE
from tests.live.office import Office
from tests.live.wire import Wire


def content(office: Office, number: int) -> bytes:
    """Of the newest letter, from its own first field on."""
    newest = max(office.wait_for_files("alice", number), key=lambda path: path.stat().st_mtime_ns)
    return newest.read_bytes().partition(b"Subject:")[2]


def chunks(letter: bytes, size: int) -> bytes:
    pieces = [letter[place : place + size] for place in range(0, len(letter), size)]
    return b"".join(b"BDAT %d\r\n%s" % (len(piece), piece) for piece in pieces) + b"BDAT 0 LAST\r\n"


def test_the_same_letter_by_both_ways(office: Office) -> None:
    """All chunks in one go, as PIPELINING allows; a large letter, so that it does not stay in memory."""
    before = len(office.files("alice"))
    with Wire(office.port.smtp) as wire:
        wire.envelope("friend@far.test", "alice@office.test")
        wire.send(LARGE.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert wire.reply().startswith("250 2.0.0 Ok: queued as ")
        expected = content(office, before + 1)
        assert "CHUNKING" in wire.ask(b"EHLO client.test")
        wire.ask(b"MAIL FROM:<friend@far.test>")
        wire.ask(b"RCPT TO:<alice@office.test>")
        wire.send(chunks(LARGE, 65_537))
        replies = [wire.reply() for _ in range(len(LARGE) // 65_537 + 1)]
        assert all(reply.endswith(" octets received\r\n") for reply in replies)
        assert wire.reply().startswith("250 2.0.0 Ok: queued as ")
    assert content(office, before + 2) == expected
    assert expected.endswith(LARGE.partition(b"Subject:")[2].replace(b"\r\n", b"\n"))


def test_nothing_is_answered_before_its_octets_are_here(office: Office) -> None:
    with Wire(office.port.smtp) as wire:
        wire.send(b"BDAT 6\r\nQUIT")
        assert wire.silent(0.15)
        wire.send(b"\r\n")
        assert wire.reply().startswith("503 5.5.1 ")
        assert wire.ask(b"NOOP").startswith("250 ")
