"""Letters to the postmaster."""

from __future__ import annotations

import errno

import pytest

from mailstack.model.address import Address
from mailstack.queue.mailer import Mailer
from mailstack.queue.notices import Message, Notices
from mailstack.spool.memory import MemorySpool
from tests.fakes import ListLog, at_once
from tests.fakes_accounts import MemoryDirectory
from tests.message.meanings import VOICES

POSTMASTER = Address("alice", "office.test")


class Office:
    def __init__(self, account: str = "alice@office.test") -> None:
        self.spool, self.log = MemorySpool(), ListLog()
        self.woken: list[str] = []
        mailer = Mailer("mail.office.test", MemoryDirectory([account]), self.spool, lambda: "ID1")
        self.notices = Notices(
            mailer,
            self.spool,
            POSTMASTER,
            lambda: VOICES["en"],
            self.log,
            lambda: 1e9,
            lambda letter: self.woken.append(letter.id),
        )

    def send(self, message: Message) -> bool:
        return at_once(self.notices.send(message))


def test_notice_is_a_letter_like_any_other() -> None:
    """From the null sender, so that it never bounces."""
    office = Office()
    office.send(lambda id, voice: f"Subject: {id}\n\nhello\n".encode())
    (stored,) = office.spool.stored.values()
    assert stored.letter.sender is None
    assert [each.address for each in stored.letter.recipients] == [POSTMASTER]
    assert stored.content.startswith(b"Return-Path: <>\nDelivered-To: alice@office.test\nReceived: by mail.office.test")
    assert stored.content.endswith(b"Subject: ID1\n\nhello\n")
    assert office.woken == ["ID1"]
    assert "notice to the postmaster" in str(office.log.events)


def test_a_postmaster_who_leads_to_nobody_gets_no_letter() -> None:
    """A letter without recipients would stay for ever."""
    office = Office("bob@office.test")
    office.send(lambda id, voice: b"x: y\n\n")
    assert not office.spool.stored and not office.woken
    assert "nobody to write to: alice@office.test" in str(office.log.warnings)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), RuntimeError("a bug")])
def test_nobody_waits_for_it(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong stands in the log, and goes no further."""
    office = Office()

    def refuse(id: str) -> None:
        raise error

    monkeypatch.setattr(office.spool, "receive", refuse)
    assert office.send(lambda id, voice: b"x: y\n") is isinstance(error, RuntimeError), "a bug would come back"
    assert not office.woken
    assert len(office.log.warnings) == isinstance(error, OSError)
    assert len(office.log.failures) == isinstance(error, RuntimeError)
