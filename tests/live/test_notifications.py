"""What a sender wants to hear, and hears: DSN (RFC 3461) with servers of others."""

from __future__ import annotations

import smtplib
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from tests.live.conftest import MakeOffice, next_hop
from tests.live.fake_server import certificate
from tests.live.office import Office
from tests.live.postfix import Postfix
from tests.live.sink import Sink, refuse
from tests.live.waiting import eventually

LETTER = b"Subject: hello\r\n\r\nThe body\r\n"


def send(office: Office, *recipients: str, notify: str, mail: str = "") -> None:
    with office.submission("alice") as client:
        options = [f"NOTIFY={notify}"] if notify else []
        client.sendmail("alice@office.test", recipients, LETTER, mail.split(), options)


def report_in(path: Path) -> tuple[EmailMessage, list[EmailMessage], EmailMessage]:
    """The blocks of the machine's part, the first is that of the message; and what came back."""
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert message.get_content_type() == "multipart/report"
    _, machine, returned = message.iter_parts()  # type: ignore[attr-defined]
    return message, list(machine.get_payload()), returned


def test_delivery_here_is_reported(make_office: MakeOffice) -> None:
    office = make_office({}, users=("alice", "bob")).start()
    send(office, "bob@office.test", notify="SUCCESS,FAILURE", mail="ENVID=QQ+2B1 RET=FULL")
    (path,) = office.wait_for_files("alice")
    _, (message, recipient), returned = report_in(path)
    assert message["Original-Envelope-Id"] == "QQ+1"
    assert (recipient["Action"], recipient["Status"]) == ("delivered", "2.0.0")
    assert recipient["Final-Recipient"] == "rfc822;bob@office.test"
    assert returned.get_content_type() == "text/rfc822-headers"
    office.wait_for_files("bob")
    office.wait_for_empty_queue()


def test_relaying_to_a_server_without_dsn_is_reported(make_office: MakeOffice, sink: Sink) -> None:
    office = make_office(next_hop(sink)).start()
    send(office, "x@away.test", notify="SUCCESS")
    (path,) = office.wait_for_files("alice")
    _, (_, recipient), _ = report_in(path)
    assert recipient["Action"] == "relayed"
    assert not [line for _, line in sink.lines if "NOTIFY" in line]


def test_whole_message_comes_back_and_nobody_is_told_who_did_not_want_to_be(
    make_office: MakeOffice, sink: Sink
) -> None:
    sink.answer = refuse("RCPT", "550 5.1.1 nobody")
    office = make_office(next_hop(sink)).start()
    send(office, "x@away.test", notify="NEVER")
    send(office, "y@away.test", notify="FAILURE", mail="RET=FULL")
    (path,) = office.wait_for_files("alice")
    _, (_, recipient), returned = report_in(path)
    assert recipient["Final-Recipient"] == "rfc822;y@away.test"
    assert returned.get_content_type() == "message/rfc822"
    assert returned.get_payload(0).get_content() == "The body\n"
    office.wait_for_empty_queue()
    assert len(office.files("alice")) == 1


def test_report_that_a_kill_prevented_comes_after_the_start(make_office: MakeOffice, sink: Sink) -> None:
    """Killed at once when the other server has taken the letter: it is told of in any case, maybe twice."""
    office = make_office(next_hop(sink)).start()
    send(office, "x@away.test", notify="SUCCESS")
    assert eventually(lambda: sink.letters)
    office.kill()
    office.start()
    assert eventually(lambda: office.files("alice"))
    _, (_, recipient), _ = report_in(office.files("alice")[0])
    assert recipient["Action"] == "relayed"


def test_postfix_reports_what_was_passed_on_to_it(make_office: MakeOffice, open_folder: Path) -> None:
    """And is itself a client that says NOTIFY, ORCPT and ENVID to us, in the other direction."""
    certificate(open_folder, "mx.away.test")
    office = make_office({}, users=("alice", "bob"))
    settings = {
        "mynetworks": "127.0.0.0/8",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "relayhost": f"[127.0.0.1]:{office.port.smtp}",
    }
    with Postfix(open_folder / "postfix", open_folder / "server.pem", settings) as postfix:
        office.configure({"routes": {"*": f"smtp:[127.0.0.1]:{postfix.port}"}})
        office.start()
        send(office, "x@away.test", notify="SUCCESS ORCPT=rfc822;Boss+2Bx@office.test", mail="ENVID=QQ1")
        (path,) = office.wait_for_files("alice")
        _, (message, recipient), _ = report_in(path)
        assert "mx.away.test" in message["Reporting-MTA"] and message["Original-Envelope-Id"] == "QQ1"
        assert recipient["Action"] == "delivered"
        assert recipient["Original-Recipient"].replace(" ", "") == "rfc822;Boss+x@office.test"
        assert len(postfix.letters()) == 1

        with smtplib.SMTP("127.0.0.1", postfix.port, "laptop.test", timeout=30) as client:
            to = ["bob@office.test"]
            client.sendmail("x@away.test", to, LETTER, ["ENVID=QQ2"], ["NOTIFY=SUCCESS", "ORCPT=rfc822;B@office.test"])
        assert eventually(lambda: len(postfix.letters()) == 2)
        office.wait_for_files("bob")
        report = max(postfix.letters(), key=lambda letter: letter.stat().st_mtime_ns)
        _, (message, recipient), _ = report_in(report)
    assert "mail.office.test" in message["Reporting-MTA"] and message["Original-Envelope-Id"] == "QQ2"
    assert recipient["Original-Recipient"] == "rfc822;B@office.test"
