"""``mailstack queue list`` and ``show``, and ``mailq``."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from mailstack.interfaces.spool import Result
from mailstack.model.deed import HOLD, Deed
from mailstack.model.reply import Reply
from mailstack.model.selection import EVERYTHING
from mailstack.spool import entries
from mailstack.spool.desk import QueueDesk
from tests.admin.office import NOW, Office
from tests.spool.contract import OK

HEADER = b"Received: by mail.office.test\nSubject: \xe4 \x1b[31m\n\tmore\n\nThe content\n"
ODD = Reply(450, "4.2.0", "not \x1b[31mnow")
RELAY = "mx.far.test[192.0.2.1]:25"
ARRIVED = NOW - 3600


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import time

    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def _letters(office: Office) -> None:
    office.queue.add(
        "4XQ1", "friend@far.test", "bob@far.test", sender="alice@office.test", arrived=ARRIVED, content=HEADER
    )
    deferred = Result(0, "deferred", ODD, RELAY, NOW + 300, at=NOW - 60)
    office.queue.settle("4XQ1", deferred, Result(1, "sent", OK, RELAY, at=NOW - 60))
    office.queue.add("4XR2", sender="", arrived=ARRIVED)
    hold(office, "4XR2")


def hold(office: Office, id: str) -> None:
    QueueDesk(office.folder / "data").change(Deed(HOLD, "root", NOW - 30), [id], EVERYTHING)


def empty(office: Office) -> None:
    office.queue.script("DELETE FROM messages; DELETE FROM recipients; DELETE FROM history")


def test_list_as_json(office: Office) -> None:
    first, second = office.json("queue", "list")
    assert first == {
        "id": "4XQ1",
        "sender": "alice@office.test",
        "size": len(HEADER.replace(b"\n", b"\r\n")),
        "arrived": "2026-11-24T14:27:41Z",
        "next_attempt": "2026-11-24T15:32:41Z",
        "state": "deferred",
        "recipients": [
            {
                "address": "friend@far.test",
                "original": "friend@far.test",
                "state": "deferred",
                "attempts": 1,
                "next_attempt": "2026-11-24T15:32:41Z",
                "last_reply": "450 4.2.0 not \x1b[31mnow",
                "destination": "far.test",
            },
            {
                "address": "bob@far.test",
                "original": "bob@far.test",
                "state": "sent",
                "attempts": 1,
                "next_attempt": None,
                "last_reply": "250 2.0.0 ok",
                "destination": "far.test",
            },
        ],
    }
    assert (second["sender"], second["next_attempt"], second["state"]) == ("", None, "hold")


def test_list_for_people(office: Office) -> None:
    """Who waits and why; what another server said cannot steer the terminal."""
    assert office.run("queue", "list").stdout.splitlines() == [
        "ID                 SIZE     AGE  NEXT TRY   STATE     SENDER",
        "4XQ1                 71     1 h  in 5 min   deferred  <alice@office.test>",
        "    friend@far.test deferred, 1 attempt",
        "        450 4.2.0 not \\x1b[31mnow",
        "4XR2                 20     1 h  -          hold      <>",
        "    alice@office.test hold, 0 attempts",
        "2 letters",
    ]


def test_list_as_json_is_one_array_whatever_its_length(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written while it is read; the form is that of all other lists."""
    monkeypatch.setattr(entries, "PAGE", 1)
    text = office.run("queue", "list", "--json").stdout
    assert text == json.dumps(json.loads(text), indent=2) + "\n"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--sender", "alice"], ["4XQ1"]),
        (["--sender", "ALICE@office.test"], ["4XQ1"]),
        (["--sender", "<alice@office.test>"], ["4XQ1"]),
        (["--sender", "<>"], ["4XR2"]),
        (["--sender", "@office.test"], ["4XQ1"]),
        (["--sender", "@OFFICE.test"], ["4XQ1"]),
        (["--sender", "bob"], []),
        (["--recipient", "@far.test"], ["4XQ1"]),
        (["--recipient", "bob@far.test"], []),
        (["--recipient", "*"], ["4XQ1", "4XR2"]),
        (["--destination", "f*"], ["4XQ1"]),
        (["--state", "hold"], ["4XR2"]),
        (["--state", "hold", "--state", "deferred"], ["4XQ1", "4XR2"]),
        (["--older", "60m"], ["4XQ1", "4XR2"]),
        (["--older", "61m"], []),
        (["--younger", "2h"], ["4XQ1", "4XR2"]),
        (["--younger", "59m"], []),
        (["--reply", "NOT"], ["4XQ1"]),
        (["--reply", "\udcff"], []),
        (["--limit", "1"], ["4XQ1"]),
    ],
)
def test_filters(office: Office, options: list[str], found: list[str]) -> None:
    assert [each["id"] for each in office.json("queue", "list", *options)] == found


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--older", "soon"], 64),
        (["--state", "lost"], 64),
        (["--limit", "0"], 64),
        (["--recipient", "<>"], 64),
        (["--recipient", "a b@far.test"], 1),
        (["--sender", "a@exa\u2003mple.test"], 1),
    ],
)
def test_filters_that_make_no_sense(office: Office, options: list[str], code: int) -> None:
    result = office.run("queue", "list", *options)
    assert result.exit_code == code and result.stderr


def test_nothing_waits(office: Office) -> None:
    assert office.run("queue", "list", "--sender", "bob").stdout == "No letter in the queue matches.\n"
    empty(office)
    assert office.json("queue", "list") == []
    assert office.run("queue", "list").stdout == "The queue is empty.\n"


def test_show(office: Office) -> None:
    assert office.run("queue", "show", "4XQ1").stdout.splitlines() == [
        "Letter:        4XQ1",
        "State:         deferred",
        "Sender:        <alice@office.test>",
        "Size:          71 octets",
        "Arrived:       2026-11-24 15:27:41 CET, 1 h ago",
        "Next try:      2026-11-24 16:32:41 CET, in 5 min",
        "Delay warning: 2026-11-24 16:32:41 CET, in 5 min",
        "Return:        2026-11-29 15:27:41 CET, in 4 d 23 h",
        "Recipients:",
        "  friend@far.test deferred, 1 attempt",
        "      450 4.2.0 not \\x1b[31mnow",
        "      goes to far.test",
        "      next try 2026-11-24 16:32:41 CET, in 5 min",
        "  bob@far.test sent, 1 attempt",
        "      250 2.0.0 ok",
        "      goes to far.test",
        "History:",
        "  2026-11-24 16:26:41 CET  deferred, by mx.far.test[192.0.2.1]:25",
        "      friend@far.test",
        "      450 4.2.0 not \\x1b[31mnow",
        "  2026-11-24 16:26:41 CET  sent, by mx.far.test[192.0.2.1]:25",
        "      bob@far.test",
        "      250 2.0.0 ok",
        "Header:",
        "  Received: by mail.office.test",
        "  Subject: \\xe4 \\x1b[31m",
        "          more",
    ]


def test_show_what_is_on_hold(office: Office) -> None:
    """It has no future, and who did it is told. The null sender gets nothing back."""
    text = office.run("queue", "show", "4XR2").stdout
    assert "Next try" not in text and "Return" not in text and "Dropped" not in text
    assert "  2026-11-24 16:27:11 CET  hold, by root, the administrator\n" in text
    assert "      Put on hold by the administrator\n" in text


def test_show_a_report(office: Office) -> None:
    office.queue.add("4XS1", "a@far.test", sender="", arrived=ARRIVED)
    text = office.run("queue", "show", "4XS1").stdout
    assert "Delay warning: none\n" in text
    assert "Dropped:       2026-11-25 15:27:41 CET, in 23 h\n" in text


def test_show_what_was_asked_for(office: Office) -> None:
    wishes = {"ret": "HDRS", "envid": "Q+2BX", "smtputf8": True, "require_tls": True, "not_before": NOW + 7200}
    office.queue.add("4XS1", "a@far.test", notify=("SUCCESS", "FAILURE"), arrived=ARRIVED, **wishes)
    text = office.run("queue", "show", "4XS1").stdout
    assert "Asked for:     SMTPUTF8 REQUIRETLS RET=HDRS ENVID=Q+2BX\n" in text
    assert "Not before:    2026-11-24 18:27:41 CET, in 2 h\n" in text
    assert "      NOTIFY=FAILURE,SUCCESS\n" in text
    assert "Delay warning: none\n" in text, "NOTIFY without DELAY"


def test_show_what_is_overdue(office: Office) -> None:
    """Nothing is foretold for a time that is over."""
    office.now = NOW + 600
    text = office.run("queue", "show", "4XQ1").stdout
    assert "Next try:      now\n" in text and "      next try now\n" in text
    assert "Delay warning: 2026-11-24 16:37:41 CET, now\n" in text


def test_show_where_routes_differ(office: Office) -> None:
    """Each destination's own schedule counts."""
    with office.ini.open("a") as ini:
        ini.write("[routes]\nfast.test = mx retry=10m lifetime=2h\n")
    office.queue.add("4XS1", "a@far.test", "b@fast.test", arrived=ARRIVED)
    text = office.run("queue", "show", "4XS1").stdout
    assert "Return:        2026-11-24 17:27:41 CET, in 1 h, the others later\n" in text
    assert "      given up 2026-11-24 17:27:41 CET, in 1 h\n" in text
    assert "      given up 2026-11-29 15:27:41 CET, in 4 d 23 h\n" in text


def test_show_many_recipients_that_fare_alike(office: Office) -> None:
    names = [f"r{number}@far.test" for number in range(5)]
    office.queue.add("4XS1", *names, arrived=ARRIVED)
    office.queue.defer("4XS1", *range(5), at=NOW - 60, until=NOW + 60)
    assert (
        "      r0@far.test, r1@far.test, r2@far.test and 2 more recipients\n"
        in office.run("queue", "show", "4XS1").stdout
    )


def test_show_as_json(office: Office) -> None:
    shown = office.json("queue", "show", "4XQ1")
    assert shown["id"] == "4XQ1"
    assert shown["header"].startswith("Received: by mail.office.test\n")
    assert shown["history"][0] == {
        "time": "2026-11-24T15:26:41Z",
        "recipient": "friend@far.test",
        "state": "deferred",
        "reply": "450 4.2.0 not \x1b[31mnow",
        "by": RELAY,
        "administrator": False,
    }
    assert (shown["next_warning"], shown["return"]) == ("2026-11-24T15:32:41Z", "2026-11-29T14:27:41Z")
    assert (shown["warned"], shown["not_before"], shown["ret"], shown["requiretls"]) == (0, None, "", False)
    assert office.json("queue", "show", "4XR2")["return"] is None


def test_show_the_content(office: Office) -> None:
    """As it is, where it is not a terminal."""
    assert office.run("queue", "show", "4XQ1", "--content").stdout_bytes == HEADER


def test_show_a_letter_whose_file_is_gone(office: Office) -> None:
    (office.folder / "data/spool/messages/4XQ1").unlink()
    assert office.json("queue", "show", "4XQ1")["header"] == ""
    assert office.run("queue", "show", "4XQ1").stdout.endswith("Header: the letter's file is missing\n")
    assert office.run("queue", "show", "4XQ1", "--content").stderr == "Error: the file of the letter 4XQ1 is missing\n"


def test_the_beginning_of_an_id_is_enough(office: Office) -> None:
    assert office.json("queue", "show", "4xq")["id"] == "4XQ1"
    result = office.run("queue", "show", "4X")
    assert (result.exit_code, result.stderr) == (1, "Error: several letters begin with 4X: 4XQ1, 4XR2\n")


@pytest.mark.parametrize("id", ["zz", "%", "4xq2", "", "\udcff", "é"])
def test_no_such_letter(office: Office, id: str) -> None:
    result = office.run("queue", "show", id)
    assert result.exit_code == 1 and result.stderr.startswith("Error: there is no letter ")
    assert result.stdout == ""


def test_a_queue_that_does_not_answer(office: Office) -> None:
    (office.folder / "data/spool/queue.db").write_bytes(b"x" * 5000)
    result = office.run("queue", "list")
    assert (result.exit_code, result.stderr) == (1, "Error: queue database: file is not a database\n")


def test_mailq(office: Office) -> None:
    """In the form that Postfix's has, line by line."""
    office.queue.add("K0YEBTNPZ2MS", "c@far.test", "d@far.test", sender="x@far.test", arrived=ARRIVED)
    assert office.run("mailq").stdout.splitlines() == [
        "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------",
        "4XQ1             71  Tue Nov 24 15:27:41 alice@office.test",
        f"{'(450 4.2.0 not ' + chr(92) + 'x1b[31mnow)':>76}",
        f"{'':41}friend@far.test",
        "",
        "4XR2!            20  Tue Nov 24 15:27:41 MAILER-DAEMON",
        f"{'':41}alice@office.test",
        "",
        "K0YEBTNPZ2MS*    20  Tue Nov 24 15:27:41 x@far.test",
        f"{'':41}c@far.test",
        f"{'':41}d@far.test",
        "",
        "-- 1 Kbytes in 3 Requests.",
    ]
    empty(office)
    assert office.run("mailq").stdout == "Mail queue is empty\n"
