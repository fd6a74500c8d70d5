"""One session at a time for each mailbox: who comes second is told so, and who is dead makes room."""

from __future__ import annotations

import poplib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.letters import RAW, put
from tests.live.office import Office
from tests.live.programs import run_anyhow
from tests.live.waiting import eventually
from tests.live.wire import DOMAIN, PASSWORD, TIMEOUT

SILENCE = 1.0  # seconds
LARGE = 20 << 20  # octets, more than the kernel takes for a client that does not read

LOGIN = f"USER alice@{DOMAIN}\r\nPASS {PASSWORD}\r\n".encode()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """One without patience."""
    made = Office(tmp_path_factory.mktemp("office"), {"limits": {"pop3_timeout": f"{SILENCE:.0f}s"}})
    try:
        made.add_users("alice")
        put(made.maildir("alice"), {"raw": RAW, "large": b"Subject: large\n\n" + (b"x" * 79 + b"\n") * (LARGE // 80)})
        yield made.start()
    finally:
        made.close()


def second(office: Office) -> str:
    """What a client hears that comes while another one is there: "" when it is let in."""
    client = poplib.POP3("127.0.0.1", office.port.pop3, timeout=TIMEOUT)
    try:
        client.user(f"alice@{DOMAIN}")
        client.pass_(PASSWORD)
    except poplib.error_proto as error:
        return str(error)
    finally:
        client.quit()
    return ""


@pytest.mark.parametrize(
    "last", [b"", b"DELE 1\r\nQUI", b"DELE 1\r\nRETR 2\r\n"], ids=["silent", "in a command", "deaf"]
)
def test_a_dead_client_makes_room(office: Office, last: bytes) -> None:
    """After pop3_timeout, and not before; nothing is removed. Deaf: it takes no more of the letter that it wants."""
    before = office.files("alice")
    with socket.create_connection(("127.0.0.1", office.port.pop3), TIMEOUT) as dead:
        dead.sendall(LOGIN)
        replies = b""
        while replies.count(b"+OK") < 3:
            replies += dead.recv(4096)
        dead.sendall(last)
        begun = time.monotonic()
        assert "[IN-USE]" in second(office)
        assert eventually(lambda: second(office) == "")
        assert time.monotonic() - begun > SILENCE * 0.9
        assert office.files("alice") == before
    assert office.wait_for_log("pop3: Disconnected: Inactivity", f"del=0/{len(before)}", "user=<alice@office.test>")


def test_programs_say_that_it_is_in_use(office: Office, tmp_path: Path) -> None:
    """curl passes our words on, fetchmail knows the code and will try again."""
    settings = tmp_path / "fetchmailrc"
    settings.write_text(
        f"set no bouncemail\npoll 127.0.0.1 service {office.port.pop3} protocol pop3\n"
        f' username "alice@{DOMAIN}" password "{PASSWORD}" sslproto "" mda "false"\n'
    )
    settings.chmod(0o600)
    with office.pop3("alice"):
        curl = run_anyhow("curl", "-sv", f"pop3://127.0.0.1:{office.port.pop3}/1", "-u", f"alice@{DOMAIN}:{PASSWORD}")
        fetchmail = run_anyhow("fetchmail", "-f", settings, "--pidfile", tmp_path / "pid", "--nosyslog")
    assert (curl.returncode, curl.stdout) == (67, "")
    assert "< -ERR [IN-USE] Another session has this mailbox open" in curl.stderr
    assert (fetchmail.returncode, fetchmail.stdout) == (9, "fetchmail: Query status=9 (LOCKBUSY)\n")
    assert "[IN-USE] Another session has this mailbox open" in fetchmail.stderr


def test_letters_that_come_meanwhile(office: Office) -> None:
    """They are in the next session."""
    count = len(office.files("alice"))
    with office.pop3("alice") as client, office.smtp() as sender:
        sender.sendmail("friend@far.test", [f"alice@{DOMAIN}"], RAW, mail_options=["BODY=8BITMIME"])
        office.wait_for_files("alice", count + 1)
        assert client.stat()[0] == len(client.uidl()[1]) == count
        with pytest.raises(poplib.error_proto, match="No such message"):
            client.retr(count + 1)
    with office.pop3("alice") as client:
        assert client.stat()[0] == len(set(client.uidl()[1])) == count + 1
