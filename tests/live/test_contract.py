"""The names that operators, scripts and mail clients rely on: one walk through the whole server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.live.office import Office
from tests.live.sink import Sink
from tests.live.waiting import eventually
from tests.live.wire import Wire

TO_BOTH = "From: friend@far.test\r\nSubject: to both\r\n\r\nhello\r\n.dot\r\n"


@pytest.fixture(scope="module")
def office(office: Office) -> Office:
    office.aliases.write_text("sales: alice, bob\nboss: alice\n")
    return office


def test_check_finds_nothing_wrong(office: Office) -> None:
    office.cli("check")


def test_users_are_listed(office: Office) -> None:
    listed = json.loads(office.cli("user", "list", "--json"))
    assert [user["address"] for user in listed] == [f"{name}@office.test" for name in ("alice", "bob", "carol", "dave")]


def test_alias_is_resolved(office: Office) -> None:
    resolved = office.cli("alias", "resolve", "sales@office.test")
    assert "alice@office.test" in resolved
    assert "bob@office.test" in resolved


def test_one_stored_copy_for_all_local_recipients(office: Office) -> None:
    """The names of the files tell their sizes; both are the same file, which nobody else may read."""
    with office.smtp() as client:
        client.sendmail("friend@far.test", ["sales@office.test"], TO_BOTH)
    files = office.wait_for_files("alice") + office.wait_for_files("bob")
    assert len({path.stat().st_ino for path in files}) == 1
    content = files[0].read_bytes()
    sizes = len(content), len(content.replace(b"\n", b"\r\n"))
    assert files[0].name.endswith(",S={},W={}".format(*sizes))
    assert files[0].stat().st_mode & 0o777 == 0o600
    assert b"\n.dot\n" in content


def test_fetched_by_pop3(office: Office) -> None:
    office.wait_for_files("bob")
    with office.pop3("bob") as client:
        _, lines, size = client.retr(1)
        assert client.list(1).split()[-1] == str(size).encode()
        client.dele(1)
    assert lines[-2:] == [b"hello", b".dot"]
    assert not office.files("bob")


def test_one_id_everywhere(office: Office) -> None:
    """The reply, Received, the log and the file name speak of the same letter."""
    with Wire(office.port.smtp) as wire:
        wire.envelope("friend@far.test", "boss@office.test")
        wire.send(b"Subject: id\r\n\r\n.\r\n")
        reply = wire.reply()
    found = re.fullmatch(r"250 2\.0\.0 .* (\S+)\r\n", reply)
    assert found, reply
    delivered = office.wait_for_log(f"{found[1]}: ", "to=<alice@office.test>", "orig_to=<boss@office.test>")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ", delivered)
    assert "relay=local" in delivered
    assert re.search(r"delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, dsn=2\.0\.0, status=sent \(", delivered)
    path = next(path for path in office.files("alice") if found[1] in path.name)
    assert f" id {found[1]}".encode() in path.read_bytes()


@pytest.mark.parametrize(
    ("recipient", "refusal"),
    [("x@away.test", "550 5.7.1 "), ("nobody@office.test", "550 5.1.1 "), ("alice@sub.office.test", "550 5.7.1 ")],
)
def test_stranger_is_refused(office: Office, recipient: str, refusal: str) -> None:
    with Wire(office.port.smtp) as wire:
        assert wire.envelope("stranger@far.test", recipient)[1].startswith(refusal)


@pytest.mark.parametrize(
    "name", ["postmaster", "postmaster@office.test", "PostMaster@Office.Test", "abuse@office.test"]
)
def test_postmaster_exists(office: Office, name: str) -> None:
    """In every local domain, whether or not somebody thought of it."""
    with Wire(office.port.smtp) as wire:
        assert wire.envelope("", name)[1].startswith("250 2.1.5")


def test_user_sends_through_the_queue(office: Office, sink: Sink) -> None:
    """Deferred at first, then sent; the queue is an empty array again."""
    tries: list[str] = []

    def busy_at_first(line: str) -> str | None:
        if line.startswith("RCPT"):
            tries.append(line)
        return "451 4.3.0 later" if line.startswith("RCPT") and len(tries) == 1 else None

    sink.answer = busy_at_first
    with office.submission("alice") as client:
        client.sendmail("alice@office.test", ["x@away.test"], "Subject: away\r\n\r\nhello\r\n")
    assert eventually(lambda: sink.letters)
    assert (sink.letters[0].sender, sink.letters[0].recipients) == ("alice@office.test", ["x@away.test"])
    assert not sink.letters[0].content.startswith(b"Return-Path")
    office.wait_for_empty_queue()
    assert "451 4.3.0 later" in office.wait_for_log("to=<x@away.test>", "status=deferred")
    assert f"relay=127.0.0.1[127.0.0.1]:{sink.port}" in office.wait_for_log("to=<x@away.test>", "status=sent")


def test_secrets_are_ours_alone(office: Office) -> None:
    keys = list((office.data / "tls").iterdir())
    assert keys
    for path in [*keys, office.users, office.data / "spool/queue.db"]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_wrong_usage(office: Office, tmp_path: Path) -> None:
    office.cli("no-such-group", code=64)
    assert "mail.ini" in Office(tmp_path, {"serverr": {}}).cli("check", code=78)
