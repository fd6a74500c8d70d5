"""One session's view of a mailbox: what is told agrees to the octet with what is sent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mailstack.maildir.mailboxes import Mailboxes
from mailstack.protocol.pop3_body import multiline
from mailstack.protocol.pop3_events import Delete, Event, List, Reset, Retrieve, Stat, Top, Uidl
from mailstack.server import maildrop
from mailstack.server.maildrop import Maildrop
from tests.maildir.memory import MemoryMailboxes
from tests.server.pop3_office import ALICE

PARTS = [b"\n", b"\r\n", b"\r", b"\n\n", b".", b"..", b"x", b"\0", b"a: b\n", b"y" * 3000]
LETTERS = st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join)


def sent(drop: Maildrop, event: Event) -> tuple[str, bytes]:
    """The line, and what follows on the wire, unstuffed and without its end."""
    response = drop.answer(event)
    assert response.positive, response
    body = b"" if response.body is None else b"".join(multiline(response.body))
    assert not body or body.endswith(b".\r\n")
    return response.line().decode().removeprefix("+OK").strip(), (b"\n" + body[:-3]).replace(b"\n..", b"\n.")[1:]


@given(st.lists(LETTERS, min_size=1, max_size=4), st.sampled_from(["", ",S=1", ",W=1", ",S=5,W=9"]))
@example([b"", b"\n", b"only: a header", b"no end\n\nof line", b"\0" * 5000, b"\r" * 2000, b"l" * 1_000_000], "")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sizes_agree_with_the_wire(
    tmp_path_factory: pytest.TempPathFactory, letters: Sequence[bytes], measures: str
) -> None:
    """STAT, LIST and RETR, whatever the letter; also where its name lies, from the second session on, and the answer to
    RETR from the first."""
    new = tmp_path_factory.mktemp("box") / "alice/new"
    new.mkdir(parents=True)
    for number, letter in enumerate(letters):
        path = new / f"{1_700_000_000 + number}.M{number}.host{measures}"
        path.write_bytes(letter)
        os.utime(path, (0, 0))
    mailboxes = Mailboxes(new.parent.parent, lambda account: "alice")
    lies = ",W=" in measures
    for session in range(2):
        drop = Maildrop(mailboxes.open(ALICE))
        wire = [sent(drop, Retrieve(number)) for number in range(1, len(letters) + 1)]
        octets = [len(content) for _, content in wire]
        for letter, (text, content) in zip(letters, wire, strict=True):
            assert len(letter) >= maildrop.PIECE or text == f"{len(content)} octets"
        if session or not lies:
            assert [text for text, _ in wire] == [f"{size} octets" for size in octets]
            assert sent(drop, Stat())[0] == f"{len(letters)} {sum(octets)}"
            assert sent(drop, List(None))[1] == b"".join(b"%d %d\r\n" % line for line in enumerate(octets, 1))
        assert str(drop.retrieved) == f"{len(letters)}/{sum(octets)}"
        assert drop.fetched == set(range(len(letters)))
        drop.close()


def test_letter_that_is_cut_off_counts_as_far_as_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with the line end that would have come at its end."""
    monkeypatch.setattr(maildrop, "PIECE", 4)
    mailboxes = MemoryMailboxes()
    mailboxes.add(ALICE, b"a\nbcdefg")
    drop = Maildrop(mailboxes.open(ALICE))
    response = drop.answer(Retrieve(1))
    assert response.body is not None
    pieces = iter(response.body)
    assert next(pieces) == b"a\nbc"
    assert str(drop.retrieved) == "1/5"
    assert b"".join(pieces) == b"defg"
    assert str(drop.retrieved) == "1/11"


@pytest.fixture
def drop(monkeypatch: pytest.MonkeyPatch) -> Maildrop:
    mailboxes = MemoryMailboxes()
    mailboxes.add(ALICE, b"a: 1\n\none\n", b"a: 2\n\ntwo", b"a: 3\n\nthree\n")
    return Maildrop(mailboxes.open(ALICE))


def test_marked_messages_are_in_no_list(drop: Maildrop) -> None:
    """The numbers of the others stay."""
    assert sent(drop, List(None)) == ("3 messages (41 octets)", b"1 13\r\n2 13\r\n3 15\r\n")
    sent(drop, Delete(2))
    assert sent(drop, List(None)) == ("2 messages (28 octets)", b"1 13\r\n3 15\r\n")
    assert sent(drop, Uidl(None))[1] == b"1 uid-1\r\n3 uid-3\r\n"
    assert sent(drop, Stat())[0] == "2 28"
    sent(drop, Delete(1))
    sent(drop, Delete(3))
    assert sent(drop, List(None)) == ("0 messages (0 octets)", b"")
    sent(drop, Reset())
    assert sent(drop, Uidl(None))[1] == b"1 uid-1\r\n2 uid-2\r\n3 uid-3\r\n"


@pytest.mark.parametrize("piece", [1, 2, 5, 1000])
def test_top_counts_what_it_sends(drop: Maildrop, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    """However the letter is read; and it is not fetched by that."""
    monkeypatch.setattr(maildrop, "PIECE", piece)
    assert sent(drop, Top(2, 0))[1] == b"a: 2\r\n\r\n"
    assert sent(drop, Top(2, 9))[1] == b"a: 2\r\n\r\ntwo\r\n"
    assert str(drop.topped) == "2/21"
    assert drop.fetched == set()


@pytest.mark.parametrize("piece", [1, 2, 5, 10, 1000])
def test_letter_of_many_pieces_is_whole(drop: Maildrop, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(maildrop, "PIECE", piece)
    assert sent(drop, Retrieve(1)) == ("13 octets", b"a: 1\r\n\r\none\r\n")
    assert str(drop.retrieved) == "1/13"
    assert drop.fetched == {0}


def test_letter_that_was_not_sent_to_its_end_is_not_fetched(drop: Maildrop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maildrop, "PIECE", 4)
    body = drop.answer(Retrieve(1)).body
    assert body is not None
    next(iter(body))
    drop.close()
    assert drop.fetched == set()


def test_open_letters_are_closed(tmp_path: Path) -> None:
    """Small ones at once, others at their end, at the next one, or with the session."""
    new = tmp_path / "alice/new"
    new.mkdir(parents=True)
    for number in (1, 2):
        (new / f"{number}.large").write_bytes(b"x" * (3 * maildrop.PIECE))
    (new / "3.small").write_bytes(b"x\n")
    drop = Maildrop(Mailboxes(tmp_path, lambda account: "alice").open(ALICE))
    before = _open_files()
    drop.answer(Retrieve(3))
    assert _open_files() == before
    drop.answer(Retrieve(1))
    drop.answer(Retrieve(2))
    assert _open_files() == before + 1
    drop.close()
    assert _open_files() == before


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
