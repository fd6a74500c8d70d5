"""What the shell of SMTP gives to the record of a session."""

from __future__ import annotations

import pytest

from tests.intake.office import PROXY, STRANGER
from tests.server.test_smtp import COMMAND, ENVELOPE, Service


@pytest.fixture
def service() -> Service:
    return Service()


def dialogue(service: Service) -> list[str]:
    """Of the first session."""
    return [f"{line.who} {line.text}" for line in service.sessions.transcripts[0].lines]


def test_session_is_recorded(service: Service) -> None:
    wire = service.connect()
    service.clock.advance(1.5)
    wire.send(ENVELOPE + b"x: 1\r\n\r\n..\r\n.\r\nQUIT\r\n")
    wire.lose()
    assert dialogue(service) == [
        "S 220 mail.office.test ESMTP mailstack",
        "C HELO a",
        "S 250 mail.office.test greets a",
        "C MAIL FROM:<friend@far.test>",
        "S 250 2.1.0 Ok",
        "C RCPT TO:<alice@office.test>",
        "S 250 2.1.5 Ok",
        "C DATA",
        "S 354 End data with <CR><LF>.<CR><LF>",
        "C (message, 11 octets)",
        "S 250 2.0.0 Ok: queued as ID1",
        "C QUIT",
        "S 221 2.0.0 mail.office.test closing, good bye",
        "- (end of the connection)",
    ]
    (transcript,) = service.sessions.transcripts
    assert (transcript.client, transcript.service, transcript.ended) == (STRANGER, "smtp", "QUIT")
    assert transcript.queue_ids == ("ID1",)
    assert transcript.seconds == 1.5


@pytest.mark.parametrize("mechanism", ["AUTH PLAIN AGJvYgBndWVzcw==", "AUTH LOGIN\r\nYm9i\r\nZ3Vlc3M="])
def test_the_name_of_who_could_not_log_in_is_kept(mechanism: str) -> None:
    service = Service(submission=True)
    wire = service.connect("127.0.0.1")
    wire.send(f"EHLO a\r\n{mechanism}\r\n".encode())
    assert [(each.user, each.tried) for each in service.sessions.transcripts] == [("", "bob")]
    wire.send(b"AUTH PLAIN AGFsaWNlAHNlc2FtZQ==\r\nQUIT\r\n")
    wire.lose()
    assert [(each.user, each.tried) for each in service.sessions.transcripts] == [("alice@office.test", "")]


@pytest.mark.parametrize("rest", ["c2VzYW1l\r\n*", "c2VzYW1l\r\n!", "c2VzYW1l"])
def test_half_a_log_in_leaves_no_name(rest: str) -> None:
    """It might be a password: the client may have lost its count."""
    service = Service(submission=True)
    service.connect("127.0.0.1").send(f"EHLO a\r\nAUTH LOGIN\r\n{rest}\r\n".encode())
    assert [each.tried for each in service.sessions.transcripts] == [""]


def test_login_is_recorded_without_secrets() -> None:
    service = Service(submission=True)
    wire = service.connect("127.0.0.1")
    wire.send(b"EHLO a\r\nAUTH LOGIN\r\nYWxpY2VAb2ZmaWNlLnRlc3Q=\r\nc2VzYW1l\r\nNOOP\r\n")
    assert dialogue(service)[-8:] == [
        "C AUTH LOGIN",
        "S 334 ***",
        "C ***",
        "S 334 ***",
        "C ***",
        "S 235 2.7.0 Logged in",
        "C NOOP",
        "S 250 2.0.0 Ok",
    ]
    (transcript,) = service.sessions.transcripts
    assert (transcript.user, transcript.service, transcript.ended) == ("alice@office.test", "submission", "")


def test_starttls_is_recorded() -> None:
    service = Service(tls=object())
    wire = service.connect()
    wire.send(b"EHLO a\r\nSTARTTLS\r\n")
    wire.shake_hands()
    assert dialogue(service)[-3:] == [
        "C STARTTLS",
        "S 220 2.0.0 Ready to start TLS",
        "- (TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)",
    ]


def test_ends_are_recorded(service: Service) -> None:
    """Lost, silent, one connection too many, and the server's own end."""
    service.connect().lose()
    silent = service.connect()
    service.clock.advance(COMMAND)
    silent.lose()
    for _ in range(11):
        service.connect()
    for session in list(service.connections._open):
        session.stop()
        session.abort()
    ended = [each.ended for each in service.sessions.transcripts]
    assert ended == ["lost", "time-out", *["server stopped"] * 10, "421 4.7.0"]


def test_named_client_is_recorded(service: Service) -> None:
    """The one whom the proxy speaks for."""
    wire = service.connect(PROXY)
    wire.send(b"XCLIENT ADDR=192.0.2.8\r\n")
    wire.lose()
    assert service.sessions.transcripts[0].client == "192.0.2.8"
    assert dialogue(service)[1:3] == ["C XCLIENT ADDR=192.0.2.8", "S 220 mail.office.test ESMTP mailstack"]
