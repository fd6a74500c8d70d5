"""twistd starts us, or says in one clear line why it cannot."""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest

from tests.live.conftest import MakeOffice
from tests.live.fake_server import certificate
from tests.live.office import BIN, Office, loopback
from tests.live.ports import free_ports
from tests.live.programs import NOBODY, need_root
from tests.live.waiting import eventually
from tests.live.wire import Wire


def twistd(office: Office, *options: str) -> subprocess.CompletedProcess[str]:
    """To the end of a start that fails."""
    command = [BIN / "twistd", *options, "mailstack", "-c", office.ini]
    return subprocess.run(command, text=True, capture_output=True, cwd=office.root, timeout=60)


def in_foreground(office: Office, code: int) -> str:
    """The one clear line."""
    done = twistd(office, "-n", "--pidfile=")
    said = (done.stdout + done.stderr).strip()
    assert done.returncode == code, said
    assert "Traceback" not in said
    return said


def test_port_in_use(make_office: MakeOffice) -> None:
    office = make_office()
    with socket.create_server(("127.0.0.1", office.port.pop3)):
        said = in_foreground(office, 1)
    assert said.count("\n") == 0
    assert f"[pop3] listen = {loopback(office.port.pop3)}: Address already in use" in said


def test_port_in_use_daemonized(make_office: MakeOffice) -> None:
    """The daemon is gone, and whoever started it hears of it."""
    office = make_office()
    with socket.create_server(("127.0.0.1", office.port.smtp)):
        done = twistd(office, "--pidfile", "pid", "--logfile", "daemon.log")
    assert done.returncode != 0
    reason = f"[smtp] listen = {loopback(office.port.smtp)}: Address already in use"
    assert reason in done.stdout + done.stderr
    assert f"mailstack cannot start: {reason}\n" in (office.root / "daemon.log").read_text()
    assert "Traceback" not in done.stdout + done.stderr
    assert eventually(lambda: not (office.root / "pid").exists())


def test_the_command_line_is_at_work(make_office: MakeOffice) -> None:
    """``mailstack queue retry`` writes at the very moment of the start, which waits for it."""
    office = make_office()
    office.start().stop()
    writer = sqlite3.connect(office.data / "spool/queue.db", isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    end = threading.Timer(2, writer.rollback)
    end.start()
    office.start()
    end.join()
    writer.close()
    assert not office.ended


def test_daemon(make_office: MakeOffice) -> None:
    """Without -n it goes to the background, and ends as it should."""
    office = make_office()
    done = twistd(office, "--pidfile", "pid", "--logfile", "daemon.log")
    assert done.returncode == 0, done.stderr
    pid = int((office.root / "pid").read_text())
    try:
        with Wire(office.port.smtp) as wire:
            assert wire.greeting.startswith("220 mail.office.test ESMTP")
    finally:
        os.kill(pid, 15)
    assert eventually(lambda: not (office.root / "pid").exists())
    log = (office.root / "daemon.log").read_text()
    assert "ready:" in log
    assert "Traceback" not in log


def test_two_servers_on_one_folder(make_office: MakeOffice, tmp_path: Path) -> None:
    first = make_office().start()
    (tmp_path / "second").mkdir()
    second = Office(tmp_path / "second", {"server": {"data": str(first.data)}})
    assert in_foreground(second, 1).endswith(f"mailstack cannot start: another mailstack is using {first.data}")


def test_every_mistake_in_the_configuration_is_told(make_office: MakeOffice) -> None:
    """File, line, key, and what to write instead; by the server and by mailstack check alike."""
    mistakes = {"smtpd": {"listen": "tcp:25"}, "smtp": {"listne": "tcp:25"}, "queue": {"retry": "soon"}}
    office = make_office(users=())
    office.configure(mistakes)
    said = in_foreground(office, 78)
    lines = said.splitlines()
    assert len(lines) >= 3
    assert all(re.match(rf"{re.escape(str(office.ini))}:\d+: ", line) for line in lines), said
    assert re.search(r"\[smtpd\].*\[?smtp\b", said)
    assert re.search(r"listne.*listen", said)
    assert re.search(r"retry.*soon", said)
    assert office.cli("check", code=78).strip() == said


def test_no_configuration(tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "twistd", "-n", "--pidfile=", "mailstack", "-c", tmp_path / "no-such.ini"],
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 78
    assert "no-such.ini" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_key(make_office: MakeOffice) -> None:
    office = make_office({"tls": {"certificate": "no-cert.pem", "key": "no-key.pem"}})
    said = in_foreground(office, 78)
    assert "no-cert.pem" in said
    assert "no-key.pem" in said


@pytest.mark.parametrize("content", ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_broken_key(make_office: MakeOffice, content: str) -> None:
    office = make_office({"tls": {"certificate": "server.pem", "key": "key.pem"}})
    certificate(office.root, "mail.office.test")
    (office.root / "key.pem").write_text(content)
    said = in_foreground(office, 1)
    assert "key.pem" in said
    assert said.count("\n") == 0


def test_unreadable_key(make_office: MakeOffice) -> None:
    if os.geteuid() == 0:
        pytest.skip("root can read everything")
    office = make_office({"tls": {"certificate": "server.pem", "key": "key.pem"}})
    certificate(office.root, "mail.office.test")
    (office.root / "key.pem").touch(mode=0)
    done = twistd(office, "-n", "--pidfile=")
    assert done.returncode in (1, 78)
    assert "key.pem" in done.stderr


def test_broken_line_in_the_users_file(make_office: MakeOffice) -> None:
    """It is reported with its number; the other users still work."""
    office = make_office()
    good = office.users.read_text()
    office.users.write_text(f"this is not a user\n{good}bob@office.test:{{NOSUCH}}x\n")
    office.start()
    with office.pop3("alice") as client:
        assert client.stat() == (0, 0)
    number = 1 + len(good.splitlines()) + 1
    office.wait_for_log(f"{office.users}:1: ")
    office.wait_for_log(f"{office.users}:{number}: ")


def test_json_log(make_office: MakeOffice) -> None:
    office = make_office({"log": {"format": "json"}}).start()
    with office.smtp() as client:
        client.sendmail("friend@far.test", ["alice@office.test"], 'Subject: a "quote"\r\n\r\n')
    office.wait_for_files("alice")
    office.wait_for_log("removed")
    events = [json.loads(line) for line in office.log().splitlines()]
    sent = next(event for event in events if event.get("to") == "<alice@office.test>")
    assert sent["status"].startswith("sent ")
    assert sent["id"] in office.files("alice")[0].name


def test_privileges_are_dropped(open_folder: Path) -> None:
    """Ports below 1024 are bound as root; the rest is done as somebody else, and so is what the mail belongs to."""
    need_root()
    (last,) = free_ports(1)
    address = f"127.0.0.{2 + last % 250}"
    sections = {
        "server": {"data": "below/data"},
        "accounts": {"users": "below/data/users", "aliases": "below/data/aliases"},
        "submission": {"listen": f"tcp:587:interface={address}", "listen_tls": ""},
    }
    office = Office(open_folder, sections)
    office.data = open_folder / "below/data"
    try:
        office.add_users("alice")
        office.start(f"--uid={NOBODY}", f"--gid={NOBODY}")
        with socket.create_connection((address, 587), 20) as client:
            assert client.recv(3) == b"220"
        with office.smtp() as sender:
            sender.sendmail("friend@far.test", ["alice@office.test"], "Subject: hello\r\n\r\n")
        office.wait_for_files("alice")
        with office.pop3("alice") as mailbox:
            assert mailbox.stat()[0] == 1
        status = Path(f"/proc/{office.process.pid}/status").read_text()
        assert re.search(rf"^Uid:\s+{NOBODY}\s+{NOBODY}\s+{NOBODY}", status, re.MULTILINE)
        assert re.search(rf"^Gid:\s+{NOBODY}\s+{NOBODY}\s+{NOBODY}", status, re.MULTILINE)
        owners = {path.stat().st_uid for path in [office.data, *office.data.rglob("*")]}
        assert owners == {NOBODY}, [pwd.getpwuid(owner).pw_name for owner in owners]
    finally:
        office.close()


def test_open_relay(make_office: MakeOffice) -> None:
    """It has to be accepted in so many words, and then it is told of at each start."""
    office = make_office({"relay": {"networks": "0.0.0.0/1 128.0.0.0/1"}}, users=())
    said = in_foreground(office, 78)
    assert said.count("\n") == 0
    assert "[relay] networks: this is an open relay: " in said
    office.configure({"relay": {"networks": "0.0.0.0/1 128.0.0.0/1", "i_accept_an_open_relay": "yes"}})
    office.start()
    office.wait_for_log("warn: relay: this is an open relay: ")
