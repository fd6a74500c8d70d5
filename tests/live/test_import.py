"""People move here: from Dovecot, by POP3 and from its Maildirs, from another mailstack, from servers that lie; and the
import is killed again and again."""

from __future__ import annotations

import contextlib
import json
import os
import poplib
import pty
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailstack.admin import import_call, import_pop3
from mailstack.admin.cli import main
from mailstack.admin.site import Site
from tests.admin import pop3_memory
from tests.live.conftest import MakeOffice
from tests.live.dovecot import PASSWORD as DOVECOTS
from tests.live.dovecot import dovecot
from tests.live.fake_server import FakeServer, Peer, certificate
from tests.live.office import BIN, Office
from tests.live.pop3_source import Pop3Source
from tests.live.ports import free_ports
from tests.live.programs import NOBODY, need_root
from tests.live.terminal import run_in_terminal
from tests.live.waiting import eventually
from tests.live.wire import DOMAIN, PASSWORD

LETTERS = [
    b"Received: from a by b; Mon, 23 Nov 2026 15:52:29 +0000\nSubject: one\n\n.dot\n..\n",
    b"Subject: a long line\n\n" + b"x" * 2_000_000 + b"\n",
    b"Subject: no end\n\nlast line",
    b"Subject: 8bit \xc3\xa9\xff\n\n\0nul\n",
    b"Subject: only a header\n",
]


def shown(client: poplib.POP3, number: int) -> list[tuple[bytes, bytes, bytes]]:
    """Unique-ids, sizes and contents, in their order. Sizes of what has no final line end differ by it in Dovecot."""
    uids = [line.split()[1] for line in client.uidl()[1]]
    assert len(uids) == number
    found = []
    for index, uid in enumerate(uids, 1):
        content = b"\r\n".join([*client.retr(index)[1], b""])
        size = client.list(index).split()[2]
        assert int(size) in (len(content), len(content) - 2)
        found.append((uid, b"" if int(size) != len(content) else size, content))
    return found


@pytest.fixture(autouse=True)
def long_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """poplib gives up at 2,048 octets."""
    monkeypatch.setattr(poplib, "_MAXLINE", 10_000_000)


class Old:
    """A mailbox of Dovecot, for alice@office.test."""

    def __init__(self, folder: Path) -> None:
        self.mail = folder / "old"
        self.root = folder / "dovecot"
        self.maildir = self.mail / DOMAIN / "alice"
        for part in ("tmp", "new", "cur"):
            (self.maildir / part).mkdir(parents=True)

    def put(self, name: str, content: bytes) -> None:
        (self.maildir / name).write_bytes(content)

    def give(self) -> None:
        for path in (self.mail, *self.mail.rglob("*")):
            os.chown(path, NOBODY, NOBODY)

    @contextlib.contextmanager
    def running(self, more: str = "") -> Iterator[int]:
        self.give()
        with dovecot(self.root, self.mail, more) as running:
            yield running.port

    def shown(self, port: int, number: int) -> list[tuple[bytes, bytes, bytes]]:
        client = poplib.POP3("127.0.0.1", port, timeout=30)
        client.user(f"alice@{DOMAIN}")
        client.pass_(DOVECOTS)
        try:
            return shown(client, number)
        finally:
            client.quit()


@pytest.fixture
def old(open_folder: Path) -> Old:
    need_root()
    made = Old(open_folder)
    for number, content in enumerate(LETTERS):
        name = f"170000000{number}.M{number}P1.host"
        made.put(f"new/{name}" if number % 2 else f"cur/{name}:2,S", content)
    return made


def here(office: Office, user: str, number: int) -> list[tuple[bytes, bytes, bytes]]:
    with office.pop3(user) as client:
        return shown(client, number)


def comparable(found: list[tuple[bytes, bytes, bytes]], but: list[tuple[bytes, bytes, bytes]]) -> object:
    """Without the sizes that one of the two has otherwise."""
    return [(uid, size if other[1] else b"", content) for (uid, size, content), other in zip(found, but, strict=True)]


TLS = """
ssl = yes
ssl_cert = <{pem}
ssl_key = <{pem}
auth_mechanisms = plain scram-sha-256
service pop3-login {{
  inet_listener pop3s {{
    address = 127.0.0.1
    port = {port}
    ssl = yes
  }}
}}
"""


@pytest.mark.parametrize("scheme", ["pop3", "pop3s"])
def test_from_dovecot_by_pop3(old: Old, nobodys_office: Office, open_folder: Path, scheme: str) -> None:
    """With STLS and with implicit TLS, by SCRAM, as root beside a server that runs as somebody else: the same
    unique-ids, order, sizes and octets, and letters that the server's user can read and remove."""
    certificate(open_folder, "old.test")
    (pop3s,) = free_ports(1)
    with old.running(TLS.format(pem=open_folder / "server.pem", port=pop3s)) as port:
        there = old.shown(port, len(LETTERS))
        url = f"{scheme}://alice@{DOMAIN}@127.0.0.1:{pop3s if scheme == 'pop3s' else port}"
        command = ("import", url, "bob", "--password-stdin")
        assert "imported 5 letters" in nobodys_office.cli(*command, input=f"{DOVECOTS}\n")
        assert "imported 0 letters" in nobodys_office.cli(*command, input=f"{DOVECOTS}\n")
        assert there == old.shown(port, len(LETTERS))
        assert "the server does not let us in" in nobodys_office.cli(*command, input="wrong\n", code=1)
    log = (old.root / "log").read_text()
    assert re.search(r"method=SCRAM-SHA-256.*TLS", log), log[-2000:]
    found = here(nobodys_office, "bob", len(LETTERS))
    assert comparable(found, there) == there
    owned = [*nobodys_office.maildir("bob").rglob("*"), *(nobodys_office.data / "state/import").rglob("*")]
    assert {path.stat().st_uid for path in owned} == {NOBODY}
    with nobodys_office.pop3("bob") as client:
        for number in range(1, 6):
            client.dele(number)
    assert nobodys_office.files("bob") == []


@pytest.mark.parametrize("format", ["%08Xu%08Xv", "%v.%u", "UID%u-%v", "%f", "%g", "%Mf", "%08XUu"])
def test_from_dovecots_maildir(old: Old, nobodys_office: Office, format: str) -> None:
    """The unique-ids that Dovecot shows, by whatever format, with those that a migration to it has kept."""
    uidlist = (
        "3 V1700000000 N4 G0f1d3c3c8a8a6b65c01e00003ff2e7bb\n"
        "1 Pold.id-1 :1700000000.M0P1.host\n2 P :1700000001.M1P1.host\n3 Gguid3 O1 :1700000002.M2P1.host\n"
    )
    old.put("dovecot-uidlist", uidlist.encode())
    with old.running(f"pop3_uidl_format = {format}\n") as port:
        there = old.shown(port, len(LETTERS))
    assert "imported 5 letters" in nobodys_office.cli("import", "maildir", str(old.maildir), "alice", "--uidl", format)
    assert "imported 0 letters" in nobodys_office.cli("import", "maildir", str(old.maildir), "alice")
    assert comparable(here(nobodys_office, "alice", len(LETTERS)), there) == there


def test_dovecot_goes_on_with_what_was_imported(old: Old, nobodys_office: Office, open_folder: Path) -> None:
    """Flags and keywords are where Dovecot looks for them, and our unique-ids stay when it renames the files."""
    old.put("cur/1700000009.k.host:2,FSa", b"Subject: keyword\n\n")
    old.put("dovecot-keywords", b"0 $Label1\n")
    nobodys_office.cli("import", "maildir", str(old.maildir), "alice", "--uidl", "%f")
    before = here(nobodys_office, "alice", 6)
    with dovecot(open_folder / "second", nobodys_office.data / "mail") as second:
        client = poplib.POP3("127.0.0.1", second.port, timeout=30)
        client.user(f"alice@{DOMAIN}")
        client.pass_(DOVECOTS)
        assert len(shown(client, 6)) == 6
        client.quit()
        command = [
            "doveadm",
            "-c",
            open_folder / "second/dovecot.conf",
            "fetch",
            "-u",
            f"alice@{DOMAIN}",
            "flags",
            "all",
        ]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    assert re.search(r"\\Flagged.*\$Label1", said)
    assert here(nobodys_office, "alice", 6) == before


def test_from_another_mailstack(make_office: MakeOffice, tmp_path: Path) -> None:
    """By POP3 with SCRAM, while both run; then once more, when a letter has come there and one was removed here."""
    there = make_office(users=("alice", "bob")).start()
    send(there, 3)
    command = ("import", f"pop3s://alice@{DOMAIN}@127.0.0.1:{there.port.pop3s}", "bob", "--password-stdin")
    assert "imported 3 letters" in there.cli(*command, input=f"{PASSWORD}\n")
    there.wait_for_log("pop3-login: Login: user=<alice@office.test>, method=SCRAM-SHA-256")
    assert here(there, "bob", 3) == here(there, "alice", 3)
    with there.pop3("bob") as client:
        client.dele(1)
    send(there, 1)
    there.wait_for_files("alice", 4)
    assert "imported 1 letter (" in there.cli(*command, input=f"{PASSWORD}\n")
    assert here(there, "bob", 3) == here(there, "alice", 4)[1:]
    assert "imported 4 letters" in there.cli(*command, "--folder", "Old", input=f"{PASSWORD}\n")
    assert here(there, "bob+Old", 4) == here(there, "alice", 4)
    moved = there.maildir("alice").rename(tmp_path / "moved")
    assert "imported 4 letters" in there.cli("import", "maildir", str(moved), "alice")


def send(office: Office, number: int) -> None:
    before = len(office.files("alice"))
    with office.smtp() as client:
        for each in range(number):
            client.sendmail("friend@far.test", [f"alice@{DOMAIN}"], f"Subject: {each}\n\n.\nhello\n")
    office.wait_for_files("alice", before + number)


# ---- Certificates


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """``old.test`` is on loopback, but nobody knows."""
    real = socket.create_connection

    def connect(address: tuple[str, int], *arguments: float) -> socket.socket:
        return real(("127.0.0.1", address[1]), *arguments)

    monkeypatch.setattr(import_call.socket, "create_connection", connect)
    monkeypatch.setattr(import_pop3.socket, "create_connection", connect)


@pytest.mark.parametrize("implicit", [False, True])
def test_certificates(
    office: Office, far_away: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, implicit: bool
) -> None:
    """One that nobody vouches for is not believed, and the error has the way out; one for another name neither."""
    context, pem = certificate(tmp_path, "old.test")
    scheme = "pop3s" if implicit else "pop3"

    def bring(host: str, *options: str) -> tuple[int, str]:
        words = ("import", f"{scheme}://old@{host}:{source.port}", "alice", "--password-stdin", "--dry-run", *options)
        done = CliRunner().invoke(main, words, input=f"{pop3_memory.PASSWORD}\n", obj=Site(office.ini))
        return done.exit_code, done.output

    with Pop3Source([("1", b"a\n")], context, implicit) as source:
        code, said = bring("old.test")
        assert code == 1
        found = re.search(
            r"the certificate is not believed: self-signed certificate.*--tls-fingerprint ([0-9a-f]{64})", said
        )
        assert found, said
        assert bring("old.test", "--tls-fingerprint", found[1]) == (
            0,
            "alice@office.test: 1 letter to import (3 octets)\n",
        )
        code, said = bring("old.test", "--tls-fingerprint", "0" * 64)
        assert (code, "another fingerprint" in said) == (1, True)
        assert sum(line.startswith("PASS") for line in source.heard) == 1, "only to the one that was believed"
        (tmp_path / "ca.pem").write_bytes(pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert bring("old.test")[0] == 0
        code, said = bring("other.test")
        assert (code, "Hostname mismatch" in said) == (1, True)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls(office: Office, far_away: None, tmp_path: Path) -> None:
    """People move away from old servers. One that has nothing better is believed by its fingerprint, or not at all."""
    context, _ = certificate(tmp_path, "old.test")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with Pop3Source([("1", b"a\n")], context, implicit=True) as source:
        words = ["import", f"pop3s://old@old.test:{source.port}", "alice", "--password-stdin", "--dry-run"]

        def bring(*options: str) -> tuple[int, str]:
            site = Site(office.ini)
            done = CliRunner().invoke(main, [*words, *options], input=f"{pop3_memory.PASSWORD}\n", obj=site)
            return done.exit_code, done.output

        code, said = bring()
        assert (code, "too old to prove who it is" in said) == (1, True)
        (shown,) = re.findall(r"--tls-fingerprint ([0-9a-f]{64})", said)
        assert bring("--tls-fingerprint", shown)[0] == 0


# ---- Killed, stopped, watched


def test_killed_again_and_again(make_office: MakeOffice, tmp_path: Path) -> None:
    """At any moment; whatever is there in between is fetched and removed by its owner. In the end every letter was
    there once, whole."""
    office = make_office()
    chance = random.Random(20261126)
    letters = [(f"id-{n}", b"Subject: %d\n\n" % n + b"line\n" * chance.randrange(2000)) for n in range(300)]
    contents = {uid.encode(): content.replace(b"\n", b"\r\n") for uid, content in letters}
    seen: dict[bytes, bytes] = {}
    office.start()
    kills = 0
    with Pop3Source(letters) as source:
        command = ["-c", office.ini, "import", f"pop3://old@127.0.0.1:{source.port}", "alice", "--password-stdin"]
        while (code := killed_in_time(office, command, chance)) != 0:
            assert code == -signal.SIGKILL
            kills += 1
            if kills % 3 == 0:
                fetch(office, seen)
        fetch(office, seen)
    assert seen == contents
    assert kills >= 5, "not killed often enough to show anything"
    assert list((office.maildir("alice") / "tmp").iterdir()) == []


def killed_in_time(office: Office, words: list[object], chance: random.Random) -> int:
    """One import in batches of 7 letters, killed some moment after the record has grown by up to 1,200 octets (8
    letters), if it does not end before; its exit code."""
    program = "from mailstack.admin import import_box, program; import_box.BATCH_LETTERS = 7; program.main()"
    record = office.data / "state/import" / DOMAIN / "alice/INBOX"

    def size() -> int:
        return record.stat().st_size if record.exists() else 0

    enough, process = size() + chance.randrange(1200), _started(program, words)
    try:
        while process.poll() is None and size() <= enough:
            time.sleep(0.001)
        time.sleep(chance.random() * 0.01)
    finally:
        process.kill()
    return process.wait()


def _started(program: str, words: list[object]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stdin is not None
    process.stdin.write(f"{pop3_memory.PASSWORD}\n".encode())
    process.stdin.close()
    return process


def fetch(office: Office, seen: dict[bytes, bytes]) -> None:
    """All that is there, and remove it."""
    with office.pop3("alice") as client:
        for line in client.uidl()[1]:
            number, uid = line.split()
            assert uid not in seen, "it came a second time"
            seen[uid] = b"\r\n".join([*client.retr(int(number))[1], b""])
            client.dele(int(number))


def test_stopped_at_the_terminal(office: Office, tmp_path: Path) -> None:
    """^C while a letter comes: a bar until then, one line that says how to go on, and what was whole stays."""
    stop: list[int] = []

    def slow(peer: Peer) -> None:
        peer.say("+OK")
        answer(peer, "CAPA", "+OK", "USER", ".")
        answer(peer, "USER", "+OK")
        answer(peer, "PASS", "+OK")
        answer(peer, "CAPA", "+OK", "USER", ".")
        answer(peer, "LIST", "+OK", "1 6", "2 100000", ".")
        answer(peer, "UIDL", "+OK", "1 a", "2 b", ".")
        answer(peer, "RETR 1", "+OK", "first", ".")
        answer(peer, "RETR 2", "+OK", "half of the second")
        (pid,) = _children()
        stop.append(pid)
        os.kill(pid, signal.SIGINT)
        peer.silence()

    (tmp_path / "password").write_text("secret\n")
    with FakeServer(slow) as server:
        url = f"pop3://old@127.0.0.1:{server.port}"
        words = ("-c", office.ini, "import", url, "carol", "--password-file", tmp_path / "password")
        code, drawn = run_in_terminal(str(BIN / "mailstack"), *words, home=tmp_path)
    assert stop
    assert code == 1
    assert "carol@office.test: imported 1 letter (7 octets)" in drawn
    assert "stopped; what is imported stays, and the same command goes on with the rest" in drawn
    assert re.search(r"old  \[.*\].*1/2  ", drawn), drawn
    assert "Traceback" not in drawn
    assert len(office.files("carol")) == 1


def answer(peer: Peer, verb: str, *lines: str) -> None:
    peer.hear(verb)
    peer.say(*lines)


def _children() -> list[int]:
    """Of this process: the program at the terminal."""
    task = Path(f"/proc/{os.getpid()}/task")
    return [
        int(pid)
        for each in task.iterdir()
        for pid in (each / "children").read_text().split()
        if b"import" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def test_the_password_is_asked_for_at_a_terminal(office: Office, tmp_path: Path) -> None:
    """And not shown."""
    with Pop3Source([("1", b"a\n")]) as source:
        child, terminal = pty.fork()
        if child == 0:
            words = [
                str(BIN / "mailstack"),
                "-c",
                str(office.ini),
                "import",
                f"pop3://old@127.0.0.1:{source.port}",
                "dave",
            ]
            os.execv(words[0], words)
        drawn = b""
        while b"Password of old there" not in drawn:
            drawn += os.read(terminal, 1000)
        os.write(terminal, f"{pop3_memory.PASSWORD}\n".encode())
        with contextlib.suppress(OSError):
            while piece := os.read(terminal, 1000):
                drawn += piece
        os.close(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert b"imported 1 letter" in drawn
    assert pop3_memory.PASSWORD.encode() not in drawn


# ---- Large and many


MEASURED = """\
import resource, sys
from mailstack.admin import program
try:
    program.main()
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def peak(office: Office, url: str, account: str) -> tuple[dict[str, object], int]:
    """The result, and the most memory that was used, in KiB."""
    command = [sys.executable, "-c", MEASURED, "-c", office.ini, "import", url, account, "--password-stdin", "--json"]
    done = subprocess.run(command, input="secret\n", capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    return found, int(done.stderr.split("peak ")[1])


def test_a_letter_of_any_size_and_lines_of_any_length(office: Office) -> None:
    """200 MB in lines of 10 MB: streamed, so memory stays what it is."""
    line = b"x" * 10_000_000 + b"\r\n"

    def huge(peer: Peer) -> None:
        peer.say("+OK")
        answer(peer, "CAPA", "-ERR")
        answer(peer, "STLS", "-ERR")
        answer(peer, "USER", "+OK")
        answer(peer, "PASS", "+OK")
        answer(peer, "CAPA", "-ERR")
        answer(peer, "LIST", "+OK", "1 5", ".")
        answer(peer, "UIDL", "+OK", "1 a", ".")
        answer(peer, "RETR", "+OK")
        for _ in range(20):
            peer.sock.sendall(line)
        peer.say(".")
        answer(peer, "QUIT", "+OK")

    with Pop3Source([("small", b"small\n")]) as source:
        _, usual = peak(office, f"pop3://old@127.0.0.1:{source.port}", "dave")
    with FakeServer(huge) as server:
        found, kib = peak(office, f"pop3://old@127.0.0.1:{server.port}", "bob")
    assert found["octets"] == 20 * len(line)
    assert kib < usual + 16 * 1024
    (path,) = office.files("bob")
    assert path.stat().st_size == 20 * (len(line) - 1)
    path.unlink()


def test_lists_without_end(office: Office) -> None:
    """Rows for ever are given up; so are lines, see tests/protocol."""

    def endless(peer: Peer) -> None:
        peer.say("+OK")
        answer(peer, "CAPA", "-ERR")
        answer(peer, "STLS", "-ERR")
        answer(peer, "USER", "+OK")
        answer(peer, "PASS", "+OK")
        answer(peer, "CAPA", "-ERR")
        peer.hear("LIST")
        peer.say("+OK")
        rows = b"".join(b"1 %01000d\r\n" % 7 for _ in range(1000))
        with contextlib.suppress(OSError):
            while True:
                peer.sock.sendall(rows)

    with FakeServer(endless) as server:
        command = ("import", f"pop3://old@127.0.0.1:{server.port}", "alice", "--password-stdin")
        assert "answers without end" in office.cli(*command, input="x\n", code=1)


def test_the_server_runs_meanwhile(office: Office) -> None:
    """A session that is open sees nothing of it, the next one all."""
    letters = [(f"new-{n}", b"Subject: %d\n\n" % n) for n in range(50)]
    with Pop3Source(letters) as source, office.pop3("alice") as client:
        before = client.stat()
        office.cli(
            "import",
            f"pop3://old@127.0.0.1:{source.port}",
            "alice",
            "--password-stdin",
            input=f"{pop3_memory.PASSWORD}\n",
        )
        assert client.stat() == before
    assert eventually(lambda: len(office.files("alice")) >= 50)
    with office.pop3("alice") as client:
        uids = [line.split()[1].decode() for line in client.uidl()[1]]
    assert [uid for uid in uids if uid.startswith("new-")] == [uid for uid, _ in letters]


def test_tls_that_is_no_tls(office: Office) -> None:
    def confused(peer: Peer) -> None:
        peer.say("+OK")
        peer.silence()

    with FakeServer(confused, confused) as server:
        command = ("import", f"pop3s://old@127.0.0.1:{server.port}", "alice", "--password-stdin")
        assert "TLS fails" in office.cli(*command, input="x\n", code=1)


def test_nobody_listens(office: Office) -> None:
    command = ("import", "pop3://old@127.0.0.1:1", "alice", "--password-stdin")
    assert "cannot connect to 127.0.0.1:1: Connection refused" in office.cli(*command, input="x\n", code=1)
