"""What an attempt comes to: a result and a line for each recipient."""

from __future__ import annotations

from random import Random

from mailstack.model.address import Address
from mailstack.model.letter import Due, Letter, Recipient
from mailstack.model.outcome import Delivered, Failed
from mailstack.model.reply import Reply
from mailstack.queue.transports import Terms
from mailstack.queue.verdict import Verdict
from tests.fakes import ListLog

NAMES = ("anna", "bert", "carl", "dora")
THERE = Delivered(Reply(250, "2.0.0", "delivered to the Maildir"), "local")
NOBODY = Failed(Reply(550, "5.1.1", "No such user here any more"), "local")


def no_terms(domain: str) -> Terms:
    raise AssertionError("nothing is put off")


def letter() -> Letter:
    addresses = [Address(name, "office.test") for name in NAMES]
    recipients = tuple(Recipient(each, Address("team", each.domain)) for each in addresses)
    return Letter("ID", Address("eve", "far.test"), recipients, 1000.0, 100, 5, 20, False, 0)


def test_each_recipient_has_its_own_line_in_order() -> None:
    """Also where one in between fares differently; who had no turn has none."""
    log = ListLog()
    verdict = Verdict(no_terms, log, lambda: 1000.75, Random(1))
    results = verdict.results(Due.at_first(letter(), 1000.25), {0: THERE, 1: NOBODY, 2: THERE}, 1000.5)
    assert [(each.number, each.state, each.reply) for each in results] == [
        (0, "sent", THERE.reply),
        (1, "bounced", NOBODY.reply),
        (2, "sent", THERE.reply),
    ]
    assert [(id, fields["to"], fields["orig_to"], fields["status"]) for id, fields in log.events] == [
        ("ID", "<anna@office.test>", "<team@office.test>", "sent (250 2.0.0 delivered to the Maildir)"),
        ("ID", "<bert@office.test>", "<team@office.test>", "bounced (550 5.1.1 No such user here any more)"),
        ("ID", "<carl@office.test>", "<team@office.test>", "sent (250 2.0.0 delivered to the Maildir)"),
    ]
    assert {(fields["delay"], fields["delays"]) for _, fields in log.events} == {("0.75", "0.25/0.25/0.00/0.25")}
