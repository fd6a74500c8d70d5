"""Users' mail programs, and a server that sends through us: each with STARTTLS and implicit TLS, each mechanism that
it knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.live.fake_server import certificate
from tests.live.office import Office
from tests.live.postfix import Postfix
from tests.live.programs import run
from tests.live.sink import Sink
from tests.live.waiting import eventually
from tests.live.wire import DOMAIN, PASSWORD

USER = f"alice@{DOMAIN}"
LETTER = f"From: {USER}\nTo: x@away.test\nSubject: by a client\n\nhello\n"

#: Sends LETTER to x@away.test: office, whether TLS is there from the first octet, mechanism, a folder of its own.
Send = Callable[[Office, bool, str, Path], None]


def _port(office: Office, implicit: bool) -> int:
    return office.port.submissions if implicit else office.port.submission


def curl(office: Office, implicit: bool, mechanism: str, folder: Path) -> None:
    (folder / "letter").write_bytes(LETTER.replace("\n", "\r\n").encode())
    (folder / "curlrc").write_text(f'user = "{USER}:{PASSWORD}"\ninsecure\nssl-reqd\nsilent\nshow-error\n')
    url = f"{'smtps' if implicit else 'smtp'}://127.0.0.1:{_port(office, implicit)}/client.test"
    envelope = ("--mail-from", USER, "--mail-rcpt", "x@away.test", "--upload-file", folder / "letter")
    run("curl", "-K", folder / "curlrc", "--login-options", f"AUTH={mechanism}", url, *envelope)


def msmtp(office: Office, implicit: bool, mechanism: str, folder: Path) -> None:
    settings = folder / "msmtprc"
    settings.write_text(
        f"account here\nhost 127.0.0.1\nport {_port(office, implicit)}\ntls on\n"
        f"tls_starttls {'off' if implicit else 'on'}\ntls_certcheck off\nauth {mechanism.lower()}\n"
        f"user {USER}\npassword {PASSWORD}\nfrom {USER}\n"
    )
    settings.chmod(0o600)
    run("msmtp", "-C", settings, "-a", "here", "x@away.test", input=LETTER)


def mutt(office: Office, implicit: bool, mechanism: str, folder: Path) -> None:
    scheme = "smtps" if implicit else "smtp"
    trusted = folder / "trusted"
    trusted.write_bytes((office.data / "tls/cert.pem").read_bytes())
    settings = folder / "muttrc"
    settings.write_text(
        f'set smtp_url="{scheme}://{quote(USER)}@127.0.0.1:{_port(office, implicit)}/"\nset smtp_pass="{PASSWORD}"\n'
        f'set smtp_authenticators="{mechanism.lower()}"\nset ssl_force_tls=yes\nset certificate_file="{trusted}"\n'
        f'set ssl_verify_host=no\nset ssl_verify_dates=no\nset from="{USER}"\nset use_from=yes\nset copy=no\n'
        f'set envelope_from_address="{USER}"\nset use_envelope_from=yes\n'
    )
    run("mutt", "-n", "-F", settings, "-s", "by a client", "x@away.test", input="hello\n", cwd=folder)


def s_nail(office: Office, implicit: bool, mechanism: str, folder: Path) -> None:
    scheme = "smtps" if implicit else "smtp"
    place = f"{quote(USER, safe='')}:{quote(PASSWORD)}@127.0.0.1:{_port(office, implicit)}"
    settings = {
        "v15-compat": "yes",
        "mta": f"{scheme}://{place}",
        "smtp-auth": mechanism.lower(),
        "tls-verify": "ignore",
        "from": USER,
        "sendwait": "yes",
        "save": "no",
        **({} if implicit else {"smtp-use-starttls": "yes"}),
    }
    words = [word for key, value in settings.items() for word in ("-S", f"{key}={value}")]
    run("s-nail", "-n", *words, "-s", "by a client", "x@away.test", input="hello\n")


def swaks(office: Office, implicit: bool, mechanism: str, folder: Path) -> None:
    (folder / "letter").write_text(LETTER.removesuffix("\n"))
    place = ("--server", "127.0.0.1", "--port", _port(office, implicit), "--tls-on-connect" if implicit else "--tls")
    login = ("--auth", mechanism, "--auth-user", USER, "--auth-password", PASSWORD)
    run("swaks", *place, *login, "--from", USER, "--to", "x@away.test", "--data", f"@{folder / 'letter'}")


CLIENTS: dict[Send, tuple[str, ...]] = {
    curl: ("PLAIN", "LOGIN"),
    msmtp: ("PLAIN", "LOGIN", "SCRAM-SHA-256"),
    mutt: ("PLAIN", "LOGIN", "SCRAM-SHA-256"),
    s_nail: ("PLAIN", "LOGIN"),
    swaks: ("PLAIN", "LOGIN"),
}


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize(
    ("send", "mechanism"),
    [pytest.param(send, each, id=f"{send.__name__}-{each}") for send, known in CLIENTS.items() for each in known],
)
def test_client(office: Office, sink: Sink, send: Send, mechanism: str, implicit: bool, tmp_path: Path) -> None:
    send(office, implicit, mechanism, tmp_path)
    assert eventually(lambda: sink.letters)
    (letter,) = sink.letters
    assert (letter.sender, letter.recipients) == (USER, ["x@away.test"])
    assert b"with ESMTPSA id" in letter.content
    assert b"Subject: by a client" in letter.content
    assert letter.content.endswith(b"\r\n\r\nhello\r\n")


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_postfix(office: Office, sink: Sink, mechanism: str, implicit: bool, open_folder: Path) -> None:
    """Another office's server, which logs in to send."""
    certificate(open_folder, "mx.away.test")
    relay = f"[127.0.0.1]:{_port(office, implicit)}"
    settings = {
        "mynetworks": "127.0.0.0/8",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "virtual_mailbox_domains": "",
        "relayhost": relay,
        "smtp_tls_security_level": "encrypt",
        "smtp_tls_wrappermode": "yes" if implicit else "no",
        "smtp_sasl_auth_enable": "yes",
        "smtp_sasl_password_maps": "texthash:{root}/conf/passwords",
        "smtp_sasl_security_options": "noanonymous",
        "smtp_sasl_tls_security_options": "noanonymous",
        "smtp_sasl_mechanism_filter": mechanism,
    }
    postfix = Postfix(open_folder / "postfix", open_folder / "server.pem", settings)
    (postfix.conf / "passwords").write_text(f"{relay} {USER}:{PASSWORD}\n")
    with postfix:
        place = ("--server", "127.0.0.1", "--port", postfix.port, "--from", USER, "--to", "x@away.test")
        run("swaks", *place, "--body", "hello")
        assert eventually(lambda: sink.letters)
    (letter,) = sink.letters
    assert letter.sender == USER
    assert b"with ESMTPSA id" in letter.content
    assert b"(Postfix) with" in letter.content
