"""What people see of a report, with programs of others; and reports of others, explained."""

# ruff: noqa: RUF001 - Chinese punctuation

from __future__ import annotations

import json
import re
import signal
import time
from email import message_from_bytes
from pathlib import Path

import pytest
from flufl.bounce import all_failures

from tests.live.conftest import MakeOffice, next_hop
from tests.live.fake_server import certificate
from tests.live.office import Office
from tests.live.postfix import Postfix
from tests.live.sink import Sink, refuse
from tests.live.terminal import run_in_terminal
from tests.live.waiting import eventually

LETTER = "Subject: 四季报会\r\nDate: Wed, 15 Nov 2023 06:13:20 +0800\r\n\r\nThe body\r\n".encode()
NOBODY_THERE = refuse("RCPT", "550 5.1.1 no such user \x1b[2J here")
IN_MUTT = {
    "en": [
        "Undelivered mail: 四季报会",
        'Your message "四季报会" of',
        "Who must act: You, the sender.",
        "no such user",
    ],
    "zh": [
        "退信 (Undelivered mail): 四季报会",
        "邮件“四季报会”",
        "由谁处理：您（发件人）。",
        "Who must act: You, the sender.",
    ],
}


def send(office: Office, *recipients: str) -> None:
    with office.submission("alice") as client:
        client.sendmail("alice@office.test", recipients, LETTER)


@pytest.mark.parametrize("language", IN_MUTT)
def test_mutt_shows_it(make_office: MakeOffice, sink: Sink, tmp_path: Path, language: str) -> None:
    """The subject in the index and the text first in the pager, decoded; nothing steers the terminal."""
    sink.answer = NOBODY_THERE
    office = make_office({**next_hop(sink), "server": {"language": language}}).start()
    send(office, "x@away.test")
    office.wait_for_files("alice")
    settings = tmp_path / "muttrc"
    settings.write_text(
        f"set folder={tmp_path} mbox_type=maildir confirmappend=no confirmcreate=no move=no quit=yes charset=utf-8\n"
        'push "<decode-copy><kill-line>=decoded<enter><display-message><exit><quit>"\n'
    )
    code, drawn = run_in_terminal("mutt", "-n", "-F", settings, "-f", office.maildir("alice"), home=tmp_path)
    assert code == 0, drawn
    assert "四季报会" in drawn and "\x1b[2J here" not in drawn
    (decoded,) = (tmp_path / "decoded").glob("*/*")
    shown = decoded.read_text("utf-8")
    assert [words for words in IN_MUTT[language] if words not in shown] == []


def test_foreign_library_understands_it(make_office: MakeOffice, sink: Sink) -> None:
    sink.answer = NOBODY_THERE
    office = make_office({**next_hop(sink), "server": {"language": "zh"}}).start()
    send(office, "x@away.test", "y@away.test")
    (path,) = office.wait_for_files("alice")
    assert all_failures(message_from_bytes(path.read_bytes())) == (frozenset(), {b"x@away.test", b"y@away.test"})
    (first, second) = json.loads(office.cli("explain", str(path), "--json"))
    assert (first["recipient"], second["recipient"]) == ("x@away.test", "y@away.test")
    assert first["status"] == "5.1.1" and first["who"] == "you"


def test_several_destinations_that_fail_at_nearly_the_same_moment(make_office: MakeOffice, sink: Sink) -> None:
    """One report; a bounce that a customer gets five times is a bounce too many."""

    def late(line: str) -> str | None:
        if line.upper().startswith("RCPT"):
            time.sleep(2)
        return NOBODY_THERE(line)

    with Sink(late) as slow:
        sink.answer = NOBODY_THERE
        routes = {"one.test": f"smtp:[127.0.0.1]:{sink.port}", "two.test": f"smtp:[127.0.0.1]:{slow.port}"}
        office = make_office({"routes": routes}).start()
        send(office, "x@one.test", "x@two.test", "y@two.test")
        (path,) = office.wait_for_files("alice")
        _, failed = all_failures(message_from_bytes(path.read_bytes()))
        assert failed == {b"x@one.test", b"x@two.test", b"y@two.test"}
        office.wait_for_empty_queue()
        assert len(office.files("alice")) == 1


def test_the_sites_own_texts(make_office: MakeOffice, sink: Sink) -> None:
    """Read at the start and on SIGHUP; a broken one is in the log, and costs no report."""
    sink.answer = NOBODY_THERE
    office = make_office({**next_hop(sink), "server": {"templates": "texts"}})
    texts = office.root / "texts"
    texts.mkdir()
    (texts / "failure.en.txt").write_text("Subject: Oh dear, {subject}\n\nSorry.\n\n{recipients}\n")
    office.start()
    send(office, "x@away.test")
    (first,) = office.wait_for_files("alice")
    report = message_from_bytes(first.read_bytes())
    assert "Sorry.\n\n<x@away.test>\n" in str(report.get_payload(0).get_payload())  # type: ignore[union-attr]
    (texts / "failure.en.txt").write_text("{nonsense}\n")
    office.signal(signal.SIGHUP)
    office.wait_for_log("templates", "there is no {nonsense} here")
    send(office, "y@away.test")
    assert eventually(lambda: len(office.files("alice")) == 2)
    (second,) = set(office.files("alice")) - {first}
    assert b"Undelivered mail" in second.read_bytes() or b"VW5kZWxpdmVyZWQg" in second.read_bytes()


def test_missing_texts_are_told_at_the_start(make_office: MakeOffice) -> None:
    office = make_office({"server": {"templates": "nowhere"}}).start()
    office.wait_for_log("templates", "nowhere: No such file or directory; our own templates are used")


def test_postfixs_bounce_is_explained(make_office: MakeOffice, open_folder: Path) -> None:
    certificate(open_folder, "mx.away.test")
    refuse_z = re.compile(r"RCPT TO:<z@", re.IGNORECASE)
    with Sink(lambda line: "552 5.2.2 over quota" if refuse_z.match(line) else None) as behind:
        settings = {
            "mynetworks": "127.0.0.0/8",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "relayhost": f"[127.0.0.1]:{behind.port}",
        }
        with Postfix(open_folder / "postfix", open_folder / "server.pem", settings) as postfix:
            office = make_office({"routes": {"*": f"smtp:[127.0.0.1]:{postfix.port}"}}).start()
            send(office, "z@elsewhere.test")
            assert eventually(lambda: behind.letters)
    bounce = open_folder / "bounce.eml"
    bounce.write_bytes(behind.letters[0].content)
    assert behind.letters[0].recipients == ["alice@office.test"]
    (found,) = json.loads(office.cli("explain", str(bounce), "--json"))
    assert (found["recipient"], found["action"], found["status"]) == ("z@elsewhere.test", "failed", "5.2.2")
    assert (found["who"], found["words"].partition(" (")[0]) == ("recipient", "over quota")
    assert "The mailbox is full." in office.cli("explain", "-", "--lang", "en", input=bounce.read_text())
