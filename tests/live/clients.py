"""Mail programs, each called as its manual says: some send a letter, some fetch all that is there."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path

from tests.live.office import Office
from tests.live.programs import run
from tests.live.wire import DOMAIN, PASSWORD

Send = Callable[[Office, str, bytes, Path], None]
Fetch = Callable[[Office, str, Path], list[bytes]]

SENDER = "friend@far.test"


# ---- Send a letter (CRLF line ends) to one of our users, as another server would


def swaks(office: Office, user: str, letter: bytes, folder: Path) -> None:
    """It ends the last line by itself."""
    (folder / "letter").write_bytes(letter.removesuffix(b"\r\n"))
    place = ("--server", "127.0.0.1", "--port", office.port.smtp, "--helo", "client.test")
    envelope = ("--from", SENDER, "--to", f"{user}@{DOMAIN}")
    run("swaks", *place, *envelope, "--data", f"@{folder / 'letter'}", "--hide-all")


def curl(office: Office, user: str, letter: bytes, folder: Path) -> None:
    (folder / "letter").write_bytes(letter)
    place = f"smtp://127.0.0.1:{office.port.smtp}/client.test"
    envelope = ("--mail-from", SENDER, "--mail-rcpt", f"{user}@{DOMAIN}")
    run("curl", "-sS", place, *envelope, "--upload-file", folder / "letter")


# ---- Fetch all letters, the oldest first


def curl_pop3(office: Office, user: str, folder: Path) -> list[bytes]:
    credentials = folder / "curlrc"
    credentials.write_text(f'user = "{user}@{DOMAIN}:{PASSWORD}"\ninsecure\nssl-reqd\nsilent\nshow-error\n')
    url = f"pop3://127.0.0.1:{office.port.pop3}/"
    numbers = [line.split()[0] for line in run("curl", "-K", credentials, url).stdout.splitlines()]
    return [run("curl", "-K", credentials, f"{url}{number}").stdout.encode("latin-1") for number in numbers]


def mpop(office: Office, user: str, folder: Path) -> list[bytes]:
    (folder / "Mail").mkdir()
    for part in ("tmp", "new", "cur"):
        (folder / "Mail" / part).mkdir()
    settings = folder / "mpoprc"
    settings.write_text(
        f"account here\nhost 127.0.0.1\nport {office.port.pop3}\ntls on\ntls_starttls on\ntls_certcheck off\n"
        f"user {user}@{DOMAIN}\npassword {PASSWORD}\nauth user\nkeep on\nreceived_header off\n"
        f"delivery maildir {folder / 'Mail'}\nuidls_file {folder / 'uidls'}\n"
    )
    settings.chmod(0o600)
    run("mpop", "-C", settings, "here")
    fetched = sorted((folder / "Mail/new").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return [path.read_bytes() for path in fetched]


def fetchmail(office: Office, user: str, folder: Path) -> list[bytes]:
    """Each letter goes to a program; ours counts them."""
    saver = folder / "save"
    saver.write_text(f"#!/bin/sh\ncat > {folder}/fetched.$(ls {folder} | grep -c fetched)\n")
    saver.chmod(0o700)
    settings = folder / "fetchmailrc"
    settings.write_text(
        f"set no bouncemail\nset invisible\npoll 127.0.0.1 service {office.port.pop3} protocol pop3 timeout 30\n"
        f' username "{user}@{DOMAIN}" password "{PASSWORD}" is {getpass.getuser()} here\n'
        f' no rewrite pass8bits no mimedecode no stripcr fetchall keep no sslcertck sslproto "tls1.2+" mda "{saver}"\n'
    )
    settings.chmod(0o600)
    run("fetchmail", "-f", settings, "--pidfile", folder / "pid", "--nosyslog", "--silent")
    return [path.read_bytes() for path in sorted(folder.glob("fetched.*"))]


def poplib(office: Office, user: str, folder: Path) -> list[bytes]:
    with office.pop3(user) as client:
        count, _ = client.stat()
        return [b"\r\n".join([*client.retr(number)[1], b""]) for number in range(1, count + 1)]
