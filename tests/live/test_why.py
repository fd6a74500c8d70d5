"""The four questions that people ask about a letter, and the history that answers them, also after a kill."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

from tests.live import clients
from tests.live.conftest import MakeOffice
from tests.live.letters import letter
from tests.live.office import Office
from tests.live.programs import run, run_anyhow
from tests.live.sink import Sink
from tests.live.test_queue import LATER, NEVER, deferred, retrying, send
from tests.live.waiting import eventually
from tests.live.wire import PASSWORD, Wire

#: As Dovecot's pop3_logout_format, and what people look for with grep.
LOGOUT = re.compile(r"Disconnected: Logged out top=(\d+)/(\d+), retr=(\d+)/(\d+), del=(\d+)/(\d+), size=(\d+)")


def lives(office: Office, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(office.cli("why", *words, "--json"))
    return found


def happened(life: dict[str, Any]) -> list[str]:
    return [event["what"] for event in life["events"] + life["now"]]


def histories(office: Office) -> list[Path]:
    return sorted((office.data / "state/history").iterdir())


def test_who_fetched_and_who_deleted_it(make_office: MakeOffice, tmp_path: Path) -> None:
    """ "My phone took it, and my PC does not show it": the log at level info tells nothing of ids, the history does."""
    office = make_office().start()
    clients.swaks(office, "alice", letter("hello", 0), tmp_path)
    office.wait_for_files("alice")
    curl = ("curl", "-sSk", "--user", f"alice@office.test:{PASSWORD}")
    run(*curl, f"pop3s://127.0.0.1:{office.port.pop3s}/1")
    with office.pop3("alice") as phone:
        phone.retr(1)
        phone.dele(1)
    office.wait_for_log("del=1/1")
    assert not office.logged("Fetched:")

    (told,) = lives(office, "alice@office.test")
    assert happened(told) == ["received", "delivered", "fetched", "fetched", "deleted", "removed"]
    assert told["sender"] == clients.SENDER
    first, second, deleted = told["events"][2:]
    assert first["rip"] == second["rip"] == deleted["rip"] == "127.0.0.1"
    assert first["tls"].startswith("TLSv1.3")
    assert "RETR" in first["said"] and "DELE" not in first["said"]
    assert "DELE" in deleted["said"]
    assert [path.stat().st_mode & 0o777 for path in histories(office)] == [0o600]
    office.stop()
    assert [life["events"] for life in lives(office, told["id"])] == [told["events"]]
    assert "deleted by POP3 by alice@office.test from 127.0.0.1" in office.cli("why", "alice", "--from", clients.SENDER)
    assert "用 POP3 删除" in office.cli("why", "alice", "--lang", "zh")


def test_the_line_at_logout_is_dovecots(make_office: MakeOffice, tmp_path: Path) -> None:
    office = make_office({"log": {"level": "debug"}}).start()
    clients.swaks(office, "alice", letter("hello", 0), tmp_path)
    office.wait_for_files("alice")
    with office.pop3("alice") as client:
        _, size = client.stat()
        client.top(1, 0)
        client.retr(1)
        client.dele(1)
    found = LOGOUT.search(office.wait_for_log("Disconnected: Logged out"))
    assert found is not None
    top, top_octets, *rest = map(int, found.groups())
    assert (top, rest) == (1, [1, size, 1, 1, size])
    assert 0 < top_octets <= size
    (id,) = [life["id"] for life in lives(office, "alice@office.test")]
    assert office.logged("pop3: Fetched:", f"ids={id}") and office.logged("pop3: Deleted:", f"ids={id}")


def test_a_lost_connection_deletes_nothing(make_office: MakeOffice, tmp_path: Path) -> None:
    """And nothing says that it has."""
    office = make_office().start()
    clients.swaks(office, "alice", letter("hello", 0), tmp_path)
    office.wait_for_files("alice")
    with Wire(office.port.pop3) as client:
        for command in ("USER alice@office.test", f"PASS {PASSWORD}", "RETR 1", "DELE 1"):
            client.ask(command.encode())
    assert eventually(lambda: happened(lives(office, "alice@office.test")[0])[2:] == ["fetched", "unread"])


def test_he_never_got_it(make_office: MakeOffice, tmp_path: Path) -> None:
    """A typing mistake: refused, and it says so where the mistake is asked for."""
    office = make_office().start()
    place = ("--server", "127.0.0.1", "--port", str(office.port.smtp))
    run_anyhow("swaks", *place, "--from", clients.SENDER, "--to", "alcie@office.test")
    office.wait_for_log("reject: RCPT", "alcie@office.test")
    said = office.cli("why", "alcie@office.test")
    assert "550 5.1.1 No such user here" in said
    assert "What to do: Check the address for typing mistakes" in said
    nothing = office.cli("why", "nobody@office.test", code=1)
    assert "there is no such address here" in nothing and "the history begins on" in nothing


def test_why_is_it_late(make_office: MakeOffice, sink: Sink) -> None:
    sink.answer = LATER
    office = make_office(retrying(sink, "1h")).start()
    send(office)
    (id,) = deferred(office)
    (told,) = lives(office, "x@away.test", "--from", "alice@office.test", "--since", "1h")
    assert told["id"] == id
    assert happened(told) == ["submitted", "deferred", "waits"]
    assert told["events"][0]["login"] == "alice@office.test"
    assert told["events"][1]["reply"] == "450 4.7.1 Greylisted, come back later"


def test_a_report_and_its_original(make_office: MakeOffice, sink: Sink) -> None:
    """Each leads to the other."""
    sink.answer = NEVER
    office = make_office(retrying(sink, "1h")).start()
    send(office)
    office.wait_for_files("alice")
    office.wait_for_empty_queue()
    (original,) = lives(office, "x@away.test")
    assert happened(original) == ["submitted", "bounced", "reported"]
    (report,) = lives(office, original["events"][2]["report"])
    assert happened(report) == ["report", "delivered", "unread"]
    assert report["events"][0]["original"] == original["id"]


def test_killed_while_it_writes(make_office: MakeOffice) -> None:
    """Again and again: what was whole stays whole, and the next one goes on behind what was torn."""
    office = make_office()
    for round_ in range(5):
        office.start()
        sender = threading.Thread(target=_send_until_it_ends, args=[office])
        sender.start()
        assert eventually(lambda at=round_: _lines(office) > 20 * (at + 1))
        office.kill()
        sender.join()
        with histories(office)[-1].open("ab") as file:
            file.write(b'{"time":"2026-11-26T12:00:0')  # as a power loss may leave it
    office.start()
    whole = torn = 0
    for path in histories(office):
        for line in path.read_bytes().split(b"\n")[:-1]:
            try:
                json.loads(line)
                whole += 1
            except ValueError:
                torn += 1
    assert whole > 90
    assert torn <= 10
    office.wait_for_empty_queue()
    said = office.cli("why", "alice", "--last", "5")
    _, *stories = re.split(r"^\w{12}\b.*$", said, flags=re.MULTILINE)
    assert len(stories) == 5, said
    # One that was killed between a delivery and the end of its letter delivers once more, to the same file.
    assert all("put into the mailbox of alice" in story for story in stories)


def _lines(office: Office) -> int:
    return sum(path.read_bytes().count(b"\n") for path in histories(office))


def _send_until_it_ends(office: Office) -> None:
    try:
        with office.smtp() as client:
            while True:
                client.sendmail(clients.SENDER, ["alice@office.test"], "Subject: x\r\n\r\nx\r\n")
    except OSError:
        pass


def test_a_history_that_cannot_be_written(make_office: MakeOffice, tmp_path: Path) -> None:
    """Costs one line in the log, and no mail."""
    office = make_office()
    (office.data / "state").mkdir(parents=True)
    (office.data / "state/history").write_text("in the way")
    office.start()
    for _ in range(2):
        clients.swaks(office, "alice", letter("hello", 0), tmp_path)
    office.wait_for_files("alice", 2)
    assert len(office.logged("history: not kept")) == 1
    office.cli("why", "alice", code=1)
