"""Users' mail programs log in, with STARTTLS, with TLS from the first octet, and in plain on loopback."""

from __future__ import annotations

import ssl
import subprocess
import time

import pytest

from tests.live.office import Office
from tests.live.programs import missing, run_anyhow
from tests.live.sink import Sink
from tests.live.waiting import eventually
from tests.live.wire import DOMAIN, PASSWORD, UNVERIFIED, Wire

TLS = {"plain": (), "starttls": ("--tls",), "implicit": ("--tls-on-connect",)}


def swaks(office: Office, tls: str, mechanism: str, name: str, password: str) -> subprocess.CompletedProcess[str]:
    port = office.port.submissions if tls == "implicit" else office.port.submission
    place = ("--server", "127.0.0.1", "--port", port, *TLS[tls])
    login = ("--auth", mechanism, "--auth-user", name, "--auth-password", password)
    done = run_anyhow("swaks", *place, *login, "--from", f"alice@{DOMAIN}", "--to", "x@away.test")
    if "TLS not available" in done.stderr:
        missing("swaks cannot speak TLS: Perl's Net::SSLeay is not installed")
    return done


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("tls", TLS)
def test_swaks(office: Office, sink: Sink, tls: str, mechanism: str) -> None:
    done = swaks(office, tls, mechanism, f"Alice@{DOMAIN.upper()}", PASSWORD)
    assert done.returncode == 0, done.stdout
    assert "235 2.7.0" in done.stdout
    assert eventually(lambda: sink.letters)
    protocol = "ESMTPA" if tls == "plain" else "ESMTPSA"
    assert f"with {protocol} id".encode() in sink.letters[0].content
    office.wait_for_log("from=<alice@office.test>", f"proto={protocol}", "sasl_username=alice@office.test")


@pytest.mark.parametrize("name", [f"bob@{DOMAIN}", "bob"])
def test_local_part_is_enough(office: Office, name: str) -> None:
    """Where there is one domain."""
    assert "235 2.7.0" in swaks(office, "starttls", "LOGIN", name, PASSWORD).stdout


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("name", [f"carol@{DOMAIN}", f"no-such-user@{DOMAIN}"])
def test_wrong_password(office: Office, sink: Sink, name: str, mechanism: str) -> None:
    """Unknown users and wrong passwords are alike; the log tells who tried, and not what."""
    done = swaks(office, "starttls", mechanism, name, "not-the-password")
    assert done.returncode != 0
    assert "535 5.7.8" in done.stdout
    office.wait_for_log(f"SASL {mechanism} authentication failed", f"sasl_username={name}")
    assert "not-the-password" not in office.log()
    assert sink.heard == []


def test_answers_wait_after_failures_and_nobody_else_does(office: Office) -> None:
    """The fifth try from one address gets its answer a second later; meanwhile others are served."""
    with Wire(office.port.submission, "127.0.9.9") as guesser, Wire(office.port.smtp) as other:
        guesser.ask(b"EHLO client.test")
        for _ in range(4):
            assert guesser.ask(b"AUTH PLAIN AHN0cmFuZ2VyAGd1ZXNz").startswith("535 5.7.8 ")
        begun = time.monotonic()
        guesser.send(b"AUTH PLAIN AHN0cmFuZ2VyAGd1ZXNz\r\n")
        assert other.ask(b"NOOP").startswith("250 ")
        assert time.monotonic() - begun < 0.5
        assert guesser.reply().startswith("535 5.7.8 ")
        assert time.monotonic() - begun >= 0.99


def test_no_login_for_other_servers(office: Office) -> None:
    """AUTH is where it can succeed, and nowhere else."""
    with Wire(office.port.smtp) as wire:
        assert "AUTH" not in wire.ask(b"EHLO client.test")
        assert wire.ask(b"AUTH PLAIN AGEAYg==").startswith("502 5.5.1 ")
    with Wire(office.port.submission) as wire:
        assert "AUTH PLAIN LOGIN" in wire.ask(b"EHLO client.test")
        assert wire.ask(b"MAIL FROM:<alice@office.test>").startswith("530 5.7.0 ")


def test_greeting_starts_anew_after_starttls(office: Office) -> None:
    """What was said in plain is forgotten: RFC 3207 §4.2."""
    with office.smtp() as client:
        client.ehlo()
        client.mail("friend@far.test")
        code, _ = client.docmd("STARTTLS")
        assert code == 503  # in the middle of a message
        client.rset()
        client.starttls(context=UNVERIFIED)
        assert client.docmd("MAIL FROM:<friend@far.test>")[0] == 503
        client.ehlo()
        assert "starttls" not in client.esmtp_features


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_refused(office: Office) -> None:
    """RFC 8996."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with office.smtp() as client, pytest.raises(ssl.SSLError):
        client.starttls(context=old)
    with office.smtp() as client:
        assert client.noop()[0] == 250
