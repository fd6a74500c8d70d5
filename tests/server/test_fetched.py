"""Which letters a session was about: lines of the log that stay short."""

from __future__ import annotations

from zope.interface import implementer

from mailstack.interfaces.mailboxes import IMailbox
from mailstack.protocol import pop3_events as events
from mailstack.server.fetched import IDS_A_LINE, letter_lines, said


@implementer(IMailbox)
class Box:
    """Every third letter has come another way."""

    def letter_id(self, index: int) -> str | None:
        return None if index % 3 == 2 else f"ID{index}"


def test_lines_are_short() -> None:
    lines = list(letter_lines(Box(), range(300)))
    ids = [str(line["ids"]).split() for line in lines[:-1]]
    assert [len(each) for each in ids] == [IDS_A_LINE] * 4
    assert [id for each in ids for id in each] == [f"ID{index}" for index in range(300) if index % 3 != 2]
    assert lines[-1] == {"others": 100}


def test_nothing_to_tell() -> None:
    assert list(letter_lines(Box(), ())) == []
    assert list(letter_lines(Box(), [2])) == [{"others": 1}]


def test_what_a_program_said() -> None:
    """Without what says nothing about it, such as a wrong command."""
    kinds = [events.Login, events.Uidl, events.Settled, events.Retrieve, events.Quit]
    assert said(kinds) == "UIDL RETR QUIT"
