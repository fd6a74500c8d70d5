"""``mailstack import pop3://…``, with a server in memory: what comes here, and what does not come twice."""

from __future__ import annotations

import errno
import os
from collections import namedtuple
from pathlib import Path

import pytest
from click.testing import Result

from mailstack import durable
from mailstack.admin import import_call, import_pop3
from mailstack.admin.import_pop3 import source
from mailstack.maildir.mailbox import Mailbox
from mailstack.maildir.shelf import Shelf
from tests.admin.office import Office
from tests.admin.pop3_memory import PASSWORD, MemoryServer, wire

LETTERS = [
    ("a.1", b"Received: from x by y; Mon, 23 Nov 2026 15:52:29 +0000\nSubject: 1\n\n.dot\n..\n"),
    ("b/2", b"Date: Tue, 24 Nov 2026 10:00:00 +0000\n\n" + b"x" * 3_000 + b"\n"),
    ("c:3", b""),
    ("d%4", b"\n"),
]


class Move:
    """An office with the account alice, and the command line beside a server."""

    def __init__(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        self.office = office
        self.monkeypatch = monkeypatch
        self.calls: list[str] = []
        office.users.parent.mkdir(exist_ok=True)
        office.users.write_text("alice@office.test:{PLAIN}x\n")

    def run(self, server: MemoryServer, *options: str, host: str = "127.0.0.1", code: int = 0) -> Result:
        self.monkeypatch.setattr(import_call, "_connected", lambda _: server.connect())
        words = ("import", f"pop3://old@{host}", "alice", "--password-stdin", *options)
        result = self.office.run(*words, input=f"{PASSWORD}\n")
        assert result.exit_code == code, result.output
        return result

    @property
    def maildir(self) -> Path:
        return self.office.folder / "data/mail/office.test/alice"

    def files(self, folder: str = "") -> list[Path]:
        return sorted(path for part in ("new", "cur") for path in (self.maildir / folder / part).glob("*"))

    def shown(self, folder: str = "") -> list[tuple[str, int, bytes]]:
        """As our POP3 shows it: unique-ids, sizes and contents, in their order."""
        mailbox = Mailbox(self.maildir / folder, lambda _: None, Shelf())
        letters = range(mailbox.count)
        return [(mailbox.uid(index), mailbox.size(index), mailbox.open(index).read(1 << 24)) for index in letters]


@pytest.fixture
def move(office: Office, monkeypatch: pytest.MonkeyPatch) -> Move:
    return Move(office, monkeypatch)


def shown(letters: list[tuple[str, bytes]]) -> list[tuple[str, int, bytes]]:
    return [(uid, len(content.replace(b"\n", b"\r\n")), content) for uid, content in letters]


def test_all_that_pop3_shows_stays_the_same(move: Move) -> None:
    """Unique-ids, order, sizes, contents; nothing is removed there, and nothing is left in tmp."""
    server = MemoryServer(LETTERS)
    result = move.run(server)
    assert result.output == "alice@office.test: imported 4 letters (3.1 KiB)\n"
    assert move.shown() == shown(LETTERS)
    assert {path.parent.name for path in move.files()} == {"new"}
    assert {path.stat().st_mode & 0o777 for path in move.files()} == {0o600}
    assert list((move.maildir / "tmp").iterdir()) == []
    assert server.heard[-1] == "QUIT"
    assert not server.said("DELE")
    assert server.closed


def test_a_file_has_the_time_at_which_the_letter_came(move: Move) -> None:
    move.run(MemoryServer(LETTERS[:1]))
    (path,) = move.files()
    assert (path.name.partition(".")[0], path.stat().st_mtime) == ("1795449149", 1795449149)


def test_the_second_time_only_what_is_new(move: Move) -> None:
    """Also what was fetched and removed here in between does not come again."""
    move.run(MemoryServer(LETTERS[:3]))
    move.files()[1].unlink()
    server = MemoryServer(LETTERS)
    result = move.run(server)
    assert "imported 1 letter (2 octets); 3 of 4 are here already, or were" in result.output
    assert server.said("RETR") == ["RETR 4"]
    assert len(move.files()) == 3
    again = move.run(MemoryServer(LETTERS), "--again")
    assert "imported 1 letter" in again.output
    assert sorted(move.shown()) == sorted(shown(LETTERS))


def test_dry_run(move: Move) -> None:
    server = MemoryServer(LETTERS)
    assert move.run(server, "--dry-run").output == "alice@office.test: 4 letters to import (3.1 KiB)\n"
    assert not server.said("RETR")
    assert not move.maildir.exists()
    assert not (move.office.folder / "data/state").exists()
    move.run(MemoryServer(LETTERS[:1]))
    assert "3 letters to import" in move.run(MemoryServer(LETTERS), "--dry-run").output
    assert "3 letters to import" in move.run(MemoryServer(LETTERS), "--dry-run", "--again").output


def test_json(move: Move) -> None:
    move.monkeypatch.setattr(import_call, "_connected", lambda _: MemoryServer(LETTERS).connect())
    words = ["import", "pop3://old@127.0.0.1", "alice", "--password-file", str(move.office.folder / "pw")]
    (move.office.folder / "pw").write_text(f"{PASSWORD}\n")
    (found,) = move.office.json(*words)
    assert found == {
        "source": "old@127.0.0.1",
        "account": "alice@office.test",
        "folder": "",
        "letters": 4,
        "known": 0,
        "new": 4,
        "new_octets": sum(size for _, size, _ in shown(LETTERS)),
        "imported": 4,
        "octets": sum(size for _, size, _ in shown(LETTERS)),
        "other_uid": 0,
        "bare_line_ends": 0,
        "refused": [],
        "complete": True,
        "problem": None,
    }


def test_into_a_folder(move: Move) -> None:
    move.run(MemoryServer(LETTERS), "--folder", "Junk/\u5783\u573e")
    assert move.shown(".Junk.&V4NXPg-") == shown(LETTERS)
    assert (move.maildir / ".Junk.&V4NXPg-/maildirfolder").exists()
    assert move.run(MemoryServer(LETTERS)).output.startswith("alice@office.test: imported 4 letters")


def test_into_a_folder_that_is_there(move: Move) -> None:
    """In whatever case of letters; the inbox is one, too, and so are those that every program has."""
    durable.make_folders(move.maildir / ".Old Mail/new")
    durable.make_folders(move.maildir / ".Old Mail/cur")
    move.run(MemoryServer(LETTERS[:1]), "--folder", "old mail")
    assert move.shown(".Old Mail") == shown(LETTERS[:1])
    move.run(MemoryServer(LETTERS[:1]), "--folder", "junk")
    assert move.shown(".Junk") == shown(LETTERS[:1])
    move.run(MemoryServer(LETTERS[:1]), "--folder", "Inbox")
    assert move.shown() == shown(LETTERS[:1])


@pytest.mark.parametrize("octets", range(40, 600, 37))
def test_a_connection_that_breaks(move: Move, octets: int) -> None:
    """What was whole by then is here; the same command brings the rest, and nothing twice."""
    letters = [(f"id{n}", b"Subject: %d\n\nbody\n" % n) for n in range(12)]
    server = MemoryServer(letters)
    server.hang_up_after = octets
    result = move.run(server, code=1)
    assert "127.0.0.1:110 has hung up" in result.stderr
    if move.maildir.exists():
        assert "the same command goes on with the rest" in result.stderr
        assert move.shown() == shown(letters)[: len(move.files())]
    assert "QUIT" not in server.heard
    before = len(move.files())
    server = MemoryServer(letters)
    move.run(server)
    assert move.shown() == shown(letters)
    assert len(server.said("RETR")) == 12 - before


def test_a_server_that_falls_silent(move: Move) -> None:
    class Silent(MemoryServer):
        def on_retr(self, rest: str) -> bytes:
            return super().on_retr(rest) if rest == "1" else b"+OK\r\nSubject: half"

    result = move.run(Silent(LETTERS), code=1)
    assert "has said nothing for 120 seconds" in result.stderr
    assert move.shown() == shown(LETTERS[:1])
    assert list((move.maildir / "tmp").iterdir()) == []


def test_one_letter_that_it_does_not_give(move: Move) -> None:
    """It is told of, the others come, and the next import tries it again."""

    class Broken(MemoryServer):
        def on_retr(self, rest: str) -> bytes:
            return super().on_retr(rest) if rest != "2" else b"-ERR [SYS/PERM] \x1b[31mdisk\r\n"

    result = move.run(Broken(LETTERS), code=1)
    assert "  Not imported: number 2 (b/2): the server does not give it: [SYS/PERM] ?[31mdisk\n" in result.stdout
    assert "imported 3 letters" in result.stdout
    assert "not all letters could be imported" in result.stderr
    assert "imported 1 letter" in move.run(MemoryServer(LETTERS)).stdout


def test_without_unique_ids(move: Move) -> None:
    """It says so; by content nothing comes twice either, but for what the source has twice."""

    class Old(MemoryServer):
        on_uidl = MemoryServer.unknown

    letters = [*LETTERS, ("again", LETTERS[0][1])]
    assert "the server has no unique-ids (UIDL: what?)" in move.run(Old(letters), code=1).stderr
    first = move.run(Old(letters), "--by-content")
    assert "imported 4 letters" in first.stdout
    assert "could not keep the unique-id" in first.stdout
    move.files()[0].unlink()
    second = move.run(Old(letters), "--by-content")
    assert "imported 0 letters (0 octets); 5 of 5 are here already, or were" in second.stdout


def test_unique_ids_that_cannot_be_kept(move: Move) -> None:
    """Too long, with a blank, beyond ASCII: such letters come once, with an id of ours. Those used twice are known by
    their contents."""
    letters = [
        ("x" * 71, b"1\n"),
        ("a b", b"2\n"),
        ("\xff", b"3\n"),
        ("twice", b"4\n"),
        ("twice", b"5\n"),
        ("." * 70, b"6\n"),  # the name of the file has no room for it
        ("~" * 70, b"7\n"),
    ]
    result = move.run(MemoryServer(letters))
    assert "6 letters could not keep the unique-id that they had" in result.stdout
    found = move.shown()
    assert [content for _, _, content in found] == [content for _, content in letters]
    assert len({uid for uid, _, _ in found}) == 7
    assert found[-1][0] == "~" * 70
    assert "imported 0 letters" in move.run(MemoryServer(letters)).stdout


def test_two_servers_that_count_from_one(move: Move) -> None:
    """The second one's letters are not taken for the first one's."""
    ones, others = [("1", b"a\n"), ("2", b"bb\n")], [("1", b"a\n"), ("2", b"another\n"), ("3", b"c\n")]
    move.run(MemoryServer(ones))
    result = move.run(MemoryServer(others), host="127.0.0.2")
    assert "imported 3 letters" in result.stdout
    assert "2 letters could not keep the unique-id" in result.stdout
    assert {"1", "2", "3"} < {uid for uid, _, _ in move.shown()}
    assert len(move.shown()) == 5
    assert "imported 0 letters" in move.run(MemoryServer(others), host="127.0.0.2").stdout


def test_one_server_under_another_name(move: Move) -> None:
    """After the change in DNS the old server is called by its address. Nothing comes twice, also not what was removed
    here."""
    move.run(MemoryServer(LETTERS[:3]))
    move.files()[0].unlink()
    result = move.run(MemoryServer(LETTERS), host="127.0.0.2")
    assert "imported 1 letter (2 octets); 3 of 4 are here already, or were" in result.stdout
    assert "imported 0 letters" in move.run(MemoryServer(LETTERS), host="127.0.0.2").stdout


def test_a_lost_record(move: Move) -> None:
    """What is still in the mailbox is known by its name."""
    move.run(MemoryServer(LETTERS))
    (move.office.folder / "data/state/import/office.test/alice/INBOX").unlink()
    assert "imported 0 letters" in move.run(MemoryServer(LETTERS)).stdout


def test_sizes_that_lie(move: Move) -> None:
    class Liar(MemoryServer):
        def on_list(self, rest: str) -> bytes:
            return self.table(["1", "99999999", "-5", "x"])

    move.run(Liar(LETTERS))
    assert move.shown() == shown(LETTERS)
    assert "imported 0 letters" in move.run(Liar(LETTERS)).stdout


def test_letter_without_end(move: Move) -> None:
    """What came before is imported, and nothing is left of this one."""

    class Endless(MemoryServer):
        def on_list(self, rest: str) -> bytes:
            return self.table(["3", "3"])

    move.monkeypatch.setattr(import_pop3, "SLACK", 10_000)
    result = move.run(Endless([("a", b"a\n"), ("b", b"b" * 100_000)]), code=1)
    assert "number 2 (b) has 3 octets by LIST, and goes on after" in result.stderr
    assert move.shown() == [("a", 3, b"a\n")]
    assert list((move.maildir / "tmp").iterdir()) == []


def test_list_of_too_many_lines(move: Move) -> None:
    """Empty ones have no octets, and memory is used up all the same."""

    class Empty(MemoryServer):
        def on_list(self, rest: str) -> bytes:
            return self.table([""] * 100)

    move.monkeypatch.setattr(import_call, "MAX_ROWS", 99)
    assert "answers without end" in move.run(Empty(LETTERS), code=1).stderr
    move.monkeypatch.setattr(import_call, "MAX_ROWS", 3)
    assert "answers without end" in move.run(MemoryServer(LETTERS), code=1).stderr


def test_bare_line_ends(move: Move) -> None:
    """They come out as other letters' here do, and the size is right for that."""

    class Raw(MemoryServer):
        def on_retr(self, rest: str) -> bytes:
            return b"+OK\r\na\nb\rc\r\r\nd\r\n.\r\n"

    result = move.run(Raw([("id", b"")]))
    assert "1 letter with bare CR or LF" in result.stdout
    assert move.shown() == [("id", 11, b"a\nb\rc\nd\n")]


def test_a_removing_server(move: Move) -> None:
    """EXPIRE 0 removes at QUIT what was fetched: so QUIT is said only when all is durable."""

    class Removing(MemoryServer):
        capabilities = ("USER", "UIDL", "EXPIRE 0")

        def on_quit(self, rest: str) -> bytes:
            assert len(move.files()) == 4
            return super().on_quit(rest)

    server = Removing(LETTERS)
    result = move.run(server)
    assert "removes by itself what was fetched" in result.stderr
    assert server.heard[-1] == "QUIT"


def test_a_full_disk(move: Move) -> None:
    """It ends with what was whole, says so, and goes on when there is room."""
    calls = 0

    def write_all(fd: int, content: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.write(fd, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mailstack.admin.import_draft.durable.write_all", write_all)
        result = move.run(MemoryServer(LETTERS), code=1)
    assert "No space left on device" in result.stderr
    move.run(MemoryServer(LETTERS))
    assert sorted(move.shown()) == sorted(shown(LETTERS))


def test_the_room_for_incoming_mail_stays_free(move: Move) -> None:
    state = namedtuple("state", "f_bavail f_frsize")
    move.monkeypatch.setattr(os, "statvfs", lambda _: state(1, 4096))
    result = move.run(MemoryServer(LETTERS), code=1)
    assert "octets are free on the disk of" in result.stderr
    assert move.files() == []


def test_stopped_by_the_keyboard(move: Move) -> None:
    class Impatient(MemoryServer):
        def on_retr(self, rest: str) -> bytes:
            return super().on_retr(rest)

        def recv(self, most: int) -> bytes:
            if len(list((move.maildir / "tmp").glob("*"))) == 2:
                raise KeyboardInterrupt
            return super().recv(most)

    result = move.run(Impatient(LETTERS), code=1)
    assert "Error: stopped; what is imported stays, and the same command goes on with the rest\n" in result.stderr
    assert move.shown() == shown(LETTERS[:1])
    move.run(MemoryServer(LETTERS))
    assert move.shown() == shown(LETTERS)


def test_who_is_not_let_in(move: Move) -> None:
    move.monkeypatch.setattr(import_call, "_connected", lambda _: MemoryServer([]).connect())
    result = move.office.run("import", "pop3://old@127.0.0.1", "alice", "--password-stdin", input="wrong\n")
    assert result.exit_code == 1
    assert "127.0.0.1:110: the server does not let us in: [AUTH] no (is the password right" in result.stderr
    assert "wrong" not in result.output


def test_stls_is_asked_for_elsewhere(move: Move) -> None:
    """Without it the password does not leave, unless somebody means it."""
    server = MemoryServer(LETTERS)
    assert "has no STLS" in move.run(server, host="old.test", code=1).stderr
    assert server.said("PASS") == []
    move.run(server, "--insecure-plaintext", host="old.test")


def test_what_is_said_before_tls_is_not_believed(move: Move) -> None:
    class Injecting(MemoryServer):
        capabilities = ("USER", "STLS")

        def on_stls(self, rest: str) -> bytes:
            return b"+OK\r\n+OK\r\n"

    server = Injecting([])
    server.piece = 1000
    assert "says something in plain after its answer to STLS" in move.run(server, code=1).stderr


@pytest.mark.parametrize(
    ("words", "code", "wrong"),
    [
        (["pop3://old@h", "nobody"], 1, "there is no account nobody@office.test; make it first: mailstack user add"),
        (["pop3://old@h", "alice@far.test"], 1, "far.test is not in [server] domains"),
        (["pop3://old@h", "alice"], 64, "no terminal to ask for the password"),
        (["pop3://old@h"], 64, "Missing argument 'ACCOUNT'"),
        (["pop3://h", "alice"], 64, "who is it on that server? Write pop3://USER@HOST"),
        (["pop3://old:secret@h", "alice"], 64, "a password does not belong here"),
        (["pop3://old@h/x", "alice"], 64, "nothing may follow the host"),
        (["pop3://old@h:port", "alice"], 64, "Port could not be cast"),
        (["pop3", "imap://old@h", "alice"], 64, "write pop3://USER@HOST or pop3s://USER@HOST"),
        (["pop3://old@h", "alice", "--folder", "../x"], 64, "'../x' can be no folder"),
        (["pop3://old@h", "alice", "--tls-fingerprint", "ab"], 64, "64 hex digits"),
        (["pop3://old@h", "alice", "--password-stdin", "--password-file", "x"], 64, "not both"),
        (["pop3://old@h", "alice", "--password-file", "/nowhere"], 1, "/nowhere: No such file or directory"),
        (["imap://old@h", "alice"], 64, "'imap://old@h' is no source"),
        ([], 64, "SOURCE ACCOUNT"),
    ],
)
def test_wrong_usage(move: Move, words: list[str], code: int, wrong: str) -> None:
    result = move.office.run("import", *words, input="")
    assert result.exit_code == code
    assert wrong in result.stderr


def test_old_letters_that_expire_would_remove(move: Move) -> None:
    """From the inbox, not from folders."""
    with move.office.ini.open("a") as ini:
        ini.write("[pop3]\nexpire = 90d\n")
    assert "longer ago will be removed" in move.run(MemoryServer(LETTERS)).stderr
    assert "longer ago will be removed" not in move.run(MemoryServer(LETTERS), "--folder", "Junk").stderr


def test_wrong_configuration(move: Move) -> None:
    move.office.ini.write_text("[server]\nnonsense = 1\n")
    assert move.office.run("import", "pop3://old@h", "alice", "--password-stdin", input="x\n").exit_code == 78


@pytest.mark.parametrize(
    ("url", "user", "host", "port", "tls"),
    [
        ("pop3://a@b", "a", "b", 110, False),
        ("pop3s://a@b", "a", "b", 995, True),
        ("pop3://a@old.example@pop.old.example:1100", "a@old.example", "pop.old.example", 1100, False),
        ("pop3://a%40old.example@b.", "a@old.example", "b", 110, False),
        ("pop3s://a@[2001:db8::1]:9995", "a", "2001:db8::1", 9995, True),
    ],
)
def test_addresses(url: str, user: str, host: str, port: int, tls: bool) -> None:
    found = source(url)
    assert (found.user, found.server.host, found.server.port, found.server.implicit_tls) == (user, host, port, tls)


def test_the_memory_server_stuffs() -> None:
    assert wire(b".\na\n") == b"..\r\na\r\n.\r\n"
