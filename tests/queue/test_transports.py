"""What holds for which domain."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.config.settings import DAY, HOUR, Accounts, Queue, Route, Server, Settings
from mailstack.model.address import Address
from mailstack.model.letter import Letter
from mailstack.queue.schedule import JITTER
from mailstack.queue.transports import Terms, TermsByDomain
from tests.spool.contract import letter

ROUTES = (
    ("own.test", Route("mx", retry=(10.0,), lifetime=1800.0, concurrency=3)),
    ("fetched.test", Route("fetch", lifetime=30 * DAY)),
    ("slow.test", Route("mx", retry=(60.0, 9 * HOUR))),
    ("*", Route("smarthost", lifetime=2 * DAY)),
)


def settings(*routes: tuple[str, Route]) -> Settings:
    nowhere = Path("/nowhere")
    server = Server("mail.office.test", ("office.test",), nowhere, Address("postmaster", "office.test"))
    return Settings(nowhere, server, Accounts(nowhere, None), routes=routes)


@pytest.fixture
def terms() -> TermsByDomain:
    return TermsByDomain(settings(*ROUTES))


def test_each_route_has_its_own(terms: TermsByDomain) -> None:
    own = terms.of("own.test")
    assert (own.concurrency, own.schedule.pause(3, 0.5), own.schedule.lifetime(False)) == (3, 10.0, 1800.0)
    assert terms.of("other.test").schedule.lifetime(False) == 2 * DAY
    assert terms.of("other.test").concurrency == 20


def test_our_own_mailboxes_have_no_route(terms: TermsByDomain) -> None:
    """Not even that for all others."""
    assert terms.of("office.test") == Terms.of(Queue())


def test_the_longest_pause_of_all(terms: TermsByDomain) -> None:
    assert terms.longest == 9 * HOUR * (1 + JITTER)
    assert TermsByDomain(settings()).longest == 4 * HOUR * (1 + JITTER)


def test_until_when_a_recipient_is_tried(terms: TermsByDomain) -> None:
    def until(added: Letter) -> float | None:
        return terms.until(added, added.recipients[0])

    assert until(letter("L1", "a@own.test", arrived=1000.0)) == 2800.0
    assert until(letter("L1", "a@other.test", arrived=1000.0, not_before=5000.0)) == 5000.0 + 2 * DAY
    assert until(letter("L1", "a@office.test", arrived=0.0, sender="")) == DAY
    assert until(letter("L1", "a@fetched.test")) is None
