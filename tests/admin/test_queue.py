"""``mailstack queue``, on a queue in memory."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from mailstack.interfaces.spool import IQueueDesk
from tests.admin.office import BOUNCE, WAITING, MemoryDesk, Office

HEADER = b"Received: by mail.office.test\nSubject: \xe4 \x1b[31m\n\tmore\n\nThe content\n"


@pytest.fixture(autouse=True)
def _letters(office: Office) -> None:
    office.desk = MemoryDesk([WAITING, BOUNCE], {"4Xq1": HEADER})


def test_the_queue_in_memory_is_a_queue(office: Office) -> None:
    assert verifyObject(IQueueDesk, office.desk)


def test_list_as_json(office: Office) -> None:
    first, second = office.json("queue", "list")
    assert first == {
        "id": "4Xq1",
        "sender": "alice@office.test",
        "size": 2048,
        "arrived": "2026-11-24T14:27:41Z",
        "next_attempt": "2026-11-24T14:32:41Z",
        "state": "deferred",
        "recipients": [
            {
                "address": "friend@far.test",
                "original": "away@office.test",
                "state": "deferred",
                "attempts": 2,
                "next_attempt": "2026-11-24T14:32:41Z",
                "last_reply": "450 4.2.0 not \x1b[31mnow",
            },
            {
                "address": "bob@far.test",
                "original": "bob@far.test",
                "state": "sent",
                "attempts": 1,
                "next_attempt": None,
                "last_reply": "250 2.0.0 Ok",
            },
        ],
    }
    assert (second["sender"], second["next_attempt"]) == ("", None)


def test_list_for_people(office: Office) -> None:
    """Who waits and why; what another server said cannot steer the terminal."""
    assert office.run("queue", "list").stdout.splitlines() == [
        "ID    SIZE     ARRIVED               NEXT ATTEMPT          STATE     SENDER",
        "4Xq1  2.0 KiB  2026-11-24T14:27:41Z  2026-11-24T14:32:41Z  deferred  <alice@office.test>",
        "    friend@far.test (for away@office.test) deferred, 2 attempts: 450 4.2.0 not \\x1b[31mnow",
        "4Xq2  2.0 KiB  2026-11-24T14:27:41Z  -                     hold      <>",
        "2 letters",
    ]


def test_nothing_waits(office: Office) -> None:
    office.desk = MemoryDesk()
    assert office.json("queue", "list") == []
    assert office.run("queue", "list").stdout == "The queue is empty.\n"


def test_show(office: Office) -> None:
    text = office.run("queue", "show", "4Xq1").stdout
    assert "Sender:       <alice@office.test>\n" in text
    assert "  bob@far.test sent, 1 attempt: 250 2.0.0 Ok\n" in text
    assert text.endswith("\nReceived: by mail.office.test\nSubject: \\xe4 \\x1b[31m\n        more\n")
    assert "The content" not in text


def test_show_as_json(office: Office) -> None:
    shown = office.json("queue", "show", "4Xq1")
    assert shown["id"] == "4Xq1"
    assert shown["header"].startswith("Received: by mail.office.test\n")


def test_show_a_letter_whose_file_is_gone(office: Office) -> None:
    """It was sent between the two looks."""
    assert office.json("queue", "show", "4Xq2")["header"] == ""


def test_no_such_letter(office: Office) -> None:
    for verb in ("show", "retry", "drop"):
        result = office.run("queue", verb, "zz")
        assert (result.exit_code, result.stderr) == (1, "Error: there is no letter zz in the queue\n")
        assert result.stdout == "", "nothing of 0 letters"


def test_retry(office: Office) -> None:
    assert office.run("queue", "retry", "4Xq1").stdout == "1 letter due now\n"
    assert office.run("queue", "retry", "--all").stdout == "2 letters due now\n"
    assert office.desk.retried == ["4Xq1", "4Xq1", "4Xq2"]


def test_retry_does_what_it_can(office: Office) -> None:
    result = office.run("queue", "retry", "zz", "4Xq1", "yy")
    assert result.exit_code == 1
    assert office.desk.retried == ["4Xq1"]
    assert "zz" in result.stderr
    assert "yy" in result.stderr


def test_retry_needs_to_know_what(office: Office) -> None:
    assert office.run("queue", "retry").exit_code == 64
    assert office.run("queue", "retry", "--all", "4Xq1").exit_code == 64


def test_drop_asks_on_a_terminal(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        """Looks like ``sys``, with somebody at the keyboard."""

        class stdin:
            isatty = staticmethod(lambda: True)

    monkeypatch.setattr("mailstack.admin.queue.sys", Terminal)
    assert office.run("queue", "drop", "4Xq1", input="n\n").exit_code == 1
    assert set(office.desk.letters) == {"4Xq1", "4Xq2"}
    assert office.run("queue", "drop", "4Xq1", input="y\n").exit_code == 0
    assert office.run("queue", "drop", "4Xq2", "--yes").stdout == "1 letter removed\n"
    assert office.desk.letters == {}


def test_drop_in_a_script_does_not_ask(office: Office) -> None:
    assert office.run("queue", "drop", "4Xq1", "4Xq2").stdout == "2 letters removed\n"


def test_a_queue_that_does_not_answer(office: Office) -> None:
    def busy() -> None:
        raise OSError("database is locked")

    office.desk.entries = busy  # type: ignore[method-assign,assignment]
    result = office.run("queue", "list")
    assert (result.exit_code, result.stderr) == (1, "Error: database is locked\n")
