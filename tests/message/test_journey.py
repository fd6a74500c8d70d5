"""What of a letter's way is sure, and how long it took."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from mailstack.message.journey import (
    CLAIMED,
    END,
    FIRST,
    MAX_HOPS,
    NOBODY,
    NONE,
    NOT_OURS,
    SKIPPED,
    STRANGER,
    UNREADABLE,
    Journey,
    Ours,
    journey,
)
from mailstack.message.received import stamp

OURS = Ours(frozenset({"mail.office.test"}), frozenset({"office.test"}), (ip_network("192.0.2.0/28"),))


def line(by: str, address: str = "", minute: int | None = 0, helo: str = "x.test", more: str = "") -> str:
    came = f"from {helo} ([{address}]) " if address else ""
    date = f"; Tue, 24 Nov 2026 12:{minute:02}:00 +0000" if minute is not None else ""
    return f"{came}by {by} with ESMTP{more} id 1{date}"


def way(*lines: str, ours: Ours = OURS) -> Journey:
    """The newest first, as in a letter."""
    return journey([stamp(each) for each in lines], ours)


def sure(found: Journey) -> tuple[int, str]:
    return sum(hop.sure for hop in found.hops), found.border


STRANGERS = "198.51.100.7"
FAR = line("mx.far.test", STRANGERS)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], (0, NONE)),
        ([FAR, line("mail.office.test", STRANGERS)], (0, NOBODY)),
        (["nonsense"], (0, NOBODY)),
        ([line("mail.office.test", STRANGERS)], (1, FIRST)),
        ([line("mail.office.test", STRANGERS), FAR], (1, STRANGER)),
        ([line("MAIL.Office.Test.", STRANGERS), FAR], (1, STRANGER)),
        ([line("backup.office.test", STRANGERS), FAR], (1, STRANGER)),
        ([line("office.test.evil.test", STRANGERS)], (0, NOBODY)),
        ([line("evil-office.test", STRANGERS)], (0, NOBODY)),
        # By our backup, and the next one says so by its address.
        ([line("mail.office.test", "192.0.2.3"), line("backup.office.test", STRANGERS), FAR], (2, STRANGER)),
        ([line("mail.office.test", "192.0.2.3"), line("filter.test", "192.0.2.3"), FAR], (1, NOT_OURS)),
        ([line("mail.office.test", "192.0.2.3"), "nonsense"], (1, UNREADABLE)),
        # By a program on the same machine, or through a proxy that nobody has told us of.
        ([line("mail.office.test", "127.0.0.1"), line("mail.office.test", STRANGERS)], (1, CLAIMED)),
        (["by mail.office.test (mailstack, from userid 33) id 1", line("mail.office.test")], (1, CLAIMED)),
        (["(qmail 1 invoked by uid 33) by mail.office.test with SMTP", FAR], (1, STRANGER)),
        (["from www by mail.office.test with local (Exim 4.96)", FAR], (1, STRANGER)),
        ([line("192.0.2.4"), line("mail.office.test")], (2, END)),
    ],
)  # fmt: skip
def test_only_the_run_from_the_top_is_sure(lines: list[str], expected: tuple[int, str]) -> None:
    assert sure(way(*lines)) == expected


@pytest.mark.parametrize("helo", ["mail.office.test", "backup.office.test", "localhost", "[192.0.2.3]", "[127.0.0.1]"])
def test_forged_line_of_ours(helo: str) -> None:
    """Whatever a stranger calls itself: the address counts, not the name."""
    forged = line("mail.office.test", "192.0.2.3", more="S")
    found = way(line("mail.office.test", STRANGERS, helo=helo), forged, line("mail.office.test", "10.0.0.1"))
    assert sure(found) == (1, CLAIMED)
    assert found.last_sure is not None and found.last_sure.stamp.address == STRANGERS
    assert sure(way(line("mail.office.test", STRANGERS, helo=helo), FAR, forged)) == (1, STRANGER)


def test_client_without_address_is_no_host_of_ours() -> None:
    assert sure(way("from mail.office.test by mail.office.test with SMTP", FAR)) == (1, STRANGER)


def test_line_with_two_servers_is_nobodys() -> None:
    lines = (f"from a by mail.office.test with SMTP ([{STRANGERS}]) by mx.far.test with SMTP", FAR)
    assert sure(way(*lines)) == (0, NOBODY)


def test_delays() -> None:
    found = way(
        line("mail.office.test", STRANGERS, 9),
        line("c.test", minute=8),
        line("b.test", minute=None),
        line("a.test", minute=1),
    )
    assert [(hop.number, hop.delay, hop.slowest) for hop in found.hops] == [
        (1, None, False),
        (2, None, False),
        (3, 420, True),
        (4, 60, False),
    ]
    assert found.total == 480
    assert not found.skews


def test_wrong_clock_spoils_only_its_own_hop() -> None:
    """The next delay is counted from the last clock that may be right."""
    found = way(
        line("mail.office.test", STRANGERS, 9),
        line("c.test", minute=59),
        line("b.test", minute=6),
        line("a.test", minute=1),
    )
    assert [hop.delay for hop in found.hops] == [None, 300, 53 * 60, 180]
    assert [hop.slowest for hop in found.hops] == [False, True, False, False]
    assert found.total == 480
    assert [(skew.place, skew.seconds, skew.ahead) for skew in found.skews] == [(2, 3000, True)]


def test_our_clock_is_right() -> None:
    found = way(line("mail.office.test", STRANGERS, 5), line("b.test", minute=9), line("a.test", minute=8))
    assert [(skew.place, skew.seconds, skew.ahead) for skew in found.skews] == [(0, 180, True), (1, 240, True)]
    assert found.total is None


def test_one_word_against_the_other() -> None:
    """Neither a total nor a slowest hop can be told."""
    found = way(line("c.test", minute=9), line("b.test", minute=3), line("a.test", minute=5))
    assert [(skew.place, skew.other, skew.seconds) for skew in found.skews] == [(0, 1, 120)]
    assert [hop.delay for hop in found.hops] == [None, -120, 360]
    assert found.total is None and not any(hop.slowest for hop in found.hops)


def test_many_lines() -> None:
    lines = [line("mail.office.test", STRANGERS), *[FAR] * 10_000]
    found = way(*lines)
    assert len(found.hops) == MAX_HOPS and found.skipped == 10_001 - MAX_HOPS
    assert found.hops[-1].number == 10_001
    assert sure(found) == (1, STRANGER)
    assert sure(way(*[line("mail.office.test")] * (MAX_HOPS + 1))) == (MAX_HOPS, SKIPPED)


def test_hosts() -> None:
    assert OURS.has("192.0.2.3") and OURS.has("[192.0.2.3]") and not OURS.has("192.0.2.77")
    assert Ours(frozenset(), frozenset({"xn--fsqu00a.test"})).has("mx.例子.test")
    assert not OURS.has("") and not OURS.has(".") and not OURS.has("\u0378" * 300)
