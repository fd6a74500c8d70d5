"""What is sent by programs is in the Sent folder, whatever happens after the 250."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest

from tests.live.conftest import MakeOffice, next_hop
from tests.live.dovecot import dovecot
from tests.live.office import Office
from tests.live.programs import NOBODY, need_root, run
from tests.live.sink import Sink
from tests.live.test_submission import Program, curl, msmtp, swaks
from tests.live.waiting import eventually
from tests.live.wire import DOMAIN, PASSWORD

SAVE = {"submission": {"save_sent": "yes"}}


def letter(id: str) -> bytes:
    header = f"From: alice@{DOMAIN}\r\nTo: x@away.test\r\nBcc: secret@away.test\r\nSubject: {id}\r\n"
    return f"{header}Message-ID: <{id}@laptop.test>\r\n\r\ntext\r\n".encode()


def sent(office: Office, user: str = "alice") -> list[Path]:
    folder = office.maildir(user) / ".Sent"
    return sorted(path for part in ("new", "cur") for path in (folder / part).glob("*"))


def wait_for_sent(office: Office, number: int) -> list[Path]:
    eventually(lambda: len(sent(office)) >= number)
    assert len(sent(office)) == number, office.log()[-3000:]
    return sent(office)


@pytest.mark.parametrize("program", [msmtp, swaks, curl])
def test_programs(make_office: MakeOffice, sink: Sink, program: Program, tmp_path: Path) -> None:
    """The letter that has gone out, seen, once although the program sends it twice; read by POP3 as alice/Sent."""
    office = make_office({**next_hop(sink), **SAVE}).start()
    program(office, "alice", letter("one"), tmp_path)
    program(office, "alice", letter("one"), tmp_path)
    program(office, "alice", letter("two"), tmp_path)
    for file in wait_for_sent(office, 2):
        assert file.name.endswith(":2,S")
        assert b"\nMessage-ID: <" in file.read_bytes() and b"secret@" not in file.read_bytes()
    assert eventually(lambda: len({each.content for each in sink.letters}) >= 2)
    office.wait_for_empty_queue()
    assert all(file.stat().st_nlink == 1 for file in sent(office)), "the spool has done with it"
    office.wait_for_log("saved in folder=<alice@office.test/Sent>")
    office.wait_for_log("not saved, as a letter with its Message-ID is there already: folder=<alice@office.test/Sent>")
    settings = tmp_path / "curlrc"
    settings.write_text(f'user = "alice@{DOMAIN}/Sent:{PASSWORD}"\ninsecure\nssl-reqd\nsilent\n')
    said = run("curl", "-K", settings, f"pop3://127.0.0.1:{office.port.pop3}/2").stdout
    assert "Subject: two" in said


def test_the_account_decides(make_office: MakeOffice, sink: Sink) -> None:
    """At once, without a restart. In the queue there is no recipient more."""
    office = make_office({**next_hop(sink), **SAVE}, users=("alice", "bob")).start()
    office.cli("user", "set", "bob", "save_sent=no")
    sink.answer = lambda line: "451 4.3.0 later" if line.startswith("RCPT") else None
    for user in ("alice", "bob"):
        with contextlib.closing(office.submission(user)) as client:
            client.sendmail(f"{user}@{DOMAIN}", ["x@away.test"], f"From: {user}@{DOMAIN}\r\n\r\nx\r\n")
    wait_for_sent(office, 1)
    assert sent(office, "bob") == []
    assert [[each["address"] for each in found["recipients"]] for found in office.queue()] == [["x@away.test"]] * 2


def test_scripts_have_no_sent_folder(make_office: MakeOffice) -> None:
    office = make_office(SAVE).start()
    office.cli("sendmail", "-f", f"alice@{DOMAIN}", f"alice@{DOMAIN}", input="Subject: x\n\nx\n")
    office.wait_for_files("alice")
    office.wait_for_empty_queue()
    assert sent(office) == []


def test_what_is_taken_back_was_not_sent(make_office: MakeOffice, sink: Sink) -> None:
    office = make_office({**next_hop(sink), "submission": {"save_sent": "yes", "undo": "3s"}}).start()
    with contextlib.closing(office.submission("alice")) as client:
        for subject in ("regretted", "sent"):
            client.sendmail(f"alice@{DOMAIN}", ["x@away.test"], letter(subject))
    first = min(found["id"] for found in office.queue())
    office.cli("queue", "drop", "--yes", first)
    (file,) = wait_for_sent(office, 1)
    assert b"Subject: sent" in file.read_bytes()
    office.wait_for_empty_queue()
    assert sent(office) == [file]


def test_after_a_crash(make_office: MakeOffice, sink: Sink) -> None:
    """Every letter with a 250 is there, once, however soon after it the server is killed."""
    office = make_office({**next_hop(sink), **SAVE})
    accepted: list[str] = []
    for number in range(5):
        office.start()
        client = office.submission("alice")
        for part in range(number + 1):
            client.sendmail(f"alice@{DOMAIN}", ["x@away.test"], letter(f"{number}-{part}"))
            accepted.append(f"Subject: {number}-{part}")
        # Before the copy, while it is made durable, while that is recorded, after all of it.
        time.sleep(number * 0.04)
        office.kill()
        client.close()
    office.start()
    files = wait_for_sent(office, len(accepted))
    assert sorted(_subject(file) for file in files) == accepted
    office.wait_for_empty_queue()


def _subject(file: Path) -> str:
    return next(line for line in file.read_text().splitlines() if line.startswith("Subject: "))


def test_dovecot_shows_the_folder(open_folder: Path) -> None:
    """Subscribed, with the letter seen, of the size that POP3 says."""
    need_root()
    folder = open_folder / "office"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    office = Office(folder, SAVE)
    try:
        office.add_users("alice", "bob")
        office.start(f"--uid={NOBODY}", f"--gid={NOBODY}")
        with contextlib.closing(office.submission("alice")) as client:
            client.sendmail(f"alice@{DOMAIN}", [f"bob@{DOMAIN}"], letter("one"))
        (file,) = wait_for_sent(office, 1)
        (copy,) = office.wait_for_files("bob")
        assert file.samefile(copy), "one stored file"
        with dovecot(open_folder / "dovecot", office.data / "mail"):
            conf = ("-c", open_folder / "dovecot" / "dovecot.conf")
            user = ("-u", f"alice@{DOMAIN}")
            assert run("doveadm", *conf, "mailbox", "list", "-s", *user).stdout.split() == ["Sent"]
            assert set(run("doveadm", *conf, "mailbox", "list", *user).stdout.split()) == {"INBOX", "Sent"}
            shown = run("doveadm", *conf, "fetch", *user, "flags size.virtual", "mailbox", "Sent", "all").stdout
        size = len(file.read_bytes().replace(b"\n", b"\r\n"))
        assert "\\Seen" in shown.splitlines()[0] and f"size.virtual: {size}" in shown.splitlines()
    finally:
        office.close()
