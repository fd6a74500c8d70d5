"""Users' mail programs send, and the next server gets a letter that is complete, from them, and keeps their secrets."""

from __future__ import annotations

import email
import email.policy
import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.live.conftest import MakeOffice, next_hop
from tests.live.office import Office
from tests.live.programs import run, run_anyhow
from tests.live.sink import Sink
from tests.live.waiting import eventually
from tests.live.wire import DOMAIN, PASSWORD, Wire

BODY = b"Bcc: is no field here\r\n\r\n.a dot\r\ncaf\xc3\xa9\r\n"
SECRET = "secret@away.test"

Program = Callable[[Office, str, bytes, Path], None]


def msmtp(office: Office, user: str, letter: bytes, folder: Path) -> None:
    """It sends what it gets; ``remove_bcc`` would be its default."""
    settings = folder / "msmtprc"
    settings.write_text(
        f"account here\nhost 127.0.0.1\nport {office.port.submission}\ntls on\ntls_certcheck off\nauth on\n"
        f"user {user}@{DOMAIN}\npassword {PASSWORD}\nfrom {user}@{DOMAIN}\nremove_bcc_headers off\n"
        "set_from_header off\nset_date_header off\nset_msgid_header off\n"
    )
    settings.chmod(0o600)
    run("msmtp", "-C", settings, "-a", "here", "x@away.test", SECRET, input=letter.replace(b"\r\n", b"\n"))


def swaks(office: Office, user: str, letter: bytes, folder: Path) -> None:
    """It ends the last line by itself."""
    (folder / "letter").write_bytes(letter.removesuffix(b"\r\n"))
    place = ("--server", "127.0.0.1", "--port", office.port.submission)
    login = ("--auth", "PLAIN", "--auth-user", f"{user}@{DOMAIN}", "--auth-password", PASSWORD)
    envelope = ("--from", f"{user}@{DOMAIN}", "--to", f"x@away.test,{SECRET}")
    run("swaks", *place, *login, *envelope, "--data", f"@{folder / 'letter'}", "--hide-all")


def curl(office: Office, user: str, letter: bytes, folder: Path) -> None:
    (folder / "letter").write_bytes(letter)
    (folder / "curlrc").write_text(f'user = "{user}@{DOMAIN}:{PASSWORD}"\ninsecure\nssl-reqd\n')
    envelope = ("--mail-from", f"{user}@{DOMAIN}", "--mail-rcpt", "x@away.test", "--mail-rcpt", SECRET)
    place = f"smtp://127.0.0.1:{office.port.submission}/laptop.test"
    run("curl", "-sS", "-K", folder / "curlrc", place, *envelope, "--upload-file", folder / "letter")


def header_of(content: bytes) -> EmailMessage:
    found = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def taken(sink: Sink, number: int = 1) -> bytes:
    """The one letter that the next server got, for all recipients."""
    assert eventually(lambda: sum(len(each.recipients) for each in sink.letters) == number)
    contents = {each.content for each in sink.letters}
    assert len(contents) == 1
    return contents.pop()


@pytest.mark.parametrize("program", [msmtp, swaks, curl])
def test_program_that_sends_what_it_gets(office: Office, sink: Sink, program: Program, tmp_path: Path) -> None:
    """Neither Date nor Message-ID nor From, but Bcc: added and removed. The body is the same, octet for octet."""
    header = f"Subject: =?utf-8?Q?caf=C3=A9?=\r\nBCC: {SECRET},\r\n\tother@away.test\r\nX-Odd:  two  blanks \r\n"
    program(office, "alice", header.encode() + b"\r\n" + BODY, tmp_path)
    content = taken(sink, 2)
    assert content.endswith(b"\r\nSubject: =?utf-8?Q?caf=C3=A9?=\r\nX-Odd:  two  blanks \r\n\r\n" + BODY)
    assert SECRET.encode() not in content
    found = header_of(content)
    assert found["From"] == "alice@office.test"
    assert found["Message-ID"].endswith("@mail.office.test>")
    assert found["Date"].datetime is not None
    id = found["Message-ID"][1:].partition("@")[0]
    office.wait_for_log(f"{id}: client=", f"message-id=<{id}@mail.office.test>")


@pytest.mark.parametrize("program", [msmtp, swaks, curl])
def test_letter_that_is_complete(office: Office, sink: Sink, program: Program, tmp_path: Path) -> None:
    """As Thunderbird writes it: nothing is changed."""
    letter = (
        b"Message-ID: <6a7f63b2-1d1c-4a9b-9a3e-0a7c5b1f2d3e@office.test>\r\n"
        b"Date: Wed, 25 Nov 2026 21:47:12 +0100\r\nMIME-Version: 1.0\r\nUser-Agent: Mozilla Thunderbird\r\n"
        b"Content-Language: de-DE\r\nTo: x@away.test\r\nFrom: =?UTF-8?B?w4VzYSDDlmw=?=\r\n <Alice+x@office.test>\r\n"
        b"Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\nAutocrypt: addr=alice@office.test; keydata=\r\n xjMEZQ\r\n"
        b"Content-Type: text/plain; charset=UTF-8; format=flowed\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    ) + BODY
    program(office, "alice", letter, tmp_path)
    content = taken(sink, 2)
    assert content.endswith(letter)
    received = content.removesuffix(letter)
    assert received.startswith(b"Received: ")
    assert all(line.startswith(b"\t") for line in received.splitlines()[1:])


def test_s_nail(office: Office, sink: Sink) -> None:
    """It tells the server of blind copies, and nobody else."""
    settings = {
        "v15-compat": "yes",
        "mta": f"smtp://{quote(f'bob@{DOMAIN}', safe='')}:{quote(PASSWORD)}@127.0.0.1:{office.port.submission}",
        "smtp-use-starttls": "yes",
        "smtp-auth": "plain",
        "tls-verify": "ignore",
        "from": f"Bob <bob@{DOMAIN}>",
        "sendwait": "yes",
        "save": "no",
    }
    words = [word for key, value in settings.items() for word in ("-S", f"{key}={value}")]
    run("s-nail", "-n", *words, "-s", "by s-nail", "-b", SECRET, "x@away.test", input="hello\n")
    content = taken(sink, 2)
    assert SECRET.encode() not in content
    found = header_of(content)
    assert found["From"] == "Bob <bob@office.test>"
    assert found["Subject"] == "by s-nail"
    assert found["Date"] and found["Message-ID"]


@pytest.mark.parametrize("to", [["x@away.test"], []])
def test_mutt(office: Office, sink: Sink, to: list[str], tmp_path: Path) -> None:
    """``write_bcc`` sends the field along. A letter with blind copies only is a letter, too."""
    settings = tmp_path / "muttrc"
    settings.write_text(
        f'set smtp_url = "smtp://bob%40{DOMAIN}@127.0.0.1:{office.port.submission}/"\nset smtp_pass = "{PASSWORD}"\n'
        f'set from = "bob@{DOMAIN}"\nset realname = "Bob B. Öl"\nset write_bcc = yes\nset ssl_force_tls = no\n'
        f'set ssl_starttls = no\nset record = ""\nset folder = "{tmp_path}"\nset smtp_authenticators = "plain"\n'
        "set charset = utf-8\nset use_envelope_from = yes\n"
    )
    run("mutt", "-n", "-F", settings, "-s", "by mutt", "-b", SECRET, *(["--", *to] if to else []), input="hello\n")
    content = taken(sink, 1 + len(to))
    # Received names the recipient where it is alone: to that one it is no secret.
    assert (SECRET.encode() in content) == (not to)
    assert b"bcc:" not in content.lower()
    found = header_of(content)
    assert found["From"].addresses[0].addr_spec == "bob@office.test"
    assert found["Subject"] == "by mutt"
    assert content.endswith(b"\r\n\r\nhello\r\n")


@pytest.mark.parametrize("author", ["bob@office.test", "ceo@away.test", '"alice@office.test" <ceo@away.test>'])
def test_somebody_elses_name(office: Office, sink: Sink, author: str) -> None:
    with office.submission("alice") as client, pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail(f"alice@{DOMAIN}", ["x@away.test"], f"From: {author}\r\n\r\nhello\r\n")
    assert refused.value.smtp_code == 553
    office.wait_for_log("reject: DATA from unknown[127.0.0.1]: 553 5.7.1", "from=<alice@office.test>")
    assert sink.letters == []


def test_msmtp_tells_the_user(office: Office, sink: Sink, tmp_path: Path) -> None:
    """What is wrong stands on the user's terminal."""
    settings = tmp_path / "msmtprc"
    settings.write_text(
        f"account here\nhost 127.0.0.1\nport {office.port.submission}\ntls on\ntls_certcheck off\nauth on\n"
        f"user alice@{DOMAIN}\npassword {PASSWORD}\nfrom alice@{DOMAIN}\n"
    )
    settings.chmod(0o600)
    done = run_anyhow("msmtp", "-C", settings, "-a", "here", "x@away.test", input="From: bob@office.test\n\nhello\n")
    assert done.returncode != 0
    assert "553 5.7.1 From has <bob@office.test>, which is not your address" in done.stderr


def test_octet_by_octet(office: Office, sink: Sink) -> None:
    """The header comes as slowly as anybody likes."""
    with Wire(office.port.submission) as wire:
        wire.login("alice")
        for command in (b"MAIL FROM:<alice@office.test>", b"RCPT TO:<x@away.test>", b"DATA"):
            wire.ask(command)
        message = b"Subject: x\r\nBcc: a,\r\n b\r\nFrom: alice@office.test\r\n\r\nhello\r\n"
        for octet in range(len(message)):
            wire.send(message[octet : octet + 1])
        assert wire.ask(b".").startswith("250 2.0.0")
    assert taken(sink).endswith(b"\r\nSubject: x\r\nFrom: alice@office.test\r\n\r\nhello\r\n")


def test_header_without_end(office: Office) -> None:
    """Refused at the end of data, on both ports, and the session goes on."""
    for port in (office.port.smtp, office.port.submission):
        with Wire(port) as wire:
            if port == office.port.submission:
                wire.login("alice")
            else:
                wire.ask(b"EHLO client.test")
            for command in (b"MAIL FROM:<alice@office.test>", b"RCPT TO:<bob@office.test>", b"DATA"):
                wire.ask(command)
            wire.send((b"X-Field: " + b"y" * 60 + b"\r\n") * 100_000)
            assert wire.ask(b".").startswith("552 5.3.4 ")
            assert wire.ask(b"NOOP").startswith("250 ")
    assert office.files("bob") == []


def test_recipients_per_hour(make_office: MakeOffice, module_sink: Sink) -> None:
    """What all sessions of an account send counts together; the postmaster gets one letter that tells what to do."""
    limits = {"limits": {"recipients_per_hour": "3"}, "server": {"postmaster": f"carol@{DOMAIN}"}}
    office = make_office({**next_hop(module_sink), **limits}, users=("alice", "bob", "carol")).start()
    clients = [office.submission("alice") for _ in range(2)]
    for client in clients:
        client.sendmail(f"alice@{DOMAIN}", ["x@away.test"], "Subject: x\r\n\r\nhello\r\n")
    refused = clients[0].sendmail(f"alice@{DOMAIN}", [f"r{n}@away.test" for n in range(5)], "Subject: x\r\n\r\n")
    assert sorted(refused) == [f"r{n}@away.test" for n in range(1, 5)]
    code, text = refused["r1@away.test"]
    assert (code, text[:6]) == (450, b"4.7.1 ")
    assert b"room again in " in text
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        clients[1].sendmail(f"alice@{DOMAIN}", ["y@away.test"], "Subject: x\r\n\r\n")
    with office.submission("bob") as bob:
        bob.sendmail(f"bob@{DOMAIN}", ["x@away.test"], "Subject: x\r\n\r\n")
    (notice,) = office.wait_for_files("carol")
    found = header_of(notice.read_bytes())
    assert found["Return-Path"] == "<>"
    assert found["Subject"] == "alice@office.test sends too much"
    assert "mailstack user passwd alice@office.test" in found.get_content()
    assert len(office.logged("alice@office.test has sent to 3 recipients within an hour")) == 1
    for client in clients:
        client.close()
