"""Dovecot beside our server, which reads the Maildirs that we deliver to. It needs root; the mail is NOBODY's."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.live.ports import free_ports
from tests.live.programs import NOBODY, need_root, program, run_anyhow
from tests.live.waiting import eventually

PASSWORD = "another-one"

#: Dovecot 2.3's syntax, of which 2.4 wants another.
_CONFIGURATION = """\
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
protocols = pop3
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{mail}/%d/%n
first_valid_uid = 1
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


@contextlib.contextmanager
def dovecot(root: Path, mail: Path) -> Iterator[int]:
    """The port of its POP3; accounts log in with :data:`PASSWORD`."""
    need_root()
    command = program("dovecot")
    (port,) = free_ports(1)
    root.mkdir()
    configuration = root / "dovecot.conf"
    configuration.write_text(_CONFIGURATION.format(root=root, mail=mail, port=port, password=PASSWORD, owner=NOBODY))
    with (root / "output").open("wb") as output:
        # In the foreground, so that it is our child and nobody else's.
        process = subprocess.Popen([command, "-F", "-c", configuration], stdout=output, stderr=output)
    try:
        assert eventually(lambda: _listens(configuration) or process.poll() is not None)
        assert process.poll() is None, (root / "output").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _listens(configuration: Path) -> bool:
    return run_anyhow("doveadm", "-c", configuration, "service", "status").returncode == 0
