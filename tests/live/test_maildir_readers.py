"""Other programs open the Maildirs while the server runs, and move letters about in them."""

from __future__ import annotations

import mailbox
import os
import poplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import MakeOffice
from tests.live.dovecot import PASSWORD, dovecot
from tests.live.letters import RAW, SUBJECT, split
from tests.live.office import Office
from tests.live.programs import NOBODY, need_root
from tests.live.terminal import run_in_terminal


def send(office: Office, user: str, letter: bytes) -> None:
    with office.smtp() as client:
        client.sendmail("friend@far.test", [f"{user}@office.test"], letter, mail_options=["BODY=8BITMIME"])


def uidls(office: Office, user: str) -> list[bytes]:
    with office.pop3(user) as client:
        return [line.split()[1] for line in client.uidl()[1]]


@pytest.fixture
def nobodys_office(open_folder: Path) -> Iterator[Office]:
    """One that root starts and that runs as nobody, as it would beside a Dovecot."""
    need_root()
    folder = open_folder / "office"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    made = Office(folder)
    try:
        made.add_users("alice")
        yield made.start(f"--uid={NOBODY}", f"--gid={NOBODY}")
    finally:
        made.close()


def test_dovecot(nobodys_office: Office, open_folder: Path) -> None:
    """It reads what came, moves it to cur with a flag; our POP3 still has it, under the same UIDL."""
    office = nobodys_office
    send(office, "alice", RAW)
    (arrived,) = office.wait_for_files("alice")
    size, before = len(arrived.read_bytes().replace(b"\n", b"\r\n")), uidls(office, "alice")
    with dovecot(open_folder / "dovecot", office.data / "mail") as port:
        client = poplib.POP3("127.0.0.1", port, timeout=30)
        client.user("alice@office.test")
        client.pass_(PASSWORD)
        assert client.stat() == (1, size)
        split(b"\r\n".join([*client.retr(1)[1], b""]), RAW)
        client.quit()
    (seen,) = office.files("alice")
    assert (seen.parent.name, seen.name) == ("cur", f"{arrived.name}:2,S")
    assert uidls(office, "alice") == before
    with office.pop3("alice") as client:
        split(b"\r\n".join([*client.retr(1)[1], b""]), RAW)
        client.dele(1)
    assert office.files("alice") == []


def test_mutt(make_office: MakeOffice, tmp_path: Path) -> None:
    """It copies the letter out, and leaves it in cur as seen; our POP3 still has it, under the same UIDL."""
    office = make_office().start()
    send(office, "alice", RAW)
    (arrived,) = office.wait_for_files("alice")
    arrived_content, before = arrived.read_bytes(), uidls(office, "alice")
    settings = tmp_path / "muttrc"
    settings.write_text(
        f"set folder={tmp_path} mbox_type=maildir confirmappend=no confirmcreate=no move=no quit=yes mark_old=yes\n"
        'push "<decode-copy><kill-line>=decoded<enter><copy-message><kill-line>=copy<enter><quit>"\n'
    )
    code, drawn = run_in_terminal("mutt", "-n", "-F", settings, "-f", office.maildir("alice"), home=tmp_path)
    assert code == 0, drawn
    (copy,) = (tmp_path / "copy").glob("*/*")
    header, _, body = arrived_content.partition(b"\n\n")
    assert copy.read_bytes().startswith(header)  # mutt adds Content-Length
    assert copy.read_bytes().endswith(b"\n\n" + body)
    (decoded,) = (tmp_path / "decoded").glob("*/*")
    assert f"Subject: {SUBJECT}" in decoded.read_text()
    (seen,) = office.files("alice")
    assert seen.parent.name == "cur"
    assert seen.name.startswith(f"{arrived.name}:2,")
    assert uidls(office, "alice") == before
    with office.pop3("alice") as client:
        split(b"\r\n".join([*client.retr(1)[1], b""]), RAW)


def test_python_reads_it_too(make_office: MakeOffice) -> None:
    office = make_office().start()
    send(office, "alice", RAW)
    office.wait_for_files("alice")
    (letter,) = mailbox.Maildir(office.maildir("alice"), create=False)
    assert letter["Message-ID"] == "<2@far.test>"
