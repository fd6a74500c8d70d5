"""Scripts, cron and mail programs call sendmail, while the server runs and while it does not."""

from __future__ import annotations

import os
import pwd
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.live.conftest import MakeOffice, next_hop
from tests.live.office import BIN, Office
from tests.live.programs import NOBODY, need_root, program, run
from tests.live.sink import Sink
from tests.live.waiting import eventually

ME = pwd.getpwuid(os.getuid()).pw_name

#: Whoever runs the tests may have a Python that nobody else can enter: all of it is loaded before it becomes another.
LOADED = """
import argon2, encodings.idna, encodings.utf_8_sig, os, sys
import mailstack.admin.cli, mailstack.admin.sendmail
from mailstack.admin.program import main
sys.argv[0] = "sendmail"
"""
AS_NOBODY = f"{LOADED}os.setgroups([])\nos.setgid({NOBODY})\nos.setuid({NOBODY})\nmain()"
AS_ROOT = f"{LOADED}main()"


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with links to the program, as in /usr/sbin; the configuration is named by the environment."""
    folder = tmp_path / "sbin"
    folder.mkdir()
    for name in ("sendmail", "mailq", "newaliases"):
        (folder / name).symlink_to(BIN / "mailstack")
    monkeypatch.setenv("MAILSTACK_CONFIG", str(tmp_path / "mail.ini"))
    return folder


def content(office: Office, user: str = "alice") -> str:
    """Of the one letter that comes."""
    (file,) = office.wait_for_files(user)
    return file.read_text()


def test_cron(make_office: MakeOffice, names: Path) -> None:
    """As cron calls it, and what is left of it: the letter, two lines in the log, an empty queue."""
    office = make_office().start()
    job = f"From: {ME} (Cron Daemon)\nTo: alice\nSubject: Cron <{ME}@host> backup\nPrecedence: bulk\n\ndone\n"
    began = time.monotonic()
    run(str(names / "sendmail"), "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "alice", input=job)
    assert time.monotonic() - began < 3
    text = content(office)
    assert f"\nFrom: {ME}@office.test (Cron Daemon)\nTo: alice@office.test\n" in text and text.endswith("\n\ndone\n")
    taken = office.wait_for_log(f"uid={os.getuid()}, from=<{ME}@office.test>")
    id = taken.split()[1].rstrip(":")
    assert office.wait_for_log(id, "status=sent")
    office.wait_for_empty_queue()
    assert "queue is empty" in run(str(names / "mailq")).stdout
    assert run(str(names / "newaliases")).stdout == ""


def test_it_waits_for_the_server_to_start(make_office: MakeOffice, names: Path, sink: Sink) -> None:
    office = make_office(next_hop(sink)).start()
    office.stop()
    run(str(names / "sendmail"), "-t", "-f", "alice", input="To: alice, x@away.test\nBcc: y@away.test\n\n.\n..\n")
    run(str(names / "sendmail"), "-ti", "-f", "alice", input="To: alice, x@away.test\nBcc: y@away.test\n\n.\n..\n")
    assert len(office.queue()) == 2
    assert office.queue()[0]["id"] in run(str(names / "mailq")).stdout
    office.start()
    first, second = sorted(file.read_text().partition("\n\n")[2] for file in office.wait_for_files("alice", 2))
    assert (first, second) == ("", ".\n..\n")
    assert eventually(lambda: len(sink.letters) == 2)
    assert all(sorted(letter.recipients) == ["x@away.test", "y@away.test"] for letter in sink.letters)
    assert all(letter.sender == "alice@office.test" and b"y@away" not in letter.content for letter in sink.letters)
    office.wait_for_empty_queue()


def test_before_the_first_start(make_office: MakeOffice, names: Path) -> None:
    office = make_office()
    done = run(str(names / "sendmail"), "alice", input="x\n", code=75)
    assert "start the server once" in done.stderr
    office.start()
    assert office.files("alice") == []


@pytest.mark.parametrize("running", [True, False])
def test_mail_programs(make_office: MakeOffice, names: Path, tmp_path: Path, running: bool) -> None:
    office = make_office().start()
    if not running:
        office.stop()
    mta = names / "sendmail"
    (tmp_path / "muttrc").write_text(
        f'set sendmail="{mta} -oem -oi"\nset from="alice@office.test"\nset use_from=yes\nset copy=no\n'
        "set use_envelope_from=yes\n"
    )
    run("mutt", "-n", "-F", tmp_path / "muttrc", "-s", "by mutt", "alice@office.test", input="hello\n", cwd=tmp_path)
    run("s-nail", "-n", "-S", f"mta={mta}", "-S", "sendwait", "-s", "by s-nail", "alice", input=".dot\n")
    if not running:
        office.start()
    texts = [file.read_text() for file in office.wait_for_files("alice", 2)]
    assert sorted("by mutt" in text for text in texts) == [False, True]
    assert any("by s-nail" in text and text.endswith("\n.dot\n") for text in texts)


def test_mail_programs_show_why_not(make_office: MakeOffice, names: Path) -> None:
    make_office().start()
    settings = ("-n", "-S", f"mta={names / 'sendmail'}", "-S", "sendwait", "-S", "nosave")
    done = subprocess.run(
        [program("s-nail"), *settings, "-s", "x", "nobody@office.test"], input=b"x\n", capture_output=True, timeout=60
    )
    assert done.returncode != 0
    assert b"nobody@office.test: 550 5.1.1 No such user here; nothing was sent" in done.stderr


def test_smtp_on_standard_input(make_office: MakeOffice, names: Path) -> None:
    office = make_office().start()
    envelope = "EHLO x\nMAIL FROM:<alice@office.test>\nRCPT TO:<alice@office.test>\nDATA\n"
    said = f"{envelope}Subject: bs\nBcc: x\n\n..dot\n.\nQUIT\n"
    done = run(str(names / "sendmail"), "-bs", input=said.replace("\n", "\r\n"))
    assert "250 2.0.0 Ok: queued as" in done.stdout and done.stdout.startswith("220 ")
    text = content(office)
    assert text.endswith("\nSubject: bs\n\n.dot\n") and "\nFrom: alice@office.test\n" in text


def sendmail(office: Office, as_whom: str, *words: str, input: str, code: int) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", as_whom, *words],
        input=input,
        text=True,
        capture_output=True,
        timeout=60,
        cwd="/",
        env={**os.environ, "MAILSTACK_CONFIG": str(office.ini)},
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == (1 if code else 0)
    return done


@pytest.fixture
def public(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Its mail.ini can be read by all, its data by root alone."""
    need_root()
    open_folder.chmod(0o755)
    made = Office(open_folder)
    made.add_users("alice")
    return made


def test_users_who_may_not_write_the_queue_ask_the_port(public: Office, sink: Sink) -> None:
    """Here without a password; to other domains only where mail.ini says so."""
    try:
        public.configure(next_hop(sink))
        public.start()
        sendmail(public, AS_NOBODY, "-i", "alice", input="Subject: by nobody\n\nx\n", code=0)
        assert f"Received: by mail.office.test (mailstack, from userid {NOBODY}) id " in content(public)
        done = sendmail(public, AS_NOBODY, "x@away.test", "alice", input="x\n", code=77)
        assert "add 127.0.0.0/8 to [relay] networks" in done.stderr and str(public.ini) in done.stderr
        assert "220 " in sendmail(public, AS_NOBODY, "-bs", input="QUIT\r\n", code=0).stdout
        public.stop()
        assert "does not answer" in sendmail(public, AS_NOBODY, "alice", input="x\n", code=75).stderr
        public.configure({**next_hop(sink), "relay": {"networks": "127.0.0.0/8"}})
        public.start()
        sendmail(public, AS_NOBODY, "x@away.test", input="x\n", code=0)
        assert eventually(lambda: sink.letters)
        assert sink.letters[0].recipients == ["x@away.test"]
        assert len(public.files("alice")) == 1
    finally:
        public.close()


def test_what_root_sends_belongs_to_the_servers_user(public: Office) -> None:
    for file in (public.users, public.aliases):
        os.chown(file, NOBODY, NOBODY)
    try:
        public.start(f"--uid={NOBODY}", f"--gid={NOBODY}")
        sendmail(public, AS_ROOT, "alice", input="one\n", code=0)
        content(public)
        public.stop()
        sendmail(public, AS_ROOT, "alice", input="two\n", code=0)
        spool = public.data / "spool"
        assert {path.stat().st_uid for path in [spool, *spool.rglob("*")]} == {NOBODY}
        assert all(path.stat().st_mode & 0o077 == 0 for path in spool.rglob("*"))
        public.start(f"--uid={NOBODY}", f"--gid={NOBODY}")
        public.wait_for_files("alice", 2)
    finally:
        public.close()


def sends(names: Path, number: int) -> list[subprocess.Popen[bytes]]:
    """So many at once; large ones and small ones."""
    made = []
    for index in range(number):
        process = subprocess.Popen(
            [names / "sendmail", "-i", "alice"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        process.stdin.write(letter(index, 400_000 if index % 2 else 10))
        process.stdin.close()
        made.append(process)
    return made


def letter(index: int, size: int) -> bytes:
    return f"Subject: {index}\n\n{'x' * 70}\n".encode() + b"y" * size + b"\nend\n"


def subjects(files: Sequence[Path]) -> list[int]:
    """Of whole letters alone."""
    found = []
    for file in files:
        header, _, body = file.read_bytes().partition(b"\n\n")
        number = int(header.rpartition(b"Subject: ")[2])
        assert letter(number, 400_000 if number % 2 else 10).endswith(body) and body.endswith(b"\nend\n")
        found.append(number)
    return sorted(found)


def test_the_server_dies_while_letters_come(make_office: MakeOffice, names: Path) -> None:
    """Whoever heard 0 has a letter there, once."""
    office = make_office().start()
    running = sends(names, 12)
    time.sleep(0.3)
    office.kill()
    office.start()
    codes = [process.wait(60) for process in running]
    assert set(codes) <= {0, 75}, [process.stderr.read() for process in running if process.stderr]
    good = [index for index, code in enumerate(codes) if code == 0]
    assert good
    office.wait_for_empty_queue()
    assert subjects(office.wait_for_files("alice", len(good))) == good


def test_sendmail_dies_while_it_sends(make_office: MakeOffice, names: Path) -> None:
    """All of a letter, or nothing; and the next start clears away what was begun."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    office = make_office().start()
    codes = []
    for process in sends(names, 10):
        time.sleep(chance.random() * 0.15)
        process.send_signal(signal.SIGKILL)
        codes.append(process.wait(10))
    office.wait_for_empty_queue()
    office.stop()
    office.start()
    arrived = subjects(office.files("alice"))
    assert len(set(arrived)) == len(arrived)
    assert {index for index, code in enumerate(codes) if code == 0} <= set(arrived)
    assert office.spooled() == []
    assert not office.logged("error")


def test_what_can_be_taken_back(make_office: MakeOffice, names: Path) -> None:
    office = make_office({"submission": {"undo": "1h"}}).start()
    said = run(str(names / "sendmail"), "-v", "alice", input="regretted\n").stdout
    assert said.startswith("250 2.0.0 Ok: held until 2")
    id = said.split()[-1]
    (entry,) = office.queue()
    assert (entry["id"], entry["state"], entry["recipients"][0]["attempts"]) == (id, "deferred", 0)
    office.wait_for_log(id, "uid=")
    office.cli("queue", "retry", "--all")
    time.sleep(2.5)
    assert office.files("alice") == []
    office.cli("queue", "drop", id, "--yes")
    office.wait_for_log(id, "Dropped by")
    office.wait_for_empty_queue()
    assert office.files("alice") == []


def test_what_is_held_back_goes_early_if_it_is_named(make_office: MakeOffice, names: Path) -> None:
    office = make_office({"submission": {"undo": "1h"}}).start()
    id = run(str(names / "sendmail"), "-v", "alice", input="urgent\n").stdout.split()[-1]
    assert office.cli("queue", "retry", id) == "1 letter due now\n"
    assert office.wait_for_files("alice", 1)
    office.wait_for_empty_queue()


def test_submissions_wait(make_office: MakeOffice, sink: Sink) -> None:
    """HOLDFOR, over the net: for recipients here and elsewhere, and over a restart."""
    office = make_office(next_hop(sink)).start()
    with office.submission("alice") as client:
        client.ehlo()
        assert client.esmtp_features["futurerelease"].startswith("2592000 ")
        began = time.time()
        client.sendmail("alice@office.test", ["alice@office.test", "x@away.test"], "later\r\n", ["HOLDFOR=6"])
    (entry,) = office.queue()
    assert [(each["state"], each["attempts"]) for each in entry["recipients"]] == [("deferred", 0)] * 2
    office.kill()
    office.start()
    time.sleep(max(0.0, began + 4.5 - time.time()))
    assert office.files("alice") == [] and sink.letters == []
    assert eventually(lambda: office.files("alice") and sink.letters)
    assert time.time() - began >= 6
    assert not any("HOLD" in line for _, line in sink.lines)
    office.wait_for_empty_queue()


def test_a_start_is_quick(names: Path, make_office: MakeOffice) -> None:
    """Scripts send one letter after the other: nothing that a letter does not need is loaded."""
    make_office()
    slow = ("click", "twisted", "argon2", "passlib", "cryptography", "dns")
    code = f"import sys, mailstack.admin.sendmail\nprint([name for name in {slow} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded == "[]\n"
