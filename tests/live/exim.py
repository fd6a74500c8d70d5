"""Exim 4 as the server on the other side, in a folder of its own. It needs root, and a user whom it is built for."""

from __future__ import annotations

import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.live.ports import free_ports
from tests.live.programs import missing, need_root, program
from tests.live.waiting import eventually
from tests.live.wire import DOMAIN, PASSWORD, Wire

USER = "Debian-exim"  # without it the program does not start

_CONFIGURATION = """\
primary_hostname = mx.exim.test
exim_path = {program}
spool_directory = {root}/spool
log_file_path = {root}/log-%slog
pid_file_path = {root}/pid
keep_environment =
# The program is not setuid, so what root starts goes on as Exim's user.
deliver_drop_privilege = true
local_interfaces = 127.0.0.1.{port} : 127.0.0.1.{tls_port}
tls_on_connect_ports = {tls_port}
tls_advertise_hosts = *
tls_certificate = {certificate}
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
host_lookup =
rfc1413_hosts =
message_size_limit = 50M
queue_run_max = 1
smtp_accept_max_per_host =
delay_warning =
acl_smtp_rcpt = check_rcpt

begin acl
check_rcpt:
  accept

begin routers
# What is said about a letter is for its sender, who is at the other server: it goes there like all mail.
here:
  driver = accept
  domains = exim.test
  condition = ${{if match{{$local_part}}{{^(x|zo)}}}}
  transport = maildir
nobody:
  driver = redirect
  domains = exim.test
  allow_fail
  data = :fail: no such user
away:
  driver = manualroute
  route_list = * 127.0.0.1::{next_hop} byname
  self = send
  transport = smtp

begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = {root}/mail
  create_directory
  envelope_to_add
  return_path_add
smtp:
  driver = smtp
  # Else a letter with a line of more than 998 octets would come back.
  message_linelength_limit = 1000000
  {transport}

begin retry
* * F,1h,1s

begin rewrite

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_advertise_condition = ${{if def:tls_in_cipher}}
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
  client_send = ^{user}^{password}
"""


class Exim:
    """``with Exim(root, certificate, next_hop) as exim``: takes mail for x@exim.test, and for zoë and others who begin
    so; sends all other mail to ``next_hop``, a port on loopback. ``certificate`` is PEM with key."""

    def __init__(
        self, root: Path, certificate: Path, next_hop: int, transport: Sequence[str] = ("hosts_require_tls = *",)
    ) -> None:
        """``transport`` are further lines of its SMTP client. It knows alice and her password, as a server, and as a
        client of whoever asks for them."""
        need_root()
        binary = program("exim4")
        try:
            owner = pwd.getpwnam(USER)
        except KeyError:
            missing(f"there is no user {USER}")
        self.root = root
        self.port, self.tls_port = free_ports(2)
        root.mkdir()
        for folder in (root, *(root / name for name in ("spool", "mail"))):
            folder.mkdir(exist_ok=True)
            shutil.chown(folder, owner.pw_uid, owner.pw_gid)
        readable = root / "server.pem"
        shutil.copyfile(certificate, readable)
        readable.chmod(0o640)
        shutil.chown(readable, 0, owner.pw_gid)
        self._configuration = root / "exim.conf"
        self._configuration.write_text(
            _CONFIGURATION.format(
                program=binary,
                root=root,
                port=self.port,
                tls_port=self.tls_port,
                certificate=readable,
                next_hop=next_hop,
                transport="\n  ".join(transport),
                user=f"alice@{DOMAIN}",
                password=PASSWORD,
            )
        )
        self._program = binary

    def letters(self) -> list[Path]:
        """The oldest first."""
        return sorted(self.root.glob("mail/new/*"), key=lambda path: path.stat().st_mtime_ns)

    def log(self) -> str:
        path = self.root / "log-mainlog"
        return path.read_text("utf-8", "backslashreplace") if path.exists() else ""

    def __enter__(self) -> Exim:
        command = [self._program, "-C", str(self._configuration), "-bdf", "-q1s"]
        with (self.root / "output").open("wb") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")
        if not eventually(self._greets):
            self._stop()
            raise AssertionError(f"it does not greet: {(self.root / 'output').read_text()}{self.log()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        print(self.log()[-4000:])

    def _stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _greets(self) -> bool:
        try:
            with Wire(self.port) as client:
                return client.ask(b"QUIT").startswith("221")
        except OSError:
            return False
