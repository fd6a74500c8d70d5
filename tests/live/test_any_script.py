"""Addresses in any script, from one end to the other: SMTPUTF8 (RFC 6531) with clients and servers of others."""

from __future__ import annotations

import poplib
import smtplib
from base64 import b64encode
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.live.conftest import MakeOffice, next_hop
from tests.live.fake_server import certificate
from tests.live.office import Office, Sections
from tests.live.postfix import Postfix
from tests.live.programs import run
from tests.live.sink import Sink
from tests.live.waiting import eventually
from tests.live.wire import PASSWORD, UNVERIFIED

USER, DOMAIN = "用户@例子.测试", "xn--fsqu00a.xn--0zwm56d"
LETTER = "Subject: 你好\r\nFrom: 用户@例子.测试\r\nMessage-ID: <1@office.test>\r\n\r\n世界\r\n".encode()
PLAIN = b"Subject: x\r\n\r\ntext\r\n"


def in_chinese(sections: Sections) -> Sections:
    return {**sections, "server": {"domains": "office.test 例子.测试"}}


@pytest.fixture
def office(make_office: MakeOffice) -> Office:
    started = make_office(in_chinese({})).start()
    started.cli("user", "add", USER, "--password-stdin", input=f"{PASSWORD}\n")
    return started


def fetched(office: Office, name: str = USER, utf8: bool = True) -> EmailMessage:
    """The one letter of a mailbox, by POP3 over TLS; its sizes agree to the octet."""
    assert eventually(lambda: list((office.data / "mail" / DOMAIN / "用户/new").glob("*")))
    client = poplib.POP3_SSL("127.0.0.1", office.port.pop3s, context=UNVERIFIED, timeout=30)
    assert client.capa()["UTF8"] == ["USER"]
    if utf8:
        client.utf8()
    client.user(name)
    client.pass_(PASSWORD)
    content = b"\r\n".join(client.retr(1)[1]) + b"\r\n"
    assert client.stat() == (1, len(content))
    assert client.list()[1] == [b"1 %d" % len(content)]
    client.quit()
    assert content.partition(b"\r\n\r\n")[0].isascii() != utf8
    message = message_from_bytes(content, policy=policy.default.clone(utf8=True))
    assert isinstance(message, EmailMessage)
    return message


def submission(office: Office) -> smtplib.SMTP:
    client = smtplib.SMTP("127.0.0.1", office.port.submission, "laptop.test", timeout=30)
    client.starttls(context=UNVERIFIED)
    # smtplib's own log-in takes ASCII only.
    client.ehlo()
    credentials = b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
    assert client.docmd("AUTH PLAIN", credentials)[0] == 235
    return client


def test_curl_sends_and_pop3_fetches(office: Office, tmp_path: Path) -> None:
    (tmp_path / "letter").write_bytes(LETTER)
    place = f"smtp://127.0.0.1:{office.port.smtp}/client.test"
    envelope = ("--mail-from", "zoë@far.test", "--mail-rcpt", USER)
    run("curl", "-sS", place, *envelope, "--upload-file", tmp_path / "letter")
    message = fetched(office)
    assert message["Subject"] == "你好"
    assert message["Return-Path"] == "<zoë@far.test>"
    assert message["Delivered-To"] == USER
    assert "with UTF8SMTP id" in message["Received"] and f"for <{USER}>" in message["Received"]


def test_program_that_knows_nothing_of_utf8(office: Office) -> None:
    """It gets what it can have (RFC 6858)."""
    with submission(office) as client:
        client.sendmail(USER, [USER], LETTER, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    message = fetched(office, utf8=False)
    assert message["Subject"] == "你好"
    (sender,) = message["From"].addresses
    assert (sender.display_name, sender.addr_spec) == (USER, "invalid@internationalized-address.invalid")


def test_log_in_with_either_form_of_the_domain(office: Office) -> None:
    with submission(office) as client:
        client.sendmail(USER, [f"用户@{DOMAIN}"], LETTER, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    message = fetched(office, f"用户@{DOMAIN}")
    assert "with UTF8SMTPSA id" in message["Received"]


def test_next_hop_without_smtputf8(make_office: MakeOffice, sink: Sink) -> None:
    """A letter that needs it comes back with 5.6.7; one that was only declared so is sent."""
    office = make_office(in_chinese(next_hop(sink))).start()
    office.cli("user", "add", USER, "--password-stdin", input=f"{PASSWORD}\n")
    with office.submission("alice") as client:
        client.sendmail("alice@office.test", ["x@away.test"], PLAIN, mail_options=["SMTPUTF8"])
        client.sendmail("alice@office.test", ["zoë@away.test"], PLAIN, mail_options=["SMTPUTF8"])
    assert eventually(lambda: sink.letters)
    assert not [line for _, line in sink.lines if "SMTPUTF8" in line]
    (path,) = office.wait_for_files("alice")
    report = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert path.read_bytes().isascii()
    machine = list(report.iter_parts())[1]  # type: ignore[attr-defined]
    assert machine.get_content_type() == "message/global-delivery-status"
    text = machine.get_payload(decode=True) or machine.as_bytes()
    assert b"Status: 5.6.7" in text


@pytest.fixture
def postfix(open_folder: Path) -> Postfix:
    certificate(open_folder, "mx.away.test")
    return Postfix(open_folder / "postfix", open_folder / "server.pem", {"smtputf8_enable": "yes"})


def test_postfix_as_next_hop(make_office: MakeOffice, postfix: Postfix) -> None:
    (postfix.conf / "mailboxes").write_text("x@away.test x/\nzoë@away.test x/\n")
    office = make_office(in_chinese({"routes": {"*": f"smtp:[127.0.0.1]:{postfix.port}"}})).start()
    office.cli("user", "add", USER, "--password-stdin", input=f"{PASSWORD}\n")
    with postfix:
        with submission(office) as client:
            client.sendmail(USER, ["zoë@away.test"], LETTER, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        assert eventually(postfix.letters)
        office.wait_for_empty_queue()
        (delivered,) = postfix.letters()
        content = delivered.read_bytes()
    assert content.endswith("\n世界\n".encode()) and "\nSubject: 你好\n".encode() in content
    assert f"Return-Path: <{USER}>".encode() in content
    assert b"(Postfix) with UTF8SMTPS id" in content


def test_postfix_as_client(make_office: MakeOffice, open_folder: Path) -> None:
    certificate(open_folder, "mx.away.test")
    office = make_office(in_chinese({})).start()
    office.cli("user", "add", USER, "--password-stdin", input=f"{PASSWORD}\n")
    settings = {
        "smtputf8_enable": "yes",
        "mynetworks": "127.0.0.0/8",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "relayhost": f"[127.0.0.1]:{office.port.smtp}",
    }
    with Postfix(open_folder / "postfix", open_folder / "server.pem", settings) as postfix:
        with smtplib.SMTP("127.0.0.1", postfix.port, "laptop.test", timeout=30) as client:
            client.sendmail("zoë@away.test", [USER], LETTER, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        message = fetched(office)
    assert message["Subject"] == "你好"
    assert message["Return-Path"] == "<zoë@away.test>"
