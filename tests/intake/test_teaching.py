"""HELP knows what the parser knows, and says nothing that does not hold for who asks."""

from __future__ import annotations

import pytest
from attrs import evolve

from mailstack.config.settings import SmtpListener
from mailstack.intake.lessons import LESSONS
from mailstack.intake.reception import Reception
from mailstack.model.address import Address
from mailstack.protocol.smtp_commands import PARSERS
from mailstack.protocol.smtp_events import BodyEnd, ChunkEnd, Help
from mailstack.protocol.smtp_order import ORDERED_VERBS, TRANSITIONS
from tests.fakes import at_once
from tests.intake.office import NEIGHBOUR, STRANGER, Office

ALL = tuple(PARSERS)


def help_on(reception: Reception, topic: str, legal: tuple[str, ...] = ALL) -> list[str]:
    """The lines."""
    octets = at_once(reception.decide(Help(topic, legal))).wire()
    assert all(len(line) <= 512 for line in octets.splitlines(keepends=True))  # RFC 5321 §4.5.3.1.5
    return octets.decode().splitlines()


def text(reception: Reception, topic: str, legal: tuple[str, ...] = ALL) -> str:
    return "\n".join(help_on(reception, topic, legal))


@pytest.fixture(params=["smtp", "submission", "old"])
def reception(request: pytest.FixtureRequest) -> Reception:
    office = Office()
    if request.param == "old":
        office.settings = evolve(office.settings, smtp=SmtpListener(rfc821=True))
        return office.reception(NEIGHBOUR)
    return office.reception(submission=request.param == "submission")


def test_every_command_has_a_lesson() -> None:
    assert set(LESSONS) == set(PARSERS)


def test_every_command_that_has_an_order_has_its_verb() -> None:
    """Or HELP would call it legal at any time."""
    ordered = {event for row in TRANSITIONS.values() for event in row} - {BodyEnd, ChunkEnd}
    assert set(ORDERED_VERBS.values()) == ordered
    assert set(ORDERED_VERBS) <= set(PARSERS)


@pytest.mark.parametrize("verb", PARSERS)
def test_every_command_is_explained(reception: Reception, verb: str) -> None:
    """Syntax, example, answers, what is legal; or where it is to be had instead."""
    lines = help_on(reception, verb)
    assert all(line.startswith("214") for line in lines)
    assert len(lines) >= 2
    commands = help_on(reception, "")[0].split()
    assert (verb in commands) == lines[0].startswith(f"214-2.0.0 Syntax: {verb}")


@pytest.mark.parametrize("verb", LESSONS)
def test_examples_are_understood(verb: str) -> None:
    lesson = LESSONS[verb]
    assert lesson.example.partition(" ")[0] == lesson.syntax.partition(" ")[0] == verb
    event = PARSERS[verb](lesson.example.partition(" ")[2])
    assert "501" not in str(event)


def test_an_unknown_topic(reception: Reception) -> None:
    assert help_on(reception, "ME")[0].startswith("504 5.5.4 No help on that; commands: HELO EHLO ")


def test_no_log_in_where_there_is_none() -> None:
    """Port 25 says where it works."""
    reception = Office().reception(STRANGER)
    assert "Example" not in text(reception, "AUTH")
    assert "587" in text(reception, "AUTH")
    assert "AUTH" not in text(reception, "")


def test_the_log_in_of_a_session() -> None:
    """Before TLS, with it, and afterwards; MAIL is legal when the log-in is done."""
    reception = Office().reception(submission=True)
    assert "Encrypt first, by STARTTLS; legal now: " in text(reception, "AUTH")
    assert "Log in first, by AUTH; legal now: " in text(reception, "MAIL")
    assert "STARTTLS" in text(reception, "NOOP")
    reception.secured("TLSv1.3")
    assert "Legal now: " in text(reception, "AUTH")
    assert "STARTTLS" not in text(reception, "NOOP")
    assert "TLS is up already" in text(reception, "STARTTLS")
    reception._session.visitor.user = Address("alice", "office.test")
    assert "You are logged in already" in text(reception, "AUTH")
    assert "Legal now: " in text(reception, "MAIL")


def test_what_is_out_of_order() -> None:
    reception = Office().reception()
    assert (
        help_on(reception, "DATA", ("EHLO", "NOOP"))[-1] == "214 2.0.0 DATA is out of order now; legal now: EHLO NOOP"
    )


def test_what_needs_tls_where_it_is_required() -> None:
    """[tls] policy = required: until then the rest is not legal."""
    office = Office()
    around = evolve(office.surroundings(submission=False, tls=True), tls_required=True)
    reception = Reception(around, STRANGER, False)
    assert "Encrypt first, by STARTTLS" in text(reception, "MAIL")
    assert help_on(reception, "NOOP")[-1] == "214 2.0.0 Legal now: HELO EHLO RSET NOOP QUIT HELP STARTTLS"
    reception.secured("TLSv1.3")
    assert "MAIL" in help_on(reception, "NOOP")[-1]
