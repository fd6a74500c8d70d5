"""Old messages are removed, some time after their days are over, and only those."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstack.model.address import Address
from mailstack.server.expiry import DAY, FIRST, PAUSE, Expiry
from tests.fakes import in_place
from tests.maildir.memory import MemoryMailboxes
from tests.server.pop3_office import ALICE, BOB, Notebook

NOW = 1_000 * DAY
DAYS = 30


@define
class Site:
    clock: Clock = field(factory=Clock)
    boxes: MemoryMailboxes = field(factory=MemoryMailboxes)
    log: Notebook = field(factory=Notebook)
    wall_ahead: float = NOW
    accounts: Iterable[Address] = (ALICE, BOB)
    expiry: Expiry = field(init=False)

    @expiry.default
    def _expiry(self) -> Expiry:
        clock = self.clock
        return Expiry(DAYS, lambda: self.accounts, self.boxes, in_place, clock, self._wall, clock.seconds, self.log)

    def _wall(self) -> float:
        return self.clock.seconds() + self.wall_ahead

    def add(self, account: Address, **ages: int | None) -> None:
        """Letters by name, and how many days ago they came; None: nobody knows."""
        self.boxes.letters.setdefault(account, {}).update(dict.fromkeys(ages, b"x\n"))
        self.boxes.times |= {name: NOW - age * DAY for name, age in ages.items() if age is not None}

    def left(self, account: Address) -> list[str]:
        return list(self.boxes.letters[account])


@pytest.fixture
def site() -> Site:
    site = Site()
    site.add(ALICE, older=DAYS + 1, younger=DAYS - 1, unknown=None, ahead=-5)
    site.add(BOB, old=DAYS + 400)
    return site


def test_what_is_older_goes_and_the_log_says_so(site: Site) -> None:
    """RFC 2449 §6.7: the days are a minimum. What does not tell its age stays."""
    site.expiry.startService()
    assert len(site.left(ALICE)) == 4
    site.clock.advance(FIRST)
    assert site.left(ALICE) == ["younger", "unknown", "ahead"]
    assert site.left(BOB) == []
    note = "older than 30 days"
    assert site.log.lines == [
        ("event", "pop3", {"user": "<alice@office.test>", "expired": "1/4", "note": note}),
        ("detail", "pop3", {"what": "Expired:", "user": "<alice@office.test>", "ids": "older"}),
        ("event", "pop3", {"user": "<bob@office.test>", "expired": "1/1", "note": note}),
        ("detail", "pop3", {"what": "Expired:", "user": "<bob@office.test>", "ids": "old"}),
    ]


def test_rounds_go_on(site: Site) -> None:
    site.expiry.startService()
    site.clock.advance(FIRST)
    for _ in range(5):
        site.clock.advance(PAUSE)
    assert site.left(ALICE) == ["unknown", "ahead"]


def test_mailbox_in_use_is_left_for_the_next_round(site: Site) -> None:
    """Nothing goes under a client's feet; the lock is given back, too."""
    box = site.boxes.open(ALICE)
    site.expiry.startService()
    site.clock.advance(FIRST)
    assert len(site.left(ALICE)) == 4
    assert site.left(BOB) == []
    box.close()
    site.clock.advance(PAUSE)
    assert len(site.left(ALICE)) == 3
    assert not site.boxes.in_use(ALICE)


def test_disk_that_refuses_does_not_end_the_round(site: Site) -> None:
    site.boxes.broken.add(ALICE)
    site.boxes.stuck.add("old")
    site.expiry.startService()
    site.clock.advance(FIRST)
    assert [(kind, str(facts["note"])) for kind, _, facts in site.log.lines] == [
        ("warn", "old messages are not removed: [Errno 5] Input/output error"),
        ("warn", "1 old messages could not be removed"),
    ]


def test_clock_that_leaps_costs_nobody_his_mail(site: Site) -> None:
    """By years, between two rounds. It is believed the next time."""
    site.expiry.startService()
    site.clock.advance(FIRST)
    left = site.left(ALICE)
    site.wall_ahead += 1_000 * DAY
    site.clock.advance(PAUSE)
    assert site.left(ALICE) == left
    assert "leapt forward" in str(site.log.lines[-1][2]["note"])


def test_stop(site: Site) -> None:
    """No call is left behind, and no further mailbox is begun."""
    site.expiry.startService()
    site.expiry.stopService()
    assert not site.clock.getDelayedCalls()


def test_stop_waits_for_the_mailbox_at_hand(site: Site) -> None:
    waiting: Deferred[object] = Deferred()
    site.expiry._in_thread = lambda function, *args: waiting  # type: ignore[assignment]
    site.expiry.startService()
    site.clock.advance(FIRST)
    stopped = site.expiry.stopService()
    assert isinstance(stopped, Deferred) and not stopped.called
    waiting.errback(OSError("gone"))
    assert stopped.called
    assert not site.clock.getDelayedCalls()
    assert site.left(BOB) == ["old"]
