"""Reports: what a mail program and a person find in them."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message.advice import advice
from mailstack.message.report import Fate, Occasion, delay_report, failure_report
from mailstack.model.address import Address
from mailstack.model.letter import Letter, Recipient
from mailstack.model.outcome import Delayed, Failed
from mailstack.model.reply import Reply

ALICE = Address("alice", "office.test")
BOB = Address("bob", "example.com")
LETTER = Letter("L1", ALICE, (Recipient(BOB, BOB),), 1_700_000_000.0, 100, 5, 10, False, 0)
OCCASION = Occasion("R1", "mx.office.test", Address("postmaster", "office.test"), LETTER, 1_700_003_600.0, 1.7005e9)
ORIGINAL = b"Received: from x\n\tby y\nMessage-ID: <m1@office.test>\nSubject: hello\n\nThe body\n"
REFUSED = Failed(Reply(550, "5.1.1", "No such user"), "mx.example.com[192.0.2.1]:25")


def fate(outcome: Failed | Delayed = REFUSED, address: Address = BOB, original: Address | None = None) -> Fate:
    return Fate(Recipient(address, original or address), outcome)


def parse(raw: bytes) -> EmailMessage:
    assert raw.isascii() and b"\r" not in raw
    assert max(map(len, raw.split(b"\n"))) <= 998
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def parts(raw: bytes) -> tuple[str, list[EmailMessage], str]:
    human, machine, header = parse(raw).iter_parts()
    assert machine.get_content_type() == "message/delivery-status"
    assert header.get_content_type() == "text/rfc822-headers"
    text = human.get_content()
    return text, list(machine.get_payload()), header.get_payload(decode=True).decode("utf-8", "replace")


def test_letter_around_it() -> None:
    """It is a multipart/report to the sender that no vacation notice answers, in the thread of the original."""
    message = parse(failure_report(OCCASION, [fate()], ORIGINAL))
    assert message.get_content_type() == "multipart/report"
    assert message["Content-Type"].params["report-type"] == "delivery-status"
    assert message["To"] == "alice@office.test"
    assert message["From"].addresses[0].addr_spec == "MAILER-DAEMON@mx.office.test"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["In-Reply-To"] == message["References"] == "<m1@office.test>"
    assert message["Message-ID"] == "<R1@mx.office.test>"
    assert parsedate_to_datetime(message["Date"]).timestamp() == 1_700_003_600


def test_machine_part_of_a_failure() -> None:
    _, (message, recipient), _ = parts(failure_report(OCCASION, [fate(original=ALICE)], ORIGINAL))
    assert message["Reporting-MTA"] == "dns; mx.office.test"
    assert parsedate_to_datetime(message["Arrival-Date"]).timestamp() == 1_700_000_000
    assert recipient["Original-Recipient"] == "rfc822;alice@office.test"
    assert recipient["Final-Recipient"] == "rfc822;bob@example.com"
    assert recipient["Action"] == "failed"
    assert recipient["Status"] == "5.1.1"
    assert recipient["Remote-MTA"] == "dns; mx.example.com"
    assert recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 No such user"
    assert recipient["Last-Attempt-Date"]
    assert recipient["Will-Retry-Until"] is None


def test_machine_part_of_a_delay() -> None:
    """A delay says until when we try; a reply without a status gets the class of its code."""
    raw = delay_report(OCCASION, [fate(Delayed(Reply(451, "", "later")))], ORIGINAL)
    _, (_, recipient), _ = parts(raw)
    assert recipient["Action"] == "delayed"
    assert recipient["Status"] == "4.0.0"
    assert recipient["Remote-MTA"] is None
    assert parsedate_to_datetime(recipient["Will-Retry-Until"]).timestamp() == OCCASION.until


def test_person_is_told_what_to_do() -> None:
    text, _, _ = parts(failure_report(OCCASION, [fate()], ORIGINAL))
    assert text.startswith("Your message of")
    assert "We have stopped trying" in " ".join(text.split())
    assert "bob@example.com" in text
    assert "There is no such mailbox" in text
    assert "check the address" in text
    assert "postmaster@office.test" in text


def test_person_is_told_to_wait() -> None:
    text, _, _ = parts(delay_report(OCCASION, [fate(Delayed(Reply(451, "4.4.1", "no route")))], ORIGINAL))
    assert "only a warning" in " ".join(text.split())
    assert "Wait: we try again by ourselves" in text


def test_every_recipient_has_a_block() -> None:
    fates = [fate(address=Address(f"user{number}", "example.com")) for number in range(250)]
    text, blocks, _ = parts(failure_report(OCCASION, fates, ORIGINAL))
    assert len(blocks) == 251
    assert "and 150 more recipients" in text


def test_only_the_header_is_returned() -> None:
    *_, header = parts(failure_report(OCCASION, [fate()], ORIGINAL))
    assert header.startswith("Received: from x\n\tby y\n")
    assert "Subject: hello" in header
    assert "The body" not in header


def test_header_is_bounded() -> None:
    """No more than 50 kB come back, cut at a line's end."""
    original = b"".join(b"X-Filler: %06d\n" % number for number in range(100_000)) + b"\nbody\n"
    *_, header = parts(failure_report(OCCASION, [fate()], original))
    assert 49_000 < len(header) <= 50_000
    assert all(len(line) == 16 for line in header.strip().split("\n"))


def test_odd_header_survives() -> None:
    """8-bit octets, NULs and lines above 998 octets come back as they were, in quoted-printable."""
    original = "Subject: grüße \0\nX-Long: ".encode() + b"x" * 5_000 + b"\n\nbody"
    *_, header = parts(failure_report(OCCASION, [fate()], original))
    assert header.startswith("Subject: grüße \0\nX-Long: " + "x" * 5_000)


def test_boundary_in_the_header_is_avoided() -> None:
    original = b"X-Evil: a\n--report/R1--\n--report/R1\n\n"
    *_, header = parts(failure_report(OCCASION, [fate()], original))
    assert "--report/R1--" in header


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=3_000), local=st.text(min_size=1, max_size=2_000), header=st.binary(max_size=500))
def test_anything_from_outside_is_contained(text: str, local: str, header: bytes) -> None:
    """Whatever a server says, an address holds or a header contains: three well-formed parts, one block a recipient."""
    outcome = Failed(Reply(550, "5.1.1", text), "mx.example.com[192.0.2.1]:25")
    raw = failure_report(OCCASION, [fate(outcome, Address(local, "example.com"))], header)
    _, blocks, _ = parts(raw)
    assert len(blocks) == 2
    assert set(blocks[1].keys()) >= {"Final-Recipient", "Action", "Status", "Diagnostic-Code"}
    assert len(blocks[1].keys()) == 7


@pytest.mark.parametrize(
    ("status", "words"),
    [("5.1.1", "no such mailbox"), ("5.2.2", "full"), ("5.7.99", "rules"), ("5.99.1", "own words"), ("", "own words")],
)
def test_advice(status: str, words: str) -> None:
    """The exact status first, then its subject, then something that is true of all."""
    assert words in advice(Reply(550, status, "")).happened
