"""Only CR LF . CR LF ends the data: what others might take for it smuggles no second letter in (RFC 5321 §4.1.1.4)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.live.office import Office
from tests.live.sink import Sink
from tests.live.waiting import eventually
from tests.live.wire import Wire

DATA = Path(__file__).parent / "data/end_of_data.json"
FAKES = [text.encode() for text in json.loads(DATA.read_text())["sequences"]]
SMUGGLED = b"MAIL FROM:<thief@far.test>\r\nRCPT TO:<bob@office.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nboo"

MOMENT = 0.15  # seconds in which a wrong answer would have come


def stray(octets: bytes) -> bool:
    rest = octets.replace(b"\r\n", b"")
    return b"\r" in rest or b"\n" in rest


@pytest.mark.parametrize("fake", FAKES, ids=[repr(fake)[2:-1] for fake in FAKES])
def test_fake_end_of_data(office: Office, sink: Sink, fake: bytes) -> None:
    """Nothing is answered before the true end. Bare CR and LF are refused there; other octets are content."""
    seen = len(office.files("alice"))
    content = b"Subject: fake\r\n\r\nbefore" + fake + SMUGGLED
    with Wire(office.port.submission) as wire:
        wire.login("alice")
        assert wire.envelope("alice@office.test", "alice@office.test", "x@away.test")[-1].startswith("354 ")
        wire.send(content)
        assert wire.silent(MOMENT)
        wire.send(b"\r\n.\r\n")
        reply = wire.reply()
        assert wire.ask(b"NOOP").startswith("250 ")
    if stray(content):
        assert reply.startswith("550 5.6.0 ")
        assert len(office.files("alice")) == seen
        assert sink.letters == []
    else:
        assert reply.startswith("250 2.0.0 ")
        unstuffed = (content + b"\r\n").replace(b"\r\n.", b"\r\n")
        assert eventually(lambda: sink.letters)
        assert sink.letters[0].content.endswith(unstuffed)
        stored = office.wait_for_files("alice", seen + 1)
        assert any(path.read_bytes().endswith(unstuffed.replace(b"\r\n", b"\n")) for path in stored)
    assert office.files("bob") == []


@pytest.mark.parametrize("fake", FAKES, ids=[repr(fake)[2:-1] for fake in FAKES])
def test_stranger_cannot_smuggle(office: Office, fake: bytes) -> None:
    """The same octet by octet, from the Internet."""
    seen = len(office.files("alice"))
    content = b"Subject: fake\r\n\r\nbefore" + fake + SMUGGLED + b"\r\n.\r\n"
    with Wire(office.port.smtp) as wire:
        wire.envelope("friend@far.test", "alice@office.test")
        for index in range(len(content)):
            wire.send(content[index : index + 1])
        assert wire.reply().startswith("550 5.6.0 " if stray(content) else "250 2.0.0 ")
        assert wire.silent(0)
        assert wire.ask(b"QUIT").startswith("221 ")
    assert len(office.wait_for_files("alice", seen + (not stray(content)))) == seen + (not stray(content))
    assert office.files("bob") == []
