"""The administrator looks at what clients said, while the server runs and while it does not."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import MakeOffice
from tests.live.office import Office
from tests.live.programs import run_anyhow
from tests.live.test_scram import gsasl
from tests.live.waiting import eventually
from tests.live.wire import DOMAIN, PASSWORD, Wire

WRONG = "quite another one"


@pytest.fixture
def office(make_office: MakeOffice) -> Office:
    return make_office().start()


def sessions(office: Office, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(office.cli("session", "list", "--json", *words))
    return found


def wait_for(office: Office, *words: str, still_open: bool = False) -> dict[str, Any]:
    """Of a session that goes on, the file may have a part only."""

    def found() -> list[dict[str, Any]]:
        return [each for each in sessions(office, *words) if still_open or each["ended"] != "open"]

    last = eventually(found)
    assert last, f"no session with {words}: {office.cli('session', 'list')}"
    return last[-1]


def swaks(office: Office, *words: str) -> None:
    run_anyhow("swaks", "--server", f"127.0.0.1:{office.port.smtp}", "--from", "friend@far.test", *words)


def submit(office: Office, mechanism: str, password: str) -> None:
    login = ("--auth", mechanism, "--auth-user", f"alice@{DOMAIN}", "--auth-password", password)
    place = ("--server", f"127.0.0.1:{office.port.submission}", "-tls")
    run_anyhow("swaks", *place, *login, "--from", f"alice@{DOMAIN}", "--to", f"alice@{DOMAIN}")


def test_a_letter(office: Office) -> None:
    """Its id leads from the session to the letter; its content is nowhere."""
    swaks(office, "--to", f"alice@{DOMAIN}", "--header", "Subject: Rosebud", "--body", "Xanadu")
    found = wait_for(office, "--said", f"RCPT TO:<alice@{DOMAIN}>")
    (path,) = office.wait_for_files("alice")
    (id,) = found["queue_ids"]
    assert f"Q{id}" in path.name
    assert (found["client"], found["service"], found["ended"]) == ("127.0.0.1", "smtp", "QUIT")
    file = office.data / "state/sessions.jsonl"
    assert "Rosebud" not in file.read_text()
    assert "Xanadu" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_why_did_it_not_arrive(office: Office) -> None:
    swaks(office, "--to", "victim@elsewhere.test")
    found = wait_for(office, "--failed", "--said", "victim@elsewhere.test")
    assert found["refusals"] == ["550 5.7.1 Relaying denied"]
    id = str(found["id"])
    assert "Relaying denied" in office.cli("session", "list")
    shown = office.cli("session", "show", id, "--explain", "--lang", "zh")
    assert "S: 550 5.7.1 Relaying denied\n             拒绝中继" in shown
    assert "Relaying refused" in office.cli("session", "show", id, "--explain", "--lang", "en")
    assert "Error: there is no session" in office.cli("session", "show", "4711", code=1)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("password", [PASSWORD, WRONG])
def test_no_secrets_are_kept(office: Office, mechanism: str, password: str) -> None:
    submit(office, mechanism, password)
    found = wait_for(office, "--said", f"AUTH {mechanism}")
    assert found["user"] == (f"alice@{DOMAIN}" if password == PASSWORD else "")
    assert found["protocol"] == ("ESMTPSA" if password == PASSWORD else "ESMTPS")
    assert_no_secret(office.data, password)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
def test_no_proofs_are_kept(make_office: MakeOffice, mechanism: str) -> None:
    """Nonces, salt and proofs are enough to try passwords on. GNU SASL shows what it sends and gets."""
    office = make_office(users=("dave",)).start()
    said = gsasl(office, mechanism, "TLS 1.3")
    assert wait_for(office, "--said", f"AUTH {mechanism}")["user"] == f"dave@{DOMAIN}"
    kept = (office.data / "state/sessions.jsonl").read_text()
    exchanged = re.findall(r"[A-Za-z0-9+/]{40,}=*", said)
    assert len(exchanged) > 3
    assert [word for word in exchanged if word in kept] == []


def test_no_secrets_are_kept_where_nobody_can_log_in(office: Office) -> None:
    """A client that does not hear the refusal goes on with its password."""
    plain = base64.b64encode(f"\0alice\0{PASSWORD}".encode())
    coded = base64.b64encode(PASSWORD.encode())
    with Wire(office.port.smtp) as client:
        for line in (b"EHLO x", b"AUTH PLAIN " + plain, b"AUTH PLAIN", plain, b"AUTH LOGIN", coded, b"AUTH " + plain):
            client.ask(line)
        client.ask(b"PASS " + PASSWORD.encode())
        client.ask(b"QUIT")
    found = wait_for(office, "--said", "AUTH PLAIN")
    assert found["ended"] == "QUIT"
    assert_no_secret(office.data, PASSWORD)


def assert_no_secret(data: Path, password: str) -> None:
    """Neither as it is nor in any form that base64 gives it, wherever in a text it stands."""
    text = "".join(path.read_text("latin-1") for path in (data / "state").rglob("*") if path.is_file())
    assert password not in text
    for before in (b"", b"\0", b"\0\0", f"\0alice@{DOMAIN}\0".encode()):
        coded = base64.b64encode(before + password.encode()).decode().rstrip("=")
        # The first and the last group depend on what stands around.
        assert coded[len(before) * 8 // 6 + 2 : -2] not in text


def test_restart(office: Office) -> None:
    """Open sessions are marked as such; what is kept can be looked at without a server, and stays."""
    client = Wire(office.port.smtp)
    client.ask(b"NOOP open")
    assert wait_for(office, "--said", "NOOP open", still_open=True)["ended"] == "open"
    office.kill()
    client.close()
    assert sessions(office, "--said", "NOOP open")[0]["ended"] == "open"
    office.start()
    swaks(office, "--quit-after", "EHLO")
    last = wait_for(office, "--said", "EHLO")
    first = wait_for(office, "--said", "NOOP open", still_open=True)
    assert (first["ended"], first["id"] < last["id"]) == ("lost", True)
    office.stop()
    assert [each["id"] for each in sessions(office, "--said", "EHLO")] == [last["id"]]


def test_none_are_kept(make_office: MakeOffice) -> None:
    office = make_office({"log": {"sessions": "0"}}).start()
    with Wire(office.port.smtp) as client:
        client.ask(b"QUIT")
    office.stop()
    assert office.cli("session", "list") == "No sessions are kept: [log] sessions = 0.\n"
    assert not (office.data / "state/sessions.jsonl").exists()
