"""Which mechanisms EHLO offers, and who is logged in when."""

from __future__ import annotations

import pytest

from mailstack.intake.reception import Reception
from mailstack.model.reply import Reply
from mailstack.protocol.sasl_steps import Lookup, Opening
from mailstack.protocol.smtp_events import Auth, Hello
from tests.fakes import at_once
from tests.fakes_accounts import MemoryAuthenticator
from tests.intake.office import Office

EXPORTER = {"tls-exporter": b"the channel"}


@pytest.fixture
def office() -> Office:
    return Office(authenticator=MemoryAuthenticator({"alice@office.test": "sesame"}))


def offered(reception: Reception) -> list[str]:
    reply = reception.decide(Hello("client.test", True))
    assert isinstance(reply, Reply)
    return [line for line in reply.text.split("\n") if line.startswith("AUTH")]


def test_plus_where_there_is_a_channel_to_bind_to(office: Office) -> None:
    reception = office.reception(submission=True)
    assert offered(reception) == []
    reception.secured("TLSv1.3", lambda: EXPORTER)
    assert offered(reception) == ["AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS"]


def test_tls_that_ends_elsewhere_is_nothing_to_bind_to(office: Office) -> None:
    reception = office.reception(submission=True)
    reception.secured("TLSv1.3")
    assert offered(reception) == ["AUTH PLAIN LOGIN SCRAM-SHA-256"]
    assert at_once(reception.decide(Auth("SCRAM-SHA-256-PLUS"))).code == 504


def test_scram_where_somebody_has_keys(office: Office) -> None:
    office.authenticator.scram = False
    reception = office.reception(submission=True)
    reception.secured("TLSv1.3", lambda: EXPORTER)
    assert offered(reception) == ["AUTH PLAIN LOGIN"]
    assert at_once(reception.decide(Auth("SCRAM-SHA-256"))).code == 504


def test_a_client_that_failed_too_often_is_not_looked_up(office: Office) -> None:
    given: list[Opening] = []
    reception = office.reception(submission=True)
    reception.secured("TLSv1.3")
    office.authenticator._failures["192.0.2.7"] = 10
    assert at_once(reception.decide(Lookup("alice", "n", given.append))).code == 454
    assert given == []
