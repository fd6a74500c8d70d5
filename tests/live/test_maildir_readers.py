"""Other programs open the Maildirs while the server runs, and move letters about in them. Dovecot is in
test_beside_dovecot.py."""

from __future__ import annotations

import mailbox
from pathlib import Path

from tests.live.conftest import MakeOffice
from tests.live.letters import RAW, SUBJECT, split
from tests.live.office import Office
from tests.live.terminal import run_in_terminal


def send(office: Office, user: str, letter: bytes) -> None:
    with office.smtp() as client:
        client.sendmail("friend@far.test", [f"{user}@office.test"], letter, mail_options=["BODY=8BITMIME"])


def uidls(office: Office, user: str) -> list[bytes]:
    with office.pop3(user) as client:
        return [line.split()[1] for line in client.uidl()[1]]


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
