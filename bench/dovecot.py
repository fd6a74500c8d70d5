"""Dovecot with a benchmark configuration, everything in one folder. Needs Debian's ``dovecot-pop3d`` (2.3) and root.

    with Dovecot(root, port) as server: ...      # server.mail, server.pid()

Account USER@example.org has the password ``PASSWORD`` and the Maildir ``ROOT/mail/example.org/USER``, which belongs to
the user nobody. Indexes are on, as they come. No limit is set for the one client there, a session may take the memory
that a million letters need, and log-in processes are kept (``service_count = 0``): that is Dovecot's own advice for
speed. The socket ``server.auth`` is for Postfix; without a port, nothing else is served.
"""

from __future__ import annotations

import os
import pathlib
import signal
import time
from collections.abc import Sequence

from postfix import OWNER, call, prepare, wait_greeting

PASSWORD = "pw"

#: 2.3's syntax; 2.4 has another one.
CONF = """\
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
protocols = pop3
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{root}/mail/%d/%n
first_valid_uid = 100
mail_max_userip_connections = 10000
service pop3-login {{
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
  service_count = 0
  process_min_avail = 2
  client_limit = 5000
}}
service pop3 {{
  process_limit = 1000
  vsz_limit = 4G
}}
service auth {{
  client_limit = 20000
  unix_listener {root}/auth {{
    mode = 0666
  }}
}}
service anvil {{
  client_limit = 20000
}}
passdb {{
  driver = passwd-file
  args = {root}/passwd
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner} home={root}/mail/%d/%n
}}
"""


class Dovecot:
    def __init__(self, root: str | pathlib.Path, port: int, users: Sequence[str]) -> None:
        self.root = pathlib.Path(root).resolve()
        self.port, self.mail, self.users = port, self.root / "mail", users
        self.auth = self.root / "auth"
        self._conf = self.root / "dovecot.conf"

    def start(self) -> Dovecot:
        prepare(self.root, self.mail / "example.org")
        self._conf.write_text(CONF.format(root=self.root, port=self.port, owner=OWNER))
        (self.root / "passwd").write_text("".join(f"{user}@example.org:{{PLAIN}}{PASSWORD}\n" for user in self.users))
        call("dovecot", "-c", self._conf)
        if self.port:
            wait_greeting(self.port)
        return self

    def stop(self) -> None:
        """``dovecot stop`` waits three seconds where nobody reaps the process, as in a container."""
        pid = self.pid()
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 10
        while _runs(pid) and time.monotonic() < end:
            time.sleep(0.02)

    def pid(self) -> int:
        return int((self.root / "run/master.pid").read_text())

    def __enter__(self) -> Dovecot:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()


def _runs(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
