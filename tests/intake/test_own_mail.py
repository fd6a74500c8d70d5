"""XDROP, event by event; whole dialogues are in tests/dialogues/smtp."""

from __future__ import annotations

import pytest
from attrs import evolve

from mailstack.intake.own_mail import NONE
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_events import TakeBack
from tests.fakes import at_once
from tests.intake.office import Office
from tests.intake.test_submission import logged_in, send


@pytest.mark.parametrize("state", ["sent", "bounced", "dropped"])
def test_what_ends_while_it_is_listed_is_not_listed(state: str) -> None:
    office = Office()
    alice = logged_in(office)
    send(alice, b"\n")
    (entry,) = at_once(office.own_mail.waiting(office.letters[0].account, 9))  # type: ignore[arg-type]
    ended = evolve(entry, recipients=tuple(evolve(each, state=state) for each in entry.recipients))
    for entries, reply in (([entry], None), ([ended], NONE)):

        async def waiting(*_: object, found: object = entries) -> object:
            return found

        office.own_mail.waiting = waiting  # type: ignore[assignment]
        said = at_once(alice.decide(TakeBack()))
        assert isinstance(said, Reply) and (said == reply if reply else entry.id in said.text)
