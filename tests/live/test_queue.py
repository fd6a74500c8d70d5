"""What cannot be delivered at once waits, survives whatever happens to the server, and goes on at its time."""

from __future__ import annotations

import email
import email.policy
import re
import signal
import time
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.live.conftest import MakeOffice, next_hop
from tests.live.office import Office
from tests.live.sink import Sink, as_usual, refuse
from tests.live.waiting import eventually

LATER = refuse("RCPT", "450 4.7.1 Greylisted, come back later")
NEVER = refuse("RCPT", "550 5.1.1 No such user over here")

SLACK = 2.5  # seconds that a wake-up may be late on a busy machine


def send(office: Office, *recipients: str) -> None:
    with office.submission("alice") as client:
        client.sendmail(
            "alice@office.test",
            recipients or ["x@away.test"],
            "From: alice@office.test\r\nTo: x@away.test\r\nSubject: away\r\n\r\nhello\r\n",
        )


def retrying(sink: Sink, pause: str, **queue: str) -> dict[str, dict[str, str]]:
    return {**next_hop(sink), "queue": {"retry": pause, **queue}}


def when(text: str) -> float:
    """Unix time of an ISO 8601 UTC one."""
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def bounce_in(path: Path) -> EmailMessage:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def deferred(office: Office, number: int = 1) -> list[str]:
    """The ids of the letters in the queue, when that many have been tried."""
    eventually(lambda: [letter["state"] for letter in office.queue()] == ["deferred"] * number)
    found = office.queue()
    assert [letter["state"] for letter in found] == ["deferred"] * number
    return [letter["id"] for letter in found]


def test_listed_while_it_waits(make_office: MakeOffice, sink: Sink) -> None:
    """Exactly the keys that scripts rely on."""
    sink.answer = LATER
    office = make_office(retrying(sink, "1h")).start()
    assert office.queue() == []
    before = time.time()
    send(office)
    (id,) = deferred(office)
    (letter,) = office.queue()
    (recipient,) = letter.pop("recipients")
    (stored,) = office.spooled()
    arrived, next_attempt = letter.pop("arrived"), letter.pop("next_attempt")
    assert abs(when(arrived) - before) < 30
    assert 3600 * 0.9 - 30 < when(next_attempt) - before < 3600 * 1.1 + 30
    assert arrived.endswith("Z")
    assert letter == {
        "id": id,
        "sender": "alice@office.test",
        "size": len(stored.read_bytes().replace(b"\n", b"\r\n")),
        "state": "deferred",
    }
    assert recipient == {
        "address": "x@away.test",
        "original": "x@away.test",
        "state": "deferred",
        "attempts": 1,
        "next_attempt": next_attempt,
        "last_reply": "450 4.7.1 Greylisted, come back later",
        "destination": f"smtp:[127.0.0.1]:{sink.port}",
    }
    assert id in office.cli("queue", "list")
    assert "Subject: away" in office.cli("queue", "show", id)


def test_retry_and_drop_take_effect_at_once(make_office: MakeOffice, sink: Sink) -> None:
    sink.answer = LATER
    office = make_office(retrying(sink, "1h")).start()
    send(office)
    send(office, "y@away.test")
    first, second = deferred(office, 2)
    office.cli("queue", "drop", first)
    assert [letter["id"] for letter in office.queue()] == [second]
    sink.answer = as_usual
    begin = time.monotonic()
    office.cli("queue", "retry", second)
    assert eventually(lambda: sink.letters)
    assert time.monotonic() - begin < 2 + SLACK
    assert sink.letters[0].recipients == ["y@away.test"]
    office.wait_for_empty_queue()
    office.cli("queue", "drop", "no-such-letter", code=1)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_restart(make_office: MakeOffice, sink: Sink, end: signal.Signals) -> None:
    """A letter survives the end of the process, and is tried again at the time that was set before."""
    sink.answer = LATER
    office = make_office(retrying(sink, "4s")).start()
    send(office)
    (id,) = deferred(office)
    planned = when(office.queue()[0]["next_attempt"])
    if end == signal.SIGTERM:
        office.stop()
    else:
        office.kill()
    assert office.queue()[0]["id"] == id  # the administrator sees it without the server, too
    sink.answer = as_usual
    office.start()
    assert eventually(lambda: sink.letters)
    tried = sink.times("RCPT")[-1]
    assert planned - 1 <= tried <= planned + SLACK  # the list tells whole seconds
    office.wait_for_empty_queue()
    assert len(sink.letters) == 1


def test_overdue_after_a_long_stop(make_office: MakeOffice, sink: Sink) -> None:
    """What became due while the server was down is tried when it is up."""
    sink.answer = LATER
    office = make_office(retrying(sink, "1s")).start()
    send(office)
    deferred(office)
    office.kill()
    eventually(lambda: time.time() > when(office.queue()[0]["next_attempt"]) + 1)
    sink.answer = as_usual
    office.start()
    assert eventually(lambda: sink.letters, 1 + SLACK)


def test_refusal_bounces_to_the_sender(make_office: MakeOffice, sink: Sink) -> None:
    """RFC 3464, for programs and for people; each recipient's fate apart."""
    sink.answer = refuse("RCPT TO:<X@AWAY", "550 5.1.1 No such user over here")
    office = make_office(retrying(sink, "1s")).start()
    send(office, "x@away.test", "y@away.test")
    (path,) = office.wait_for_files("alice")
    report = bounce_in(path)
    assert path.read_bytes().startswith(b"Return-Path: <>\n")
    assert report.get_content_type() == "multipart/report"
    assert report["To"] == "alice@office.test"
    assert report["Auto-Submitted"] == "auto-replied"
    text, status, returned = report.iter_parts()
    assert "x@away.test" in text.get_content()
    assert "y@away.test" not in text.get_content()
    about, recipient = status.get_payload()
    assert about["Reporting-MTA"] == "dns; mail.office.test"
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.1.1")
    assert recipient["Final-Recipient"].replace(" ", "") == "rfc822;x@away.test"
    assert recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 No such user over here"
    assert "Subject: away" in returned.as_string()
    assert [taken.recipients for taken in sink.letters] == [["y@away.test"]]
    office.wait_for_empty_queue()


def test_expiry_bounces_too(make_office: MakeOffice, sink: Sink) -> None:
    sink.answer = LATER
    office = make_office(retrying(sink, "1s", lifetime="3s", delay_warning="")).start()
    send(office)
    (path,) = office.wait_for_files("alice")
    _, status, _ = bounce_in(path).iter_parts()
    recipient = status.get_payload(1)
    assert (recipient["Action"], recipient["Status"][0]) == ("failed", "4")
    assert "450 4.7.1" in recipient["Diagnostic-Code"]
    assert len(sink.times("RCPT")) >= 3
    office.wait_for_empty_queue()
    office.wait_for_log("status=expired, returned to sender")


def test_sender_hears_of_a_delay(make_office: MakeOffice, sink: Sink) -> None:
    sink.answer = LATER
    office = make_office(retrying(sink, "1s", delay_warning="1s")).start()
    send(office)
    (path,) = office.wait_for_files("alice")
    _, status, _ = bounce_in(path).iter_parts()
    assert status.get_payload(1)["Action"] == "delayed"
    sink.answer = as_usual
    office.wait_for_empty_queue()
    assert len(office.files("alice")) == 1


def test_bounce_of_a_bounce_is_dropped(make_office: MakeOffice, sink: Sink) -> None:
    """Forwarded mail that nobody takes, from a sender whom nobody knows: two attempts, then silence and a log line."""
    sink.answer = NEVER
    office = make_office(retrying(sink, "1s")).start()
    office.aliases.write_text("elsewhere: x@away.test\n")

    def accepted() -> bool:
        """The aliases are read again when they change, which takes a moment to see."""
        with office.smtp() as client:
            client.ehlo()
            client.mail("stranger@far.test")
            return client.rcpt("elsewhere@office.test")[0] == 250

    assert eventually(accepted)
    with office.smtp() as client:
        client.sendmail("stranger@far.test", ["elsewhere@office.test"], "Subject: forwarded\r\n\r\n")
    office.wait_for_log("a bounce that cannot be delivered is dropped")
    office.wait_for_empty_queue()
    heard = [line for _, line in sink.lines if line.startswith("RCPT")]
    assert [re.findall("<(.*)>", line) for line in heard] == [["x@away.test"], ["stranger@far.test"]]
    assert [line for _, line in sink.lines if line.startswith("MAIL")][-1].startswith("MAIL FROM:<>")
    assert office.files("alice") == []


def test_nobody_listens(make_office: MakeOffice) -> None:
    """A next hop that is down is tried again; the reason is in the list."""
    office = make_office().start()
    send(office)
    deferred(office)
    (recipient,) = office.queue()[0]["recipients"]
    assert recipient["last_reply"].startswith("451 4.4.1 ")
    assert office.logged("to=<x@away.test>", "relay=", "dsn=4.4.1, status=deferred (")


def test_kill_during_delivery(make_office: MakeOffice, sink: Sink) -> None:
    """kill -9 while the next hop has not answered the data yet: the letter is sent again, and arrives."""
    answered: list[str] = []

    def hang(line: str) -> str | None:
        if line.startswith("DATA") and not answered:
            answered.append(line)
            office.kill()
        return None

    sink.answer = hang
    office = make_office(retrying(sink, "1s")).start()
    send(office)
    assert eventually(lambda: answered)
    assert eventually(lambda: office.ended is not None)
    office.start()
    assert eventually(lambda: any(b"Subject: away" in taken.content for taken in sink.letters))
    office.wait_for_empty_queue()
