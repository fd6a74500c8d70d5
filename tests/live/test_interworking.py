"""Mail to and from servers that nobody here wrote: Postfix and Exim, in both directions."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

import pytest
from attrs import frozen

from tests.live import letters
from tests.live.conftest import MakeOffice
from tests.live.dns_server import DnsServer
from tests.live.exim import Exim
from tests.live.fake_server import certificate
from tests.live.office import Office
from tests.live.postfix import Postfix
from tests.live.waiting import eventually
from tests.live.wire import PASSWORD, UNVERIFIED

HEADER = b"""\
From: <%s>\r
To: <%s>\r
Subject: test\r
Date: Tue, 24 Nov 2026 12:00:00 +0000\r
Message-ID: <%s@office.test>\r
MIME-Version: 1.0\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: 8bit\r
"""

#: What is hard to pass on without a change.
BODIES = {
    "8-bit": "Grüße — 日本語, and Latin-1: ".encode() + b"\xe4\xf6\xfc \x00\r\n",
    "dots": b".\r\n..\r\n...\r\n.x\r\n\r\n.\r\nFrom here\r\n.\r\n",
    "long lines": (b"x" * 100_000 + b"\r\n.") * 3 + b"." * 1_500 + b"\r\n",
    "blank lines": b"\r\n\r\n \r\n\t\r\n\r\n\r\n",
    "empty": b"",
    "large": letters.LARGE.partition(b"\r\n\r\n")[2],
}


class Server(Protocol):
    port: int

    def letters(self) -> list[Path]: ...


@frozen
class Kind:
    """A program: ``make(folder, next_hop)``, and ``user``, whose mail it keeps. ``name`` is how it signs."""

    name: str
    user: str
    make: Callable[[Path, int], AbstractContextManager[Server]]


def _postfix(folder: Path, next_hop: int) -> Postfix:
    certificate(folder, "mx.away.test")
    settings = {
        "mynetworks": "127.0.0.0/8",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "relayhost": f"[127.0.0.1]:{next_hop}",
        "smtp_tls_security_level": "encrypt",
        "smtputf8_enable": "yes",
        "smtp_line_length_limit": "0",  # else it breaks lines after 998 octets
    }
    return Postfix(folder / "postfix", folder / "server.pem", settings)


def _exim(folder: Path, next_hop: int) -> Exim:
    certificate(folder, "mx.exim.test")
    return Exim(folder / "exim", folder / "server.pem", next_hop)


KINDS = [Kind("Postfix", "x@away.test", _postfix), Kind("Exim", "x@exim.test", _exim)]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def written(sender: str, recipient: str, name: str) -> bytes:
    id = name.replace(" ", "-")
    return HEADER % (sender.encode(), recipient.encode(), id.encode()) + b"\r\n" + BODIES[name]


def by_id(paths: Sequence[Path]) -> dict[str, bytes]:
    """What was stored, by the name in the Message-ID."""
    contents = [path.read_bytes() for path in paths]
    return {content.partition(b"Message-ID: <")[2].partition(b"@")[0].decode(): content for content in contents}


def same(stored: bytes, sent: bytes) -> bool:
    """Behind what servers have put on top."""
    return stored.endswith(b"\n" + sent.replace(b"\r\n", b"\n"))


def report_in(content: bytes) -> tuple[EmailMessage, list[EmailMessage]]:
    """The report, and the blocks of the machine's part: that of the message, those of the recipients."""
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert message.get_content_type() == "multipart/report", content[:2000]
    machine = list(message.iter_parts())[1]
    assert machine.get_content_type() == "message/delivery-status"
    return message, list(machine.get_payload())  # type: ignore[arg-type]  # typeshed says str


def reports(paths: Sequence[Path]) -> list[bytes]:
    contents = [path.read_bytes() for path in paths]
    return [content for content in contents if b"multipart/report" in content]


# ---- Letters


def test_letters_to_another_server(kind: Kind, make_office: MakeOffice, open_folder: Path) -> None:
    """Over TLS, octet by octet the same."""
    office = make_office()
    with kind.make(open_folder, office.port.smtp) as server:
        office.configure({"routes": {"*": f"smtp:[127.0.0.1]:{server.port}"}})
        office.start()
        sent = {name: written("alice@office.test", kind.user, name) for name in BODIES}
        with office.submission("alice") as client:
            for letter in sent.values():
                client.sendmail("alice@office.test", [kind.user], letter, mail_options=["BODY=8BITMIME"])
        assert eventually(lambda: len(server.letters()) == len(sent)), office.log()
        office.wait_for_empty_queue()
        stored = by_id(server.letters())
    for name, letter in sent.items():
        content = stored[name.replace(" ", "-")]
        assert same(content, letter), name
        first_hop = content.lower().partition(b"\nfrom:")[0]
        assert b"with esmtps" in first_hop and kind.name.lower().encode() in first_hop
    assert not [line for line in office.logged("status=") if "status=sent" not in line]


def test_letters_from_another_server(kind: Kind, make_office: MakeOffice, open_folder: Path) -> None:
    """The same in the other direction; and the way that they came can be read."""
    office = make_office({}, users=("alice", "bob"))
    with kind.make(open_folder, office.port.smtp) as server:
        office.start()
        sent = {name: written(kind.user, "bob@office.test", name) for name in BODIES}
        with smtplib.SMTP("127.0.0.1", server.port, "laptop.test", timeout=30) as client:
            for letter in sent.values():
                client.sendmail(kind.user, ["bob@office.test"], letter, mail_options=["BODY=8BITMIME"])
        paths = office.wait_for_files("bob", len(sent))
    stored = by_id(paths)
    for name, letter in sent.items():
        content = stored[name.replace(" ", "-")]
        assert same(content, letter), name
        assert b"(mailstack) with ESMTPS id" in content
    found = json.loads(office.cli("trace", str(paths[0]), "--json"))
    theirs, ours = found["hops"]
    assert (theirs["readable"], theirs["sure"], ours["sure"]) == (True, False, True)
    assert theirs["software"].startswith(kind.name) and theirs["time"]
    assert ours["tls"]["version"] == "TLSv1.3" and ours["address"] == "127.0.0.1"


# ---- Reports


def test_another_server_reports_success_and_failure(kind: Kind, make_office: MakeOffice, open_folder: Path) -> None:
    """NOTIFY, ORCPT, ENVID are passed on, and what comes of it reaches the sender."""
    office = make_office()
    with kind.make(open_folder, office.port.smtp) as server:
        office.configure({"routes": {"*": f"smtp:[127.0.0.1]:{server.port}"}})
        office.start()
        nobody = f"nobody@{kind.user.partition('@')[2]}"
        with office.submission("alice") as client:
            letter = written("alice@office.test", kind.user, "dots")
            # Exim gives xtext back as it came (RFC 3461 §6.3 wants it decoded), so there is nothing to decode.
            original = ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;Boss@office.test"]
            client.sendmail("alice@office.test", [kind.user], letter, ["ENVID=QQ1"], original)
            client.sendmail("alice@office.test", [nobody], letter, ["ENVID=QQ2"], ["NOTIFY=FAILURE"])
        assert eventually(lambda: len(office.files("alice")) == 2), office.log()
        office.wait_for_empty_queue()
    success, failure = sorted(reports(office.files("alice")), key=lambda report: b"Action: failed" in report)
    _, (message, recipient) = report_in(success)
    assert message["Reporting-MTA"].endswith(f"mx.{kind.user.partition('@')[2]}")
    assert message["Original-Envelope-Id"] == "QQ1"
    assert recipient["Action"] == "delivered"
    assert recipient["Original-Recipient"].replace(" ", "").lower() == "rfc822;boss@office.test"
    _, (message, recipient) = report_in(failure)
    assert message["Original-Envelope-Id"] == "QQ2"
    assert (recipient["Action"], recipient["Status"][0]) == ("failed", "5")
    assert nobody in recipient["Final-Recipient"]


def test_reports_to_another_server(kind: Kind, make_office: MakeOffice, open_folder: Path) -> None:
    """It asks us for a report, and gets it; and understands our refusal of a recipient."""
    office = make_office({}, users=("alice", "bob"))
    with kind.make(open_folder, office.port.smtp) as server:
        office.configure({"routes": {"*": f"smtp:[127.0.0.1]:{server.port}"}})
        office.start()
        with smtplib.SMTP("127.0.0.1", server.port, "laptop.test", timeout=30) as client:
            letter = written(kind.user, "bob@office.test", "dots")
            original = ["NOTIFY=SUCCESS", "ORCPT=rfc822;B+2Bx@office.test"]
            client.sendmail(kind.user, ["bob@office.test"], letter, ["ENVID=QQ3"], original)
            client.sendmail(kind.user, ["nobody@office.test"], letter, ["ENVID=QQ4"], ["NOTIFY=FAILURE"])
        office.wait_for_files("bob")
        assert eventually(lambda: len(reports(server.letters())) == 2), office.log()
        ours, theirs = sorted(reports(server.letters()), key=lambda report: b"Action: failed" in report)
    _, (message, recipient) = report_in(ours)
    assert message["Reporting-MTA"].endswith("mail.office.test")
    assert message["Original-Envelope-Id"] == "QQ3"
    assert recipient["Action"] == "delivered"
    assert recipient["Original-Recipient"] == "rfc822;B+x@office.test"
    _, (_, recipient) = report_in(theirs)
    assert recipient["Action"] == "failed"
    assert "5.1.1" in recipient["Status"] or "5.1.1" in recipient["Diagnostic-Code"]


# ---- Addresses in any script; those with Postfix are in test_any_script.py

USER = "用户@例子.测试"
UTF8 = "Subject: 你好\r\nFrom: <用户@例子.测试>\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\n世界\r\n".encode()


@pytest.fixture
def exim_and_office(make_office: MakeOffice, open_folder: Path) -> tuple[Exim, Office]:
    office = make_office()
    exim = _exim(open_folder, office.port.smtp)
    route = {"routes": {"*": f"smtp:[127.0.0.1]:{exim.port}"}}
    office.configure({**route, "server": {"domains": "office.test 例子.测试"}})
    office.cli("user", "add", USER, "--password-stdin", input=f"{PASSWORD}\n")
    return exim, office.start()


def test_smtputf8_to_exim(exim_and_office: tuple[Exim, Office]) -> None:
    exim, office = exim_and_office
    with exim:
        with smtplib.SMTP("127.0.0.1", office.port.smtp, "client.test", timeout=30) as client:
            office.aliases.write_text("zoe: zoë@exim.test\n")
            assert eventually(lambda: office.cli("alias", "resolve", "zoe"))
            client.sendmail("用户@far.test", ["zoe@office.test"], UTF8, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        assert eventually(exim.letters), office.log()
        content = exim.letters()[0].read_bytes()
    assert same(content, UTF8)
    assert b"with utf8esmtps" in content
    assert "Envelope-to: zoë@exim.test\n".encode() in content


def test_smtputf8_from_exim(exim_and_office: tuple[Exim, Office]) -> None:
    exim, office = exim_and_office
    with exim:
        with smtplib.SMTP("127.0.0.1", exim.port, "laptop.test", timeout=30) as client:
            client.sendmail("zoë@exim.test", [USER], UTF8, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        mailbox = office.data / "mail/xn--fsqu00a.xn--0zwm56d/用户/new"
        assert eventually(lambda: mailbox.is_dir() and list(mailbox.iterdir())), exim.log()
        (path,) = mailbox.iterdir()
    content = path.read_bytes()
    assert same(content, UTF8)
    assert content.startswith("Return-Path: <zoë@exim.test>\n".encode())
    assert b"(mailstack) with UTF8SMTPS id" in content


# ---- TLS from the first octet, with passwords


@pytest.mark.parametrize("known", [True, False])
def test_exim_as_smarthost(
    make_office: MakeOffice, open_folder: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """It gets name, password and mail if the system knows who has signed its certificate."""
    office = make_office()
    exim, dns = _exim(open_folder, office.port.smtp), DnsServer({("mx.exim.test", "A"): ["127.0.0.1"]})
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(open_folder / "server.pem"))
    (office.root / "password").write_text(f"{PASSWORD}\n")
    office.configure(
        {
            "routes": {"*": "smarthost"},
            "smarthost": {
                "host": f"[mx.exim.test]:{exim.tls_port}",
                "username": "alice@office.test",
                "password_file": "password",
                "tls": "implicit",
            },
            "dns": {"servers": f"127.0.0.1:{dns.port}"},
        }
    )
    with exim, dns:
        office.start()
        letter = written("alice@office.test", "x@exim.test", "dots")
        with office.submission("alice") as client:
            client.sendmail("alice@office.test", ["x@exim.test"], letter)
        if not known:
            assert "dsn=4.7.5" in office.wait_for_log("status=deferred")
            assert not exim.letters()
            return
        assert eventually(exim.letters), office.log() + exim.log()
        office.wait_for_empty_queue()
    content = exim.letters()[0].read_bytes()
    assert same(content, letter)
    assert b"with esmtpsa" in content


def test_exim_as_client_of_submission(make_office: MakeOffice, open_folder: Path) -> None:
    """On port 465's job: it logs in as alice, and sends through us."""
    office = make_office({}, users=("alice", "bob")).start()
    certificate(open_folder, "mx.exim.test")
    transport = ("protocol = smtps", "hosts_require_tls = *", "hosts_require_auth = *")
    with Exim(open_folder / "exim", open_folder / "server.pem", office.port.submissions, transport) as exim:
        letter = written("alice@office.test", "bob@office.test", "dots")
        with smtplib.SMTP("127.0.0.1", exim.port, "laptop.test", timeout=30) as client:
            client.starttls(context=UNVERIFIED)
            client.sendmail("alice@office.test", ["bob@office.test"], letter)
        (path,) = office.wait_for_files("bob")
    assert same(path.read_bytes(), letter)
    assert b"(mailstack) with ESMTPSA id" in path.read_bytes()
