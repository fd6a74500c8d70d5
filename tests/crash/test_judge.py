"""The judge has teeth: what must not be is seen, and what may be is told from it."""

from __future__ import annotations

import pytest

from tests.crash.campaign import returned
from tests.crash.judge import HERE, RETURNED, THERE, WINDOW, Book, Crash, Place, Posting, Sighting, Verdict, judge
from tests.crash.letters import letter, recognised

LOCAL = Place(HERE, "alice@office.test")
REMOTE = Place(THERE, "x@far.test")
REPORT = Place(RETURNED, "x@far.test")

NOW = 1_000.0


def book(*places: Place, acknowledged: bool = True) -> Book:
    """With one letter, L1."""
    made = Book()
    made.begin(Posting("L1", "sender@office.test", [each.whose for each in places], frozenset(places), 1000))
    if acknowledged:
        made.answered("L1", "250", NOW)
    return made


def seen(*places: Place, name: str = "L1") -> list[Sighting]:
    """A second apart."""
    return [Sighting(name, place, NOW + number) for number, place in enumerate(places)]


def numbers(verdict: Verdict) -> tuple[int, int, int, int]:
    """Lost, duplicated without an excuse, unexpected, recovered."""
    return len(verdict.lost), len(verdict.duplicated), len(verdict.unexpected), verdict.recovered


@pytest.mark.parametrize(
    ("places", "found", "expected"),
    [
        ([LOCAL, REMOTE], [LOCAL, REMOTE], (0, 0, 0, 0)),
        ([LOCAL, REMOTE], [LOCAL], (1, 0, 0, 0)),
        ([LOCAL], [LOCAL, LOCAL, LOCAL], (0, 2, 0, 0)),
        ([REMOTE], [REMOTE, REMOTE], (0, 1, 0, 0)),
        ([REPORT], [REPORT, REPORT], (0, 1, 0, 0)),
        ([LOCAL], [LOCAL, REMOTE], (0, 0, 1, 0)),
        ([REMOTE], [REPORT], (1, 0, 1, 0)),
    ],
)
def test_acknowledged(places: list[Place], found: list[Place], expected: tuple[int, int, int, int]) -> None:
    assert numbers(judge(book(*places), seen(*found))) == expected


def test_not_acknowledged() -> None:
    """All of it may be there or nothing, but not a part."""
    assert numbers(judge(book(LOCAL, REMOTE, acknowledged=False), [])) == (0, 0, 0, 0)
    assert numbers(judge(book(LOCAL, REMOTE, acknowledged=False), seen(LOCAL, REMOTE))) == (0, 0, 0, 1)
    assert numbers(judge(book(LOCAL, REMOTE, acknowledged=False), seen(LOCAL))) == (0, 0, 1, 1)


def test_what_nobody_has_sent() -> None:
    assert numbers(judge(book(LOCAL), [*seen(LOCAL), *seen(LOCAL, name="")])) == (0, 0, 1, 0)


def test_what_the_other_server_refused_comes_back() -> None:
    made = book(REMOTE)
    made.refused.add(("L1", REMOTE.whose))
    assert numbers(judge(made, seen(REPORT))) == (0, 0, 0, 0)
    assert numbers(judge(made, [])) == (1, 0, 0, 0)


@pytest.mark.parametrize(("began", "lost", "unpowered"), [(-0.1, 0, 1), (0.1, 1, 0)])
def test_what_was_acknowledged_without_power_is_counted_apart(began: float, lost: int, unpowered: int) -> None:
    made = book(LOCAL)
    made.crashes.append(Crash(NOW + began, NOW + 1, power=True))
    verdict = judge(made, [])
    assert (len(verdict.lost), len(verdict.unpowered)) == (lost, unpowered)


@pytest.mark.parametrize(
    ("place", "began", "ended", "excused"),
    [
        (REMOTE, WINDOW / 2, WINDOW, True),
        (REPORT, WINDOW / 2, WINDOW, True),
        (REMOTE, -0.1, 0.1, True),  # it was on its way when the kill came
        (REMOTE, WINDOW + 0.1, WINDOW + 0.2, False),
        (REMOTE, -0.2, -0.1, True),  # what the dead server sent, read late
        (REMOTE, -2 * WINDOW, -1.1 * WINDOW, False),
        (LOCAL, WINDOW / 2, WINDOW, False),  # the second link has the name of the first
    ],
)
def test_what_a_crash_excuses(place: Place, began: float, ended: float, excused: bool) -> None:
    made = book(place)
    made.crashes.append(Crash(NOW + began, NOW + ended))
    verdict = judge(made, seen(place, place))
    assert (len(verdict.excused), len(verdict.duplicated)) == ((1, 0) if excused else (0, 1))


def test_a_damaged_letter_has_no_name() -> None:
    whole = letter("L1", 5000)
    stored = b"Received: x\n" + whole.replace(b"\r\n", b"\n")
    assert recognised(stored) == recognised(whole) == "L1"
    assert recognised(whole[:-100]) == recognised(b"") == recognised(whole.replace(b"dots", b"bits")) == ""
    assert recognised(b"\0" * len(whole)) == recognised(whole.partition(b"\r\n\r\n")[0]) == ""


def test_reports_name_letters_and_recipients() -> None:
    report = b"""Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.office.test

Final-Recipient: rfc822; x@far.test
Action: failed

Final-Recipient: rfc822; y@far.test
Action: delayed

--b
Content-Type: text/rfc822-headers

%s
--b--
""" % letter("L1").partition(b"\r\n\r\n")[0].replace(b"\r\n", b"\n")
    assert list(returned(report, NOW)) == [Sighting("L1", REPORT, NOW)]
    (cut,) = returned(report[:200], NOW)
    assert cut.name == ""


@pytest.mark.parametrize(("place", "excused"), [(REPORT, True), (REMOTE, False)])
def test_a_start_gives_its_own_time_to_the_reports_that_it_finds(place: Place, excused: bool) -> None:
    made = book(place)
    made.crashes.append(Crash(NOW - 3, NOW - 2, greeted=NOW))
    verdict = judge(made, seen(place, place))
    assert (len(verdict.excused), len(verdict.duplicated)) == ((1, 0) if excused else (0, 1))


def test_a_slow_server_may_tell_of_the_first_one_last() -> None:
    """It has thought over what came before the crash until what was sent after it had arrived."""
    made = book(REMOTE)
    made.crashes.append(Crash(NOW, NOW + 0.4))
    after, before = Sighting("L1", REMOTE, NOW + 1.2), Sighting("L1", REMOTE, NOW + 1.3, b"", 1.5)
    assert numbers(judge(made, [after, before])) == (0, 0, 0, 0)


@pytest.mark.parametrize(("power", "unexpected"), [(True, 0), (False, 1)])
def test_what_was_relayed_without_power_may_be_there_in_part(power: bool, unexpected: int) -> None:
    made = book(LOCAL, REMOTE, acknowledged=False)
    made.crashes.append(Crash(NOW - 0.1, NOW + 0.2, power=power))
    verdict = judge(made, seen(REMOTE))
    assert numbers(verdict) == (0, 0, unexpected, 1) and len(verdict.unpowered) == 1 - unexpected
