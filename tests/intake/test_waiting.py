"""ETRN where the mail has another way; all else is in the dialogues."""

from __future__ import annotations

from attrs import evolve

from mailstack.config.settings import Route
from mailstack.protocol.smtp_events import Etrn, Hello
from tests.fakes import at_once
from tests.intake.office import Office


def test_mail_that_is_fetched_cannot_be_started() -> None:
    """Nobody would be called: it would be a lie to say that it is on its way."""
    office = Office()
    office.settings = evolve(office.settings, routes=(("dialup.test", Route("fetch")), ("*", Route("mx"))))
    reception = office.reception()
    at_once(reception.decide(Hello("dialup.test", True)))
    assert at_once(reception.decide(Etrn("", "dialup.test"))).code == 458
    assert at_once(reception.decide(Etrn("", "backup.test"))).code == 251
    assert office.waiting.started == ["backup.test"]
