"""Mail programs that fetch by POP3, each called as its manual says. Where a program remembers what it has, that is in
the folder that it is given: called again with the same folder it must not fetch the same again.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from attrs import frozen

from tests.live.office import Office
from tests.live.programs import run
from tests.live.terminal import run_in_terminal
from tests.live.thunderbird import Thunderbird
from tests.live.wire import DOMAIN, PASSWORD

STLS, IMPLICIT = "STLS", "implicit TLS"


@frozen
class Visit:
    """To the mailbox of ``user``; with ``keep`` the letters stay on the server."""

    office: Office
    user: str
    tls: str
    mechanism: str  #: how to log in; "": let the program choose
    keep: bool
    folder: Path

    @property
    def port(self) -> int:
        return self.office.port.pop3s if self.tls == IMPLICIT else self.office.port.pop3

    @property
    def scheme(self) -> str:
        return "pop3s" if self.tls == IMPLICIT else "pop3"

    @property
    def name(self) -> str:
        return f"{self.user}@{DOMAIN}"

    def write(self, name: str, text: str) -> Path:
        """A file of settings with a password in it."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def maildir(self) -> Path:
        """Where to put letters."""
        folder = self.folder / "Mail"
        for part in ("tmp", "new", "cur"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        return folder


#: All letters that the program has by now, with line ends of either kind, in any order.
Fetch = Callable[[Visit], list[bytes]]


def curl(visit: Visit) -> list[bytes]:
    """It has no memory: here it is one script that fetches what has a unique-id that it has not seen."""
    starttls = "" if visit.tls == IMPLICIT else "ssl-reqd\n"
    settings = visit.write("curlrc", f'user = "{visit.name}:{PASSWORD}"\n{starttls}insecure\nsilent\nshow-error\n')
    letters, url = visit.maildir() / "new", f"{visit.scheme}://127.0.0.1:{visit.port}/"
    listed = [line.split() for line in run("curl", "-K", settings, url, "-X", "UIDL").stdout.splitlines()]
    # One session for all of them.
    wanted = [word for number, uid in listed if not (letters / uid).exists() for word in (number, uid)]
    if wanted:
        pairs = zip(wanted[::2], wanted[1::2], strict=True)
        run("curl", "-K", settings, *(word for number, uid in pairs for word in (url + number, "-o", letters / uid)))
    if listed and not visit.keep:
        deletions = [word for number, _ in listed for word in (url + number,)]
        run("curl", "-K", settings, "-I", "-X", "DELE", *deletions)
    return contents(letters.iterdir())


def mpop(visit: Visit) -> list[bytes]:
    settings = visit.write(
        "mpoprc",
        f"account here\nhost 127.0.0.1\nport {visit.port}\ntls on\ntls_certcheck off\n"
        f"tls_starttls {'off' if visit.tls == IMPLICIT else 'on'}\nauth {visit.mechanism.lower() or 'on'}\n"
        f"user {visit.name}\npassword {PASSWORD}\nkeep {'on' if visit.keep else 'off'}\nreceived_header off\n"
        f"delivery maildir {visit.maildir()}\nuidls_file {visit.folder / 'uidls'}\n",
    )
    run("mpop", "-C", settings, "here")
    return contents((visit.maildir() / "new").iterdir())


def fetchmail(visit: Visit) -> list[bytes]:
    letters = visit.maildir() / "new"
    settings = visit.write(
        "fetchmailrc",
        f"set no bouncemail\nset invisible\npoll 127.0.0.1 service {visit.port} protocol pop3 uidl timeout 30\n"
        f' username "{visit.name}" password "{PASSWORD}" is {getpass.getuser()} here\n'
        f' {"ssl" if visit.tls == IMPLICIT else "no ssl"} no sslcertck sslproto "tls1.2+"\n'
        f" no rewrite pass8bits no mimedecode no stripcr {'keep' if visit.keep else 'no keep'}\n"
        f' mda "{saver(visit.folder, letters)}"\n',
    )
    ids = visit.folder / "fetchids"
    # 1 tells that there was nothing new.
    code = 1 if list(letters.iterdir()) else 0
    run("fetchmail", "-f", settings, "-i", ids, "--pidfile", visit.folder / "pid", "--nosyslog", "--silent", code=code)
    return contents(letters.iterdir())


def getmail(visit: Visit) -> list[bytes]:
    """It has no STLS. Its own Maildirs are not for root."""
    letters = visit.maildir() / "new"
    settings = visit.write(
        "getmailrc",
        f"[retriever]\ntype = SimplePOP3SSLRetriever\nserver = 127.0.0.1\nport = {visit.port}\n"
        f"username = {visit.name}\npassword = {PASSWORD}\n"
        f"[destination]\ntype = MDA_external\npath = {saver(visit.folder, letters)}\nallow_root_commands = true\n"
        f"[options]\nread_all = false\ndelete = {'false' if visit.keep else 'true'}\n"
        "delivered_to = false\nreceived = false\n",
    )
    run("getmail", "--getmaildir", visit.folder, "--rcfile", settings)
    return [letter.removeprefix(b"Return-Path: <unknown>\n") for letter in contents(letters.iterdir())]


def mutt(visit: Visit) -> list[bytes]:
    """It opens the mailbox over the net, and copies what is there. Its cache has what it fetched as it came.

    It has to be told how to log in: with GNU SASL it chooses SCRAM-SHA-256-PLUS by itself, which it cannot do.
    """
    cache, scheme = visit.folder / "cache", "pops" if visit.tls == IMPLICIT else "pop"
    cache.mkdir(exist_ok=True)
    url = f"{scheme}://{quote(visit.name)}@127.0.0.1:{visit.port}"
    copy = "<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>=copy<enter>"
    remove = "" if visit.keep else "<delete-pattern>~A<enter>"
    settings = visit.write(
        "muttrc",
        f"set folder={visit.folder} mbox_type=maildir confirmappend=no confirmcreate=no move=no quit=yes delete=yes\n"
        "set sleep_time=0\n"
        f'set pop_pass="{PASSWORD}" pop_authenticators="{visit.mechanism.lower()}" ssl_starttls=yes\n'
        f"set ssl_verify_host=no ssl_verify_dates=no certificate_file={visit.folder}/certificates\n"
        f"set ssl_ca_certificates_file={visit.office.data}/tls/cert.pem\n"
        f"set message_cachedir={cache} header_cache={visit.folder}/headers message_cache_clean=no\n"
        f'push "{copy}{remove}<quit>"\n',
    )
    code, drawn = run_in_terminal("mutt", "-n", "-F", settings, "-f", url, home=visit.folder)
    assert code == 0, drawn
    # What it has removed is no longer in its cache.
    found = cache if visit.keep else visit.folder / "copy"
    return contents(path for path in found.rglob("*") if path.is_file())


def thunderbird(visit: Visit) -> list[bytes]:
    with Thunderbird(visit.folder) as program:
        return program.fetch(visit.name, PASSWORD, visit.port, visit.tls == IMPLICIT, visit.keep)


def saver(folder: Path, letters: Path) -> Path:
    """A program that takes one letter, and gives it the next number."""
    script = folder / "save"
    script.write_text(f"#!/bin/sh\nexec cat > {letters}/$(ls {letters} | wc -l)\n")
    script.chmod(0o700)
    return script


def contents(paths: Iterator[Path]) -> list[bytes]:
    return [path.read_bytes() for path in paths]
