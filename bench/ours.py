"""This server with a benchmark configuration, everything in one folder.

    with Mailstack(root, port, sink) as server: ...      # server.mail, server.pid()

The same conditions as :mod:`postfix`: mail for example.org goes to Maildirs ``ROOT/data/mail/example.org/USER``, all
other mail to port ``sink`` of the loopback, and no limit is set for the one client there. All checks are on, everything
is durable, and how many letters go out at a time is the default. The limit of recipients an hour, which only our users
have, is out of reach.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys

from postfix import USERS, wait_greeting

CONF = """\
[server]
hostname = mail.example.org
domains = example.org
data = data
[smtp]
listen = tcp:{port}:interface=127.0.0.1
[submission]
listen = {submission}
listen_tls =
[pop3]
listen = {pop3}
listen_tls =
[relay]
networks = 127.0.0.0/8
[routes]
{routes}
[spool]
sync = {sync}
[limits]
connections = 15000
connections_per_client = 15000
recipients_per_hour = 1000000
{more}
"""


START_WITHIN = 120  # seconds; a queue of a million is looked through first


class Mailstack:
    def __init__(
        self,
        root: str | pathlib.Path,
        port: int,
        sink: int,
        sync: str = "auto",
        users: list[str] = USERS,
        routes: str = "",
        more: str = "",
        pop3: int = 0,
        submission: int = 0,
    ) -> None:
        """``routes`` in the place of the one to the sink, ``more`` sections of mail.ini, ``pop3`` and ``submission``
        ports. Everybody's password is ``pw``."""
        self.root = pathlib.Path(root).resolve()
        self.port, self.sync, self.users = port, sync, users
        self.mail = self.root / "data/mail"
        self.submission = submission
        self._listen = {
            name: f"tcp:{number}:interface=127.0.0.1" if number else ""
            for name, number in (("pop3", pop3), ("submission", submission))
        }
        self._routes, self._more = routes or f"* = smtp:[127.0.0.1]:{sink}", more

    def start(self) -> Mailstack:
        (self.root / "data").mkdir(parents=True, exist_ok=True)
        (self.root / "mail.ini").write_text(
            CONF.format(port=self.port, sync=self.sync, routes=self._routes, more=self._more, **self._listen)
        )
        (self.root / "data/users").write_text("".join(f"{user}@example.org:{{PLAIN}}pw\n" for user in self.users))
        (self.root / "data/aliases").touch()
        with (self.root / "log").open("wb") as log:
            twistd = pathlib.Path(sys.executable).with_name("twistd")
            command = [twistd, "-n", "--pidfile=", "mailstack", "-c", self.root / "mail.ini"]
            self._process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, cwd=self.root)
        wait_greeting(self.port, START_WITHIN)
        return self

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)

    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Mailstack:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()
