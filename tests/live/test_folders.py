"""A folder as a further account, for programs that know POP3 alone: they need nothing but another name."""

from __future__ import annotations

import poplib
import smtplib
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.live.conftest import MakeOffice
from tests.live.dovecot import dovecot
from tests.live.office import Office
from tests.live.programs import run
from tests.live.wire import DOMAIN, PASSWORD, UNVERIFIED

LETTER = "From: friend@far.test\nTo: alice@office.test\nSubject: {0}\nMessage-ID: <{0}@far.test>\n\ntext\n"


def put(office: Office, folder: str, subject: str) -> None:
    """As another program does; ``folder`` as it stands on the disk."""
    new = office.maildir("alice") / folder / "new"
    new.mkdir(parents=True, exist_ok=True)
    (new / f"1700000000.{subject}.host").write_text(LETTER.format(subject))


def subjects(office: Office, name: str, password: str = PASSWORD) -> list[str]:
    client = poplib.POP3_SSL("127.0.0.1", office.port.pop3s, context=UNVERIFIED, timeout=30)
    try:
        client.user(name)
        client.pass_(password)
        count, _ = client.stat()
        lines = [line.decode() for number in range(1, count + 1) for line in client.top(number, 0)[1]]
        return [line.removeprefix("Subject: ") for line in lines if line.startswith("Subject: ")]
    finally:
        client.quit()


@pytest.mark.parametrize(
    "name", ["alice/Junk", "alice@office.test/Junk", "ALICE+junk@office.test", "alice+Junk", "alice/Junk@office.test"]
)
def test_every_way_to_write_it(make_office: MakeOffice, name: str) -> None:
    office = make_office().start()
    put(office, ".Junk", "spam")
    put(office, "", "hello")
    assert subjects(office, name) == ["spam"]
    assert subjects(office, "alice") == subjects(office, "alice/INBOX") == ["hello"]
    office.wait_for_log("Login:", "user=<alice@office.test/")


def test_what_is_not_there(make_office: MakeOffice) -> None:
    """Folders that programs ask for are empty; others are refused to the owner; strangers hear of neither."""
    office = make_office(users=("alice", "bob")).start()
    assert [subjects(office, f"alice/{name}") for name in ("Sent", "drafts", "Junk", "TRASH", "Archive")] == [[]] * 5
    put(office, ".Plans", "secret")
    for name in ("bob/Plans", "bob/../alice", "bob/..", "alice/Plans/", "alice/.Plans"):
        with pytest.raises(poplib.error_proto, match=r"-ERR \[SYS/PERM\] There is no such folder"):
            subjects(office, name)
    for name in ("alice/Plans", "alice/Nope", "nobody/Plans"):
        with pytest.raises(poplib.error_proto, match=r"-ERR \[AUTH\] The name or the password is wrong"):
            subjects(office, name, "wrong")
    assert not (office.maildir("bob") / ".Sent").exists(), "asking makes nothing"


def test_a_session_for_each_folder(make_office: MakeOffice) -> None:
    """Foxmail fetches all its accounts at once."""
    office = make_office().start()
    put(office, ".Junk", "spam")
    with office.pop3("alice") as inbox:
        assert inbox.stat()[0] == 0
        assert subjects(office, "alice/Junk") == ["spam"]
        with pytest.raises(poplib.error_proto, match="IN-USE"):
            subjects(office, "alice/inbox")


def test_curl_with_every_mechanism_that_it_has(make_office: MakeOffice, tmp_path: Path) -> None:
    office = make_office().start()
    put(office, ".Work.2026", "budget")
    for mechanism in ("+LOGIN", "AUTH=PLAIN", "AUTH=LOGIN"):
        credentials = tmp_path / "curlrc"
        credentials.write_text(f'user = "alice@{DOMAIN}/Work/2026:{PASSWORD}"\ninsecure\nssl-reqd\nsilent\n')
        options = () if mechanism == "+LOGIN" else ("--login-options", mechanism)
        said = run("curl", "-K", credentials, *options, f"pop3://127.0.0.1:{office.port.pop3}/1").stdout
        assert "Subject: budget" in said


@pytest.mark.parametrize("method", ["user", "plain", "scram-sha-256"])
def test_mpop(make_office: MakeOffice, tmp_path: Path, method: str) -> None:
    """With SCRAM the name and its folder are part of what is proven."""
    office = make_office().start()
    put(office, ".Junk", "spam")
    for part in ("tmp", "new", "cur"):
        (tmp_path / "Mail" / part).mkdir(parents=True)
    settings = tmp_path / "mpoprc"
    settings.write_text(
        f"account here\nhost 127.0.0.1\nport {office.port.pop3}\ntls on\ntls_starttls on\ntls_certcheck off\n"
        f"user alice/Junk\npassword {PASSWORD}\nauth {method}\nkeep on\nreceived_header off\n"
        f"delivery maildir {tmp_path / 'Mail'}\nuidls_file {tmp_path / 'uidls'}\n"
    )
    settings.chmod(0o600)
    run("mpop", "-C", settings, "here")
    (fetched,) = (tmp_path / "Mail/new").iterdir()
    assert "Subject: spam" in fetched.read_text()
    office.wait_for_log("Login:", "user=<alice@office.test/Junk>", "method=")


def test_folders_that_dovecot_has_made(nobodys_office: Office, open_folder: Path) -> None:
    """Names in any script, and levels: it keeps them in modified UTF-7 and with dots."""
    office = nobodys_office
    letter = open_folder / "letter"
    with dovecot(open_folder / "dovecot", office.data / "mail"):
        conf = ("-c", open_folder / "dovecot" / "dovecot.conf")
        for subject, folder in (("offer", "垃圾邮件"), ("budget", "Work.2026.A & B"), ("draft", "Entwürfe")):
            run("doveadm", *conf, "mailbox", "create", "-u", f"alice@{DOMAIN}", folder)
            letter.write_text(LETTER.format(subject))
            run("doveadm", *conf, "save", "-u", f"alice@{DOMAIN}", "-m", folder, letter)
    assert subjects(office, "alice/垃圾邮件") == ["offer"]
    assert subjects(office, f"alice@{DOMAIN}/Work/2026/A & B") == ["budget"]
    assert subjects(office, "alice/entwürfe") == ["draft"]
    assert (office.maildir("alice") / ".&V4NXPpCuTvY-").is_dir()


def test_sending_with_the_name_of_a_folder(make_office: MakeOffice, tmp_path: Path) -> None:
    """Programs use one name for both; what counts is the account."""
    office = make_office(users=("alice", "bob")).start()
    client = smtplib.SMTP("127.0.0.1", office.port.submission, "laptop.test", timeout=30)
    client.starttls(context=UNVERIFIED)
    client.login("alice/Sent", PASSWORD)
    client.sendmail("alice@office.test", ["bob@office.test"], LETTER.format("x").replace("friend@far", "alice@office"))
    with pytest.raises(smtplib.SMTPSenderRefused):
        client.sendmail("bob@office.test", ["alice@office.test"], LETTER.format("y"))
    client.quit()
    office.wait_for_files("bob")
    user = quote("alice@office.test/Junk", safe="")
    letter = tmp_path / "letter"
    letter.write_text(LETTER.format("z").replace("friend@far", "alice@office").replace("\n", "\r\n"))
    url = f"smtp://{user}:{quote(PASSWORD)}@127.0.0.1:{office.port.submission}/laptop.test"
    envelope = ("--mail-from", "alice@office.test", "--mail-rcpt", "bob@office.test", "--upload-file", letter)
    run("curl", "-sSk", "--ssl-reqd", url, *envelope)
    office.wait_for_files("bob", 2)
