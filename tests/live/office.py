"""A real server in a folder of its own, used through the names that operators and their scripts use."""

from __future__ import annotations

import contextlib
import json
import poplib
import resource
import signal
import smtplib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from attrs import frozen
from click.testing import CliRunner

from mailstack.accounts import passwords, verifiers
from mailstack.accounts.first_start import first_start
from mailstack.accounts.users_file import UsersFile
from mailstack.admin.cli import main
from mailstack.config.reader import load
from mailstack.model.address import Address
from tests.live.ports import free_ports
from tests.live.waiting import PATIENCE, eventually
from tests.live.wire import DOMAIN, PASSWORD, UNVERIFIED, Wire

#: twistd and mailstack stand beside the interpreter that runs the tests.
BIN = Path(sys.executable).parent

Sections = Mapping[str, Mapping[str, str]]

STOP_WITHIN = 10  # seconds


@frozen
class Ports:
    smtp: int
    submission: int
    submissions: int
    pop3: int
    pop3s: int


def loopback(port: int) -> str:
    return f"tcp:{port}:interface=127.0.0.1"


@cache
def _stored() -> tuple[str, str]:
    """The hash of everybody's password, and the keys for SCRAM."""
    stored = passwords.make(PASSWORD)
    return stored, verifiers.make(stored, PASSWORD)


class Office:
    """Start it with :meth:`start`; whatever happens, end it with :meth:`close`."""

    def __init__(self, root: Path, sections: Sections | None = None) -> None:
        """``sections`` of mail.ini are laid over the defaults, which send nothing to the world."""
        self.root = root
        self.ini = root / "mail.ini"
        self.data = root / "data"
        self.users = root / "users"
        self.aliases = root / "aliases"
        self.log_file = root / "log"
        self.port = Ports(*free_ports(5))
        self.under: Sequence[str] = ()  #: a program, with options, that runs the server and has its process id
        self.greets_within = PATIENCE  #: seconds
        self.descriptors: int | None = None  #: that the server may have; None: as many as we
        self._process: subprocess.Popen[bytes] | None = None
        self.aliases.touch()
        self.configure(sections or {})

    # ---- Configuration and accounts

    def configure(self, sections: Sections) -> None:
        """Write mail.ini."""
        merged = {name: {**keys, **sections.get(name, {})} for name, keys in self._defaults().items()}
        merged |= {name: dict(keys) for name, keys in sections.items() if name not in merged}
        lines = []
        for name, keys in merged.items():
            lines += [f"[{name}]", *(f"{key} = {value}" for key, value in keys.items())]
        self.ini.write_text("\n".join([*lines, ""]))

    def _defaults(self) -> Sections:
        port = self.port
        return {
            "server": {"hostname": f"mail.{DOMAIN}", "domains": DOMAIN, "data": "data"},
            "accounts": {"users": "users", "aliases": "aliases"},
            "smtp": {"listen": loopback(port.smtp)},
            "submission": {"listen": loopback(port.submission), "listen_tls": loopback(port.submissions)},
            "pop3": {"listen": loopback(port.pop3), "listen_tls": loopback(port.pop3s)},
            "queue": {"retry": "1s 2s"},
            "routes": {"*": "smtp:[127.0.0.1]:1"},
            "dns": {"servers": "127.0.0.1:1"},
        }

    def cli(self, *words: str, input: str = "", code: int = 0) -> str:
        """Run ``mailstack …``; what it prints. Its exit code must be ``code``."""
        done = subprocess.run(
            [BIN / "mailstack", "-c", self.ini, *words], input=input, text=True, capture_output=True, timeout=60
        )
        assert done.returncode == code, f"mailstack {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout if code == 0 else done.stderr

    def add_users(self, *names: str) -> None:
        """As ``mailstack user add`` does, but with one hash for all and no process for each, which would take longer
        than all else that most tests do."""
        if not names:
            return  # mail.ini may be one that is refused
        settings = load(self.ini, files=False)
        first_start(settings)
        for name in names:
            UsersFile(settings.accounts.users).add(Address.parse(f"{name}@{DOMAIN}").canonical, *_stored())

    # ---- The process

    def start(self, *options: str) -> Office:
        """Returns when it greets. ``options`` are twistd's."""
        self._process = self.launch(*options)
        greets = eventually(lambda: self.ended is not None or self._greets(), self.greets_within)
        assert greets, f"it does not greet:\n{self.log()[-3000:]}"
        assert self.ended is None, f"it ended at once:\n{self.log()}"
        return self

    def launch(self, *options: str) -> subprocess.Popen[bytes]:
        """twistd in the foreground, its output appended to the log."""
        with self.log_file.open("ab") as log:
            command = [*self.under, BIN / "twistd", "-n", "--pidfile=", *options, "mailstack", "-c", self.ini]
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                preexec_fn=self._before,
            )

    def _before(self) -> None:
        """In the new process."""
        # Whoever runs the tests in the background hands down a SIGINT that is ignored.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if self.descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))

    def _greets(self) -> bool:
        try:
            with Wire(self.port.smtp) as client:
                # A good-bye, so that no test finds this connection still open.
                return client.ask(b"QUIT").startswith("221")
        except OSError:
            return False

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was not started"
        return self._process

    @property
    def ended(self) -> int | None:
        """The exit code, None while it runs."""
        return self.process.poll()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> None:
        """The ordinary end: exit code 0 within a few seconds, nothing that looks like a bug in the log."""
        self.signal(signal.SIGTERM)
        assert self.process.wait(STOP_WITHIN) == 0
        assert "Traceback" not in self.log()

    def kill(self) -> None:
        """kill -9, as in a crash."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Whatever the state is; the log goes to the report of a test that failed."""
        if self._process is None:
            return
        try:
            if self.ended is None:
                self.stop()
        finally:
            self.kill()
            print(f"---- log of {self.root}\n{self.log()[-6000:]}")

    # ---- What can be seen

    def log(self) -> str:
        return self.log_file.read_text("utf-8", "backslashreplace") if self.log_file.exists() else ""

    def logged(self, *words: str) -> list[str]:
        """The lines with all of these words; those of the last moment may not be written yet."""
        return [line for line in self.log().splitlines() if all(word in line for word in words)]

    def wait_for_log(self, *words: str) -> str:
        found = eventually(lambda: self.logged(*words))
        assert found, f"no line with {words} in the log:\n{self.log()[-3000:]}"
        return found[-1]

    def maildir(self, user: str) -> Path:
        return self.data / "mail" / DOMAIN / user

    def files(self, user: str) -> list[Path]:
        """The letters in a mailbox, new and seen."""
        folders = (self.maildir(user) / part for part in ("new", "cur"))
        return sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir())

    def wait_for_files(self, user: str, number: int = 1) -> list[Path]:
        eventually(lambda: len(self.files(user)) >= number)
        found = self.files(user)
        assert len(found) == number, f"{len(found)} letters for {user}:\n{self.log()[-3000:]}"
        return found

    def queue(self) -> list[dict[str, Any]]:
        """``mailstack queue list``, in this process: those who wait for something ask again and again."""
        done = CliRunner().invoke(main, ["-c", str(self.ini), "queue", "list", "--json"])
        assert done.exit_code == 0, done.output
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def wait_for_empty_queue(self) -> None:
        """Until no letter waits and no file is left; a file goes some moments after its letter's row."""
        assert eventually(lambda: self.queue() == []), f"it stays in the queue: {self.queue()}"
        assert eventually(lambda: self.spooled() == []), f"it stays in the spool: {self.spooled()}"

    def spooled(self) -> list[Path]:
        """The letters' files in the spool."""
        return list((self.data / "spool/messages").iterdir())

    # ---- Clients

    def smtp(self) -> smtplib.SMTP:
        """Another mail server calls."""
        return smtplib.SMTP("127.0.0.1", self.port.smtp, "client.test", timeout=30)

    def submission(self, user: str) -> smtplib.SMTP:
        """A user's mail program, logged in."""
        client = smtplib.SMTP("127.0.0.1", self.port.submission, "laptop.test", timeout=30)
        client.starttls(context=UNVERIFIED)
        client.login(f"{user}@{DOMAIN}", PASSWORD)
        return client

    @contextlib.contextmanager
    def pop3(self, user: str) -> Any:  # Any: an iterator, as contextmanager wants it
        """A user's mail program, logged in, with TLS from the first octet."""
        client = poplib.POP3_SSL("127.0.0.1", self.port.pop3s, context=UNVERIFIED, timeout=30)
        try:
            client.user(f"{user}@{DOMAIN}")
            client.pass_(PASSWORD)
            yield client
        finally:
            client.quit()
