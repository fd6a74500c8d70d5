"""Dovecot: beside our server, on the same Maildirs, and behind it, taking mail by LMTP. It needs root; the mail is
NOBODY's."""

from __future__ import annotations

import contextlib
import os
import poplib
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from tests.live.ports import free_ports
from tests.live.programs import NOBODY, need_root, program, run, run_anyhow
from tests.live.waiting import eventually

PASSWORD = "another-one"

#: Dovecot 2.3's syntax, of which 2.4 wants another.
_CONFIGURATION = """\
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
protocols = pop3 lmtp
ssl = no
disable_plaintext_auth = no
hostname = store.test
postmaster_address = postmaster@store.test
mail_location = maildir:{mail}/%d/%n
first_valid_uid = 1
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner} home={mail}/%d/%n allow_all_users=yes
}}
"""


#: What it takes by LMTP, over TCP and over a socket; ``full`` has no room for anything.
_LMTP = """\
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
protocols = lmtp
ssl = no
hostname = store.test
postmaster_address = postmaster@store.test
mail_location = maildir:{root}/mail/%n
first_valid_uid = 1
mail_plugins = quota
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener {root}/lmtp {{
    mode = 0666
  }}
}}
passdb {{
  driver = passwd-file
  args = {root}/users
}}
userdb {{
  driver = passwd-file
  args = {root}/users
}}
protocol lmtp {{
  mail_plugins = $mail_plugins
}}
plugin {{
  quota = maildir:User quota
  quota_grace = 0
}}
"""


@frozen
class Store:
    """Where it takes mail for alice, bob and full@store.test, and what it has got."""

    root: Path
    port: int

    @property
    def socket(self) -> Path:
        return self.root / "lmtp"

    def letters(self, user: str) -> list[Path]:
        return list(self.root.glob(f"mail/{user}/new/*"))


@frozen
class Beside:
    """It takes mail for everybody, and everybody logs in with :data:`PASSWORD`."""

    configuration: Path
    port: int
    lmtp: int

    @contextlib.contextmanager
    def pop3(self, address: str) -> Iterator[poplib.POP3]:
        client = poplib.POP3("127.0.0.1", self.port, timeout=30)
        client.user(address)
        client.pass_(PASSWORD)
        yield client
        client.quit()

    def deliver(self, address: str, letter: bytes) -> None:
        """By its LDA, as Postfix or fetchmail would."""
        words = ("-c", self.configuration, "-d", address, "-f", "friend@far.test")
        run("/usr/lib/dovecot/dovecot-lda", *words, input=letter)

    def send(self, address: str, letter: bytes) -> None:
        """By LMTP."""
        with smtplib.LMTP("127.0.0.1", self.lmtp) as client:
            client.sendmail("friend@far.test", [address], letter)

    def doveadm(self, *words: str) -> str:
        return run("doveadm", "-c", self.configuration, *words).stdout


@contextlib.contextmanager
def dovecot(root: Path, mail: Path, more: str = "") -> Iterator[Beside]:
    """``more`` is added to its configuration."""
    program("/usr/lib/dovecot/lmtp")
    port, lmtp = free_ports(2)
    places = {"root": root, "mail": mail, "port": port, "lmtp": lmtp}
    with _running(root, _CONFIGURATION.format(**places, password=PASSWORD, owner=NOBODY) + more):
        yield Beside(root / "dovecot.conf", port, lmtp)


@contextlib.contextmanager
def lmtp_store(root: Path) -> Iterator[Store]:
    need_root()
    program("/usr/lib/dovecot/lmtp")
    (port,) = free_ports(1)
    root.mkdir()
    (root / "mail").mkdir()
    os.chown(root / "mail", NOBODY, NOBODY)
    quotas = {"alice": "1G", "bob": "1G", "full": "1"}
    lines = [
        f"{name}@store.test:{{PLAIN}}x:{NOBODY}:{NOBODY}::{root}/mail/{name}::userdb_quota_rule=*:bytes={quota}"
        for name, quota in quotas.items()
    ]
    (root / "users").write_text("\n".join([*lines, ""]))
    with _running(root, _LMTP.format(root=root, port=port)):
        yield Store(root, port)


@contextlib.contextmanager
def _running(root: Path, text: str) -> Iterator[None]:
    need_root()
    command = program("dovecot")
    root.mkdir(exist_ok=True)
    configuration = root / "dovecot.conf"
    configuration.write_text(text)
    with (root / "output").open("wb") as output:
        # In the foreground, so that it is our child and nobody else's.
        process = subprocess.Popen([command, "-F", "-c", configuration], stdout=output, stderr=output)
    try:
        assert eventually(lambda: _listens(configuration) or process.poll() is not None)
        assert process.poll() is None, (root / "output").read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)
        print((root / "log").read_text()[-3000:])


def _listens(configuration: Path) -> bool:
    return run_anyhow("doveadm", "-c", configuration, "service", "status").returncode == 0
