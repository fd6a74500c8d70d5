"""A sendmail: its options, what it makes of a letter, and what it says when it does not send one."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve
from click.testing import CliRunner

from mailstack.admin import sendmail, sendmail_ways
from mailstack.admin.cli import main
from mailstack.admin.program import main as program
from mailstack.admin.program import words_of
from mailstack.admin.sendmail_errors import Unsent, refused
from mailstack.admin.sendmail_letter import Author, Draft, House, draft, read
from mailstack.admin.sendmail_options import Options, parse
from mailstack.admin.sendmail_talk import hand_over
from mailstack.model.address import Address
from tests.spool.test_spool import Runner, open_spool

NOW = 1_000_000_000.0
ALICE = Author(Address("alice", "office.test"), "Alice, A.")
ADDED = b"Date: Sun, 09 Sep 2001 01:46:40 +0000\nMessage-ID: <ID@mail.office.test>\n"


class TestOptions:
    @pytest.mark.parametrize(
        ("line", "options"),
        [
            ("", Options()),
            ("alice bob", Options(("alice", "bob"))),
            ("-t -i -f a@x.test", Options(from_header=True, dot=False, sender="a@x.test")),
            ("-ti -fa@x.test", Options(from_header=True, dot=False, sender="a@x.test")),
            ("-it -r a alice -v", Options(("alice",), from_header=True, dot=False, sender="a", verbose=True)),
            ("-f  alice", Options(("alice",), sender="")),
            ("-oi -oem -odb -oQ/x -o7 alice", Options(("alice",), dot=False)),
            ("-FCronDaemon -i -B8BITMIME -oem alice", Options(("alice",), dot=False, name="CronDaemon")),
            ("-bm -Am -G -U -n -m -x -h 25 -L tag -p smtp -X log -em -O A=b -d0.1 alice", Options(("alice",))),
            ("-t -- -odd", Options(("-odd",), from_header=True)),
            ("-N success,Delay -R hdrs -V a+b", Options(notify="SUCCESS,DELAY", ret="HDRS", envid="a+2Bb")),
            ("-bs", Options(mode="s")),
            ("-bp", Options(mode="p")),
            ("-I", Options(mode="i")),
            ("--help", Options(mode="h")),
            ("-C /etc/x.ini", Options(config="/etc/x.ini")),
        ],
    )
    def test_words(self, line: str, options: Options) -> None:
        assert parse(line.split(" ") if line else []) == options

    @pytest.mark.parametrize(
        "line", ["-Z", "-tZ", "-f", "-bd", "-bt", "-q", "-q15m", "-N always", "-R half", "-B binarymime", "-V Ü", "--x"]
    )
    def test_wrong_usage(self, line: str) -> None:
        with pytest.raises(Unsent) as error:
            parse(line.split())
        assert error.value.code == 64

    @pytest.mark.parametrize(
        ("argv", "words"),
        [
            (["/opt/bin/mailstack", "queue", "list"], ["queue", "list"]),
            (["/usr/sbin/sendmail", "-t"], ["sendmail", "-t"]),
            (["mailq"], ["mailq"]),
            (["newaliases"], ["sendmail", "-bi"]),
        ],
    )
    def test_names_of_the_program(self, argv: list[str], words: list[str]) -> None:
        assert words_of(argv) == words

    def test_usage_by_another_name(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr("sys.argv", ["/usr/bin/mailq", "--help"])
        with pytest.raises(SystemExit) as end:
            program()
        assert end.value.code == 0
        assert capsys.readouterr().out.startswith("Usage: mailstack mailq [OPTIONS]\n")


class TestReading:
    @pytest.mark.parametrize(
        ("octets", "dot", "found"),
        [
            (b"a\n.\nb\n", True, b"a\n"),
            (b"a\n.\nb\n", False, b"a\n.\nb\n"),
            (b"a\r\n.\r\nb\r\n", True, b"a\n"),
            (b"a\r\nb\n", False, b"a\nb\n"),
            (b"a\n..\n .\nx.\n", True, b"a\n..\n .\nx.\n"),
            (b"a\n.", True, b"a\n"),
            (b"x" * 65536 + b".\nb\n", True, b"x" * 65536 + b".\nb\n"),
            (b"no end", False, b"no end\n"),
            (b"", True, b""),
            (b"a\rb\n", False, b"a\rb\n"),
        ],
    )
    def test_lines(self, octets: bytes, dot: bool, found: bytes) -> None:
        assert read(io.BytesIO(octets), dot, 100_000) == found

    @pytest.mark.parametrize("dot", [True, False])
    def test_not_more_than_may_be_sent_is_kept(self, dot: bool) -> None:
        stream = io.BytesIO(b"x\n" * 1_000_000)
        with pytest.raises(Unsent) as error:
            read(stream, dot, 1_000)
        assert error.value.code == 65
        assert stream.tell() < 70_000

    def test_what_cannot_be_read_is_told(self) -> None:
        class Broken(io.RawIOBase):
            def read(self, size: int = -1) -> bytes:
                raise OSError(5, "Input/output error")

        with pytest.raises(Unsent, match="Input/output error") as error:
            read(Broken(), False, 100)  # type: ignore[arg-type]
        assert error.value.code == 74


def drafted(text: str, *words: str) -> Draft:
    return draft(text.encode(), parse(words), ALICE, House("office.test", 64 * 1024), "<ID@mail.office.test>", NOW)


class TestDraft:
    @pytest.mark.parametrize(
        ("text", "octets"),
        [
            ("hello\n", b'From: "Alice, A." <alice@office.test>\n\nhello\n'),
            ("\nhello\n", b'From: "Alice, A." <alice@office.test>\n\nhello\n'),
            ("", b'From: "Alice, A." <alice@office.test>\n'),
            ("From: root (Cron)\nTo: x\n\nhello\n", b"From: root@office.test (Cron)\nTo: x@office.test\n\nhello\n"),
            ("From alice Sun Sep  9 01:46:40 2001\nFrom: a@x.test\n\nb\n", b"From: a@x.test\n\nb\n"),
            ("From: a@x.test\nno field\nBcc: y\n\nb\n", b"From: a@x.test\n\nno field\nBcc: y\n\nb\n"),
            ("From: a@x.test\nBcc: y,\n z\nSubject: s\n", b"From: a@x.test\nSubject: s\n"),
        ],
    )
    def test_octets(self, text: str, octets: bytes) -> None:
        assert drafted(text, "bob").octets == ADDED + octets

    @pytest.mark.parametrize(
        ("words", "recipients"),
        [
            (["bob"], ["bob@office.test"]),
            (["bob", "carl@x.test", "bob@office.test"], ["bob@office.test", "carl@x.test"]),
            (["Bob <bob@x.test>, carl"], ["bob@x.test", "carl@office.test"]),
            (["-t"], ["t@office.test", "c@office.test", "b@office.test"]),
            (["-t", "x"], ["x@office.test", "t@office.test", "c@office.test", "b@office.test"]),
        ],
    )
    def test_recipients(self, words: list[str], recipients: list[str]) -> None:
        made = drafted("To: t\nCc: c\nBcc: b\n\nTo: nobody\n", *words)
        assert [str(address) for address in made.recipients] == recipients
        assert b"Bcc" not in made.octets

    @pytest.mark.parametrize(
        ("words", "sender", "author"),
        [
            ([], "alice@office.test", b'From: "Alice, A." <alice@office.test>\n'),
            (["-f", "bob"], "bob@office.test", b'From: "Alice, A." <bob@office.test>\n'),
            (["-r", "<b@x.test>", "-F", ""], "b@x.test", b"From: b@x.test\n"),
            (["-f", "", "-F", "Zoë"], None, b"From: =?utf-8?q?Zo=C3=AB?= <alice@office.test>\n"),
            (["-f", "<>", "-F", "a\nBcc: x"], None, b'From: "a Bcc: x" <alice@office.test>\n'),
        ],
    )
    def test_sender(self, words: list[str], sender: str | None, author: bytes) -> None:
        made = drafted("Subject: x\n\n", "bob", *words)
        assert (str(made.sender) if made.sender else None) == sender
        assert author in made.octets

    @pytest.mark.parametrize(
        ("text", "words", "code"),
        [
            ("", [], 64),
            ("Subject: x\n\nTo: bob\n", ["-t"], 65),
            ("To: undisclosed-recipients:;\n\n", ["-t"], 65),
            ("To: alice bob\n\n", ["-t"], 65),
            ("To: " + "a," * 50_000 + "a\n\n", ["-t"], 65),
            ("", ["a b"], 64),
            ("", ["\udcff"], 64),
            ("", [""], 64),
            ("", ["bob", "-f", "a, b"], 64),
            ("", ["bob", "-f", "a b"], 64),
        ],
    )
    def test_what_cannot_be_sent(self, text: str, words: list[str], code: int) -> None:
        with pytest.raises(Unsent) as error:
            drafted(text, *words)
        assert error.value.code == code
        assert "\n" not in str(error.value)

    def test_a_thousand_recipients_in_a_header(self) -> None:
        names = [f"somebody{number}@far.test" for number in range(1000)]
        assert len(drafted(f"To: {', '.join(names)}\n\n", "-t").recipients) == 1000


class ScriptedCall:
    """Answers with 250 but where the script says else, by the beginning of the line."""

    def __init__(self, **script: str) -> None:
        self.greeting = [script.pop("greeting", "220 hi")]
        self.script = script
        self.said: list[str] = []
        self.given = b""

    def say(self, octets: bytes) -> list[str]:
        lines = octets.decode().removesuffix("\r\n").split("\r\n")
        self.said += lines
        answers = [self.script.get(line.partition(" ")[0].lower(), "250 Ok") for line in lines]
        return [answer for answer in answers if answer]

    def give(self, message: bytes) -> list[str]:
        self.given = message
        return [self.script.get("bdat", "250 2.0.0 Ok: queued as X")]


LETTER = Draft(
    Address("alice", "office.test"), (Address("bob", "far.test"), Address("carl", "far.test")), b"a: b\n\nc\n"
)


class TestTalk:
    def test_the_words(self) -> None:
        call = ScriptedCall()
        options = Options(notify="NEVER", ret="HDRS", envid="x")
        assert hand_over(call, LETTER, options) == "250 2.0.0 Ok: queued as X"
        assert call.said == [
            "EHLO localhost",
            "MAIL FROM:<alice@office.test> SIZE=11 RET=HDRS ENVID=x",
            "RCPT TO:<bob@far.test> NOTIFY=NEVER",
            "RCPT TO:<carl@far.test> NOTIFY=NEVER",
        ]
        assert call.given == b"BDAT 11 LAST\r\na: b\r\n\r\nc\r\n"

    def test_beyond_ascii(self) -> None:
        call = ScriptedCall()
        hand_over(call, evolve(LETTER, sender=None, octets="ü\n".encode()), Options())
        assert call.said[1] == "MAIL FROM:<> SIZE=4 BODY=8BITMIME"
        call = ScriptedCall()
        hand_over(call, evolve(LETTER, recipients=(Address("用户", "far.test"),)), Options())
        assert call.said[1] == "MAIL FROM:<alice@office.test> SIZE=11 SMTPUTF8"

    def test_encrypted_where_that_is_the_rule(self) -> None:
        call = ScriptedCall()
        hand_over(call, LETTER, Options(), encrypt=True)
        assert call.said[:3] == ["EHLO localhost", "STARTTLS", "EHLO localhost"]

    @pytest.mark.parametrize(
        ("script", "code"),
        [
            ({"greeting": "421 4.3.2 too many"}, 75),
            ({"greeting": "554 5.5.1 go away"}, 69),
            ({"mail": "530 5.7.0 log in"}, 77),
            ({"mail": "452 4.3.1 disk full"}, 75),
            ({"mail": "552 5.3.4 too big"}, 65),
            ({"rcpt": "550 5.1.1 nobody"}, 67),
            ({"rcpt": "550 5.7.1 Relaying denied"}, 77),
            ({"rcpt": "451 4.3.0 unsure"}, 75),
            ({"rcpt": "452 4.5.3 too many"}, 65),
            ({"rcpt": "501 5.1.3 no address"}, 65),
            ({"rcpt": ""}, 75),
            ({"bdat": "550 5.6.0 bare CR"}, 65),
            ({"bdat": "554 5.4.6 loop"}, 65),
            ({"bdat": "451 4.3.0 our fault"}, 75),
        ],
    )
    def test_refusals_have_exit_codes(self, script: dict[str, str], code: int) -> None:
        call = ScriptedCall(**script)
        with pytest.raises(Unsent, match="nothing was sent") as error:
            hand_over(call, LETTER, Options(), hint="do that")
        assert error.value.code == code
        assert bool(call.given) == ("bdat" in script), "no recipient gets what others are refused"
        assert ("do that" in str(error.value)) == ("Relaying" in str(error.value))
        if script.get("rcpt"):
            assert str(error.value).startswith("bob@far.test, carl@far.test: ")

    def test_a_reply_of_several_lines_is_one_line(self) -> None:
        assert "\n" not in str(refused("550-5.7.1 no\n550 5.7.1 never"))


class Stdin(SimpleNamespace):
    def __init__(self, octets: bytes) -> None:
        super().__init__(buffer=io.BytesIO(octets))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """alice has an account, root is an alias for her; a server has been here."""
    (tmp_path / "mail.ini").write_text(
        "[server]\nhostname = mail.office.test\ndomains = office.test second.test\ndata = data\n"
        "[limits]\nmessage_size = 100KiB\n"
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data/users").write_text("alice@office.test:*\n")
    (tmp_path / "data/aliases").write_text("root: alice\n")
    open_spool(tmp_path / "data", Runner()).close()
    monkeypatch.setenv("MAILSTACK_CONFIG", str(tmp_path / "mail.ini"))
    return tmp_path


def sent(monkeypatch: pytest.MonkeyPatch, octets: bytes, *words: str) -> int:
    monkeypatch.setattr("sys.stdin", Stdin(octets))
    return sendmail.run(words, None)


def stored(site: Path) -> list[tuple[str, bytes, dict[str, Any]]]:
    """Sender and recipients, octets, wishes of all letters."""
    with closing(sqlite3.connect(site / "data/spool/queue.db")) as db:
        db.row_factory = sqlite3.Row
        found = []
        for row in db.execute("SELECT * FROM messages ORDER BY id").fetchall():
            to = [each["address"] for each in db.execute("SELECT * FROM recipients WHERE id = ?", (row["id"],))]
            octets = (site / "data/spool/messages" / row["id"]).read_bytes()
            found.append((f"{row['sender']} {' '.join(to)}", octets, dict(row)))
        return found


class TestRun:
    def test_a_letter_is_in_the_queue(self, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        monkeypatch.setenv("NAME", "Somebody")
        assert sent(monkeypatch, b"To: root, friend@far.test\nBcc: alice\n\nhi\n", "-t", "-f", "alice", "-v") == 0
        ((envelope, octets, row),) = stored(site)
        assert envelope == "alice@office.test alice@office.test friend@far.test"
        assert f"id {row['id']};".encode() in octets
        assert f"\nMessage-ID: <{row['id']}@mail.office.test>\n".encode() in octets
        assert f"\nReceived: by mail.office.test (mailstack, from userid {os.getuid()}) id ".encode() in octets
        assert octets.endswith(b"\nFrom: Somebody <alice@office.test>\nTo: root@office.test, friend@far.test\n\nhi\n")
        assert capsys.readouterr().out == f"250 2.0.0 Ok: queued as {row['id']}\n"

    @pytest.mark.parametrize(
        ("octets", "words", "code", "said"),
        [
            (b"x\n", ["nobody", "alice"], 67, "nobody@office.test: 550 5.1.1 No such user here"),
            (b"a\rb\n", ["alice"], 65, "550 5.6.0 Bare CR or LF"),
            (b"x" * 200_000, ["alice"], 65, "larger than 102400 octets"),
            (b"Received: x\n" * 50, ["alice"], 65, "554 5.4.6 Too many hops"),
            (b"x\n", [], 64, "no recipients"),
            (b"x\n", ["-Z"], 64, "no option -Z"),
            (b"x\n", ["-C", "/nowhere/mail.ini", "alice"], 78, "cannot be read"),
        ],
    )
    def test_what_is_not_sent_is_told_in_a_line(
        self,
        site: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Any,
        octets: bytes,
        words: Sequence[str],
        code: int,
        said: str,
    ) -> None:
        assert sent(monkeypatch, octets, *words) == code
        out, err = capsys.readouterr()
        assert out == "" and said in err and err.startswith("sendmail: ") and err.count("\n") == 1
        assert stored(site) == []
        assert list((site / "data/spool/messages").iterdir()) == []

    def test_what_is_not_sure_is_told_in_a_line(self, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        """The server's disk has refused something just now: the letter is there, and perhaps not for long."""
        sure = iter([True, False])
        monkeypatch.setattr("mailstack.spool.letterbox.beyond_doubt", lambda spool: next(sure))
        assert sent(monkeypatch, b"x\n", "alice") == 75
        err = capsys.readouterr().err
        assert "is in the queue" in err and "nothing was sent" not in err and err.count("\n") == 1
        assert len(stored(site)) == 1

    def test_wishes_are_kept(self, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert sent(monkeypatch, b"x\n", "-N", "never", "-R", "full", "-V", "id", "-f", "", "alice") == 0
        ((envelope, _, row),) = stored(site)
        assert (envelope, row["ret"], row["envid"]) == (" alice@office.test", "FULL", "id")

    def test_undo_holds_it_back(self, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        with (site / "mail.ini").open("a") as ini:
            ini.write("[submission]\nundo = 1h\n")
        assert sent(monkeypatch, b"x\n", "-v", "alice") == 0
        ((_, _, row),) = stored(site)
        assert 3590 < row["not_before"] - row["arrived"] < 3610 and row["hold"] == ""
        assert "held until" in capsys.readouterr().out

    def test_before_the_first_start(self, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        (site / "data/spool/queue.db").unlink()
        assert sent(monkeypatch, b"x\n", "alice") == 75
        assert "start the server once" in capsys.readouterr().err
        assert not (site / "data/spool/queue.db").exists()

    def test_accounts_that_cannot_be_read(self, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        (site / "data/users").unlink()
        assert sent(monkeypatch, b"x\n", "alice") == 75
        assert "users cannot be read" in capsys.readouterr().err

    def test_a_bug_is_told_and_nothing_is_sent(self, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        monkeypatch.setattr(sendmail_ways, "destination", lambda settings, domain: 1 / 0)
        assert sent(monkeypatch, b"x\n", "friend@far.test") == 70
        assert "a bug, please report it" in capsys.readouterr().err
        assert stored(site) == [] and list((site / "data/spool/messages").iterdir()) == []

    def test_a_user_without_a_name_needs_a_sender(
        self, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
        assert sent(monkeypatch, b"x\n", "alice") == 71
        assert "give a sender with -f" in capsys.readouterr().err
        assert sent(monkeypatch, b"x\n", "-f", "alice", "alice") == 0

    def test_no_standard_input(self, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", None)
        assert sendmail.run(["alice"], None) == 74

    def test_without_the_right_to_write_and_without_a_server(
        self, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.setattr(sendmail_ways, "spool_is_ours", lambda data: False)
        with (site / "mail.ini").open("a") as ini:
            ini.write("[smtp]\nlisten = tcp:1:interface=127.0.0.1\n")
        assert sent(monkeypatch, b"x\n", "alice") == 75
        assert "cannot connect to 127.0.0.1:1" in capsys.readouterr().err
        ini = (site / "mail.ini").read_text().replace("tcp:1:interface=127.0.0.1", "unix:/run/x")
        (site / "mail.ini").write_text(ini)
        assert sent(monkeypatch, b"x\n", "alice") == 77

    def test_help_and_aliases(self, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        assert sent(monkeypatch, b"", "--help") == 0
        assert capsys.readouterr().out.startswith("Usage: sendmail")
        assert sent(monkeypatch, b"", "-bi") == 0
        assert capsys.readouterr() == ("", "")

    def test_as_a_command_among_the_others(self, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mailstack.admin.sendmail.read", lambda *args: b"x\n")
        done = CliRunner().invoke(main, ["-c", str(site / "mail.ini"), "sendmail", "-f", "alice", "--", "alice"])
        assert done.exit_code == 0, done.output
        assert stored(site)[0][0] == "alice@office.test alice@office.test"
        assert CliRunner().invoke(main, ["-c", str(site / "mail.ini"), "sendmail", "-Z"]).exit_code == 64
        assert "sendmail" in CliRunner().invoke(main, ["--help"]).output
