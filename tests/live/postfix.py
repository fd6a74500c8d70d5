"""Postfix as the server on the other side, in a folder of its own. It needs root; its users' mail is NOBODY's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.live.ports import free_ports
from tests.live.programs import NOBODY, need_root, program, run
from tests.live.waiting import eventually

_MAIN = """\
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/state
maillog_file = {root}/log
maillog_file_prefixes = {root}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.away.test
mydestination =
mynetworks =
alias_maps =
alias_database =
biff = no
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access texthash:{root}/conf/access
smtpd_tls_security_level = may
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {certificate}
virtual_mailbox_domains = away.test
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = texthash:{root}/conf/mailboxes
virtual_minimum_uid = 1
virtual_uid_maps = static:{owner}
virtual_gid_maps = static:{owner}
"""

_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
smtp      unix  - - n - - smtp
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
error     unix  - - n - - error
retry     unix  - - n - - error
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """``with Postfix(root, certificate) as postfix``: takes mail for x@away.test. ``certificate`` is PEM with key."""

    def __init__(self, root: Path, certificate: Path, settings: Mapping[str, str] = {}) -> None:
        """``settings`` are laid over main.cf; ``{root}`` in them is filled in."""
        need_root()
        program("postfix")
        self.root = root
        self.conf = root / "conf"
        (self.port,) = free_ports(1)
        for folder in ("conf", "queue", "state", "mail"):
            (root / folder).mkdir(parents=True)
        shutil.chown(root / "state", "postfix")
        os.chown(root / "mail", NOBODY, NOBODY)
        defaults = (line for line in _MAIN.splitlines() if line.partition(" ")[0] not in settings)
        main = "\n".join([*defaults, *(f"{key} = {value}" for key, value in settings.items()), ""])
        (self.conf / "main.cf").write_text(main.format(root=root, certificate=certificate, owner=NOBODY))
        (self.conf / "master.cf").write_text(_MASTER.format(port=self.port))
        (self.conf / "mailboxes").write_text("x@away.test x/\n")
        self.recipient_access("")

    def recipient_access(self, table: str) -> None:
        """access(5): what is answered to RCPT. Effective after :meth:`reload`."""
        (self.conf / "access").write_text(table)

    def reload(self) -> None:
        self._run("reload")

    def flush(self) -> None:
        """Try all that waits, now. (With pauses of a second it may find a letter still at work, and leave it alone for
        minutes.)"""
        self._run("flush")

    def letters(self) -> list[Path]:
        return list(self.root.glob("mail/x/new/*"))

    def __enter__(self) -> Postfix:
        self._run("start")
        assert eventually(lambda: run("postfix", "-c", self.conf, "status"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run("stop")
        print((self.root / "log").read_text()[-3000:])

    def _run(self, verb: str) -> None:
        # Not to a pipe: the daemons inherit it and keep it open.
        with (self.root / "output").open("a+") as output:
            command = [program("postfix"), "-c", self.conf, verb]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=60)
        assert done.returncode == 0, (self.root / "output").read_text()
