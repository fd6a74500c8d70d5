"""Postfix with a benchmark configuration, everything in one folder. Needs Debian's ``postfix`` (3.5 or newer) and root.

    with Postfix(root, port, sink) as server: ...        # server.mail, server.pid()

Mail for example.org goes to Maildirs ``ROOT/mail/example.org/USER``; ``ROOT`` must be open to the user nobody. Mail for
sink.example goes to the SMTP server on port ``sink`` of the loopback. With ``submission``, users log in with TLS there;
the socket ``auth`` is of the Dovecot that knows them.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

OWNER = 65534  # nobody: owner of the Maildirs
# u1 … u200, and the names that `smtp-source -r 20 -t r@example.org` uses
USERS = [f"u{i}" for i in range(1, 201)] + ["r"] + [f"{i}r" for i in range(2, 21)]

MAIN = """\
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/state
maillog_file = {root}/log
maillog_file_prefixes = {root}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example.org
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
message_size_limit = 26214400
alias_maps =
alias_database =
biff = no

virtual_mailbox_domains = example.org
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = texthash:{root}/conf/mailboxes
virtual_mailbox_limit = 0
virtual_minimum_uid = 100
virtual_uid_maps = static:{owner}
virtual_gid_maps = static:{owner}
transport_maps = inline:{{ sink.example=smtp:[127.0.0.1]:{sink} }}

# No look-ups, no limits: the benchmark is one client on the loopback.
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
default_process_limit = 200
in_flow_delay = {in_flow_delay}
"""

MASTER = """\
127.0.0.1:{port} inet n - n - 2500 smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

#: The usual lines of master.cf and main.cf for port 587. Dovecot answers for passwords, as it mostly does.
SUBMISSION = """\
127.0.0.1:{port} inet n - n - 2500 smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_auth_only=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
"""
TLS = """\
smtpd_tls_chain_files = {pair}
smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth}
"""


class Postfix:
    def __init__(self, root, port, sink, users=USERS, in_flow_delay="1s", submission=0, pair="", auth=""):
        self.root = pathlib.Path(root).resolve()
        self.port, self.mail, self.conf = port, self.root / "mail", self.root / "conf"
        self.sink, self.users, self.in_flow_delay = sink, users, in_flow_delay
        self.submission, self.pair, self.auth = submission, pair, auth

    def run(self, verb):
        try:
            call("postfix", "-c", self.conf, verb)
        except RuntimeError as error:
            raise RuntimeError(f"{error}; {self.root / 'log'} says more") from None

    def start(self):
        prepare(self.root, self.mail / "example.org")
        self.conf.mkdir(exist_ok=True)
        for folder in ("queue", "state"):
            (self.root / folder).mkdir(exist_ok=True)
        shutil.chown(self.root / "state", "postfix")
        main = MAIN.format(root=self.root, owner=OWNER, in_flow_delay=self.in_flow_delay, sink=self.sink)
        master = MASTER.format(port=self.port)
        if self.submission:
            main += TLS.format(pair=self.pair, auth=self.auth)
            master += SUBMISSION.format(port=self.submission)
        (self.conf / "main.cf").write_text(main)
        (self.conf / "master.cf").write_text(master)
        (self.conf / "mailboxes").write_text("".join(f"{u}@example.org example.org/{u}/\n" for u in self.users))
        self.run("start")
        wait_greeting(self.port)
        return self

    def stop(self):
        self.run("stop")

    def pid(self):
        return int((self.root / "queue/pid/master.pid").read_text())

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()


def call(*command):
    # A file, not a pipe: the daemons inherit it and keep it open.
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        if done.returncode:
            errors.seek(0)
            raise RuntimeError(f"{command[0]} {command[-1]}: {errors.read().strip()}")


def prepare(root, mail):
    """Make the folders; the mail belongs to OWNER, who must be able to reach it."""
    mail.mkdir(parents=True, exist_ok=True)
    for folder in (mail, mail.parent):
        os.chown(folder, OWNER, OWNER)
    for folder in (root, *root.parents):
        if not folder.stat().st_mode & 0o001:
            raise RuntimeError(f"{folder} is closed to the owner of the Maildirs: chmod o+x {folder}")


def wait_greeting(port, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as s:
            if s.recv(1):
                return
        time.sleep(0.01)
    raise RuntimeError(f"nothing answers on port {port}")
