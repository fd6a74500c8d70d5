"""Dovecot and our server have the same Maildirs open: what it brings, moves, marks and removes does us no harm."""

from __future__ import annotations

import os
import poplib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from tests.live.dovecot import Beside, dovecot
from tests.live.letters import RAW, SAMPLES, on_the_wire, put
from tests.live.office import Office
from tests.live.programs import NOBODY, need_root

USERS = ("alice", "bob", "carol", "dave")

#: Where Dovecot's LIST and RETR do not agree: it does not count the CRLF that it sends after a last line without one,
#: and sends one even where there is no line. Of a lone CR we make a blank, and it does not.
_LONE_CR = SAMPLES["a lone CR"]
_OTHERS = [SAMPLES["no final newline"], SAMPLES["dots"], SAMPLES["empty"], _LONE_CR]
OTHERS = {*map(on_the_wire, _OTHERS), b"\r\n", _LONE_CR.replace(b"\n", b"\r\n")}


@frozen
class Shared:
    office: Office
    dovecot: Beside

    def deliver(self, user: str, number: int) -> list[Path]:
        """So many letters by each way; all files then."""
        address, before = f"{user}@office.test", len(self.office.files(user))
        for _ in range(number):
            with self.office.smtp() as client:
                client.sendmail("friend@far.test", [address], RAW, mail_options=["BODY=8BITMIME"])
            self.dovecot.deliver(address, RAW)
            self.dovecot.send(address, RAW)
        return self.office.wait_for_files(user, before + 3 * number)


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    """Root starts them; both work as nobody."""
    need_root()
    folder = Path(tempfile.mkdtemp(prefix="mailstack-"))
    folder.chmod(0o711)
    (folder / "office").mkdir()
    os.chown(folder / "office", NOBODY, NOBODY)
    office = Office(folder / "office")
    try:
        office.add_users(*USERS)
        office.start(f"--uid={NOBODY}", f"--gid={NOBODY}")
        with dovecot(folder / "dovecot", office.data / "mail") as beside:
            yield Shared(office, beside)
    finally:
        office.close()
        shutil.rmtree(folder)


@frozen
class Seen:
    """A letter as a POP3 client gets it."""

    listed: int  #: its size, in LIST
    whole: bytes
    top: bytes


def seen(client: poplib.POP3) -> list[Seen]:
    """All letters, in an order that does not depend on the server."""
    listed = sizes(client)
    assert client.stat() == (len(listed), sum(listed))
    letters = [
        Seen(size, joined(client.retr(number)[1]), joined(client.top(number, 3)[1]))
        for number, size in enumerate(listed, 1)
    ]
    return sorted(letters, key=lambda letter: letter.whole)


def sizes(client: poplib.POP3) -> list[int]:
    return [int(line.split()[1]) for line in client.list()[1]]


def joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\r\n" for line in lines)


def uidls(office: Office, user: str) -> list[bytes]:
    with office.pop3(user) as client:
        return [line.split()[1] for line in client.uidl()[1]]


def test_the_same_letters(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Number, sizes, contents and first lines, whoever delivered and whatever was moved."""
    monkeypatch.setattr(poplib, "_MAXLINE", 2_000_000)
    office, maildir = shared.office, shared.office.maildir("alice")
    shared.deliver("alice", 2)
    put(maildir, SAMPLES)
    files = office.files("alice")
    for path, flags in zip(files[::2], ["", "S", "RS", "FS", "S", "T", "DFRS", "", "S"], strict=False):
        path.rename(maildir / "cur" / f"{path.name}:2,{flags}")
    for path in maildir.rglob("*"):
        os.chown(path, NOBODY, NOBODY)
    before = uidls(office, "alice")
    with office.pop3("alice") as client:
        ours = seen(client)
    with shared.dovecot.pop3("alice@office.test") as client:
        theirs = seen(client)
    assert all(letter.listed == len(letter.whole) for letter in ours)
    assert len(ours) == len(theirs) == len(set(before)) == len(SAMPLES) + 6
    assert [letter for letter in theirs if letter.whole not in OTHERS] == [
        letter for letter in ours if letter.whole not in OTHERS
    ]
    # What was new is in cur, and seen.
    assert not list((maildir / "new").iterdir())
    assert uidls(office, "alice") == before
    with office.pop3("alice") as client:
        assert seen(client) == ours


def test_what_it_delivers(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters of all kinds by its LDA, and one by LMTP, are served as they lie there."""
    monkeypatch.setattr(poplib, "_MAXLINE", 2_000_000)
    office, sent = shared.office, list(SAMPLES.values())
    for letter in sent:
        shared.dovecot.deliver("bob@office.test", letter)
    shared.dovecot.send("bob@office.test", RAW)
    paths = office.wait_for_files("bob", len(sent) + 1)
    assert all(",W=" in path.name for path in paths)
    with office.pop3("bob") as client:
        letters = seen(client)
    assert [letter.whole for letter in letters] == sorted(on_the_wire(path.read_bytes()) for path in paths)
    assert {letter.whole for letter in letters} > set(map(on_the_wire, sent))
    assert all(letter.listed == len(letter.whole) for letter in letters)


def test_it_works_during_our_session(shared: Shared) -> None:
    """It marks a letter as seen, removes one and brings one: ours finds the first, and says that the second is gone."""
    office, address = shared.office, "carol@office.test"
    shared.deliver("carol", 2)
    before = uidls(office, "carol")
    with office.pop3("carol") as client:
        numbers = {uid: number for number, uid in enumerate(before, 1)}
        with shared.dovecot.pop3(address) as theirs:
            gone_size = sizes(theirs)[2]
            theirs.retr(1)
            theirs.dele(3)
        (gone,) = set(numbers) - {path.name.partition(",")[0].encode() for path in office.files("carol")}
        shared.dovecot.deliver(address, RAW)
        shared.dovecot.doveadm("flags", "add", "-u", address, "\\Flagged \\Answered", "all")
        assert client.stat()[0] == len(before)
        assert sizes(client)[numbers[gone] - 1] == gone_size
        with pytest.raises(poplib.error_proto, match="Another program has removed that message"):
            client.retr(numbers[gone])
        left = [uid for uid in before if uid != gone]
        for uid in left:
            assert joined(client.retr(numbers[uid])[1]).endswith(RAW)
        # One that it has renamed, and the one that is not there any more.
        for uid in (left[0], gone):
            client.dele(numbers[uid])
    after = uidls(office, "carol")
    assert set(left[1:]) < set(after)
    assert len(after) == len(left)


def test_we_remove_during_its_session(shared: Shared) -> None:
    """What we remove is gone for it, and nothing comes back."""
    office, address = shared.office, "dave@office.test"
    shared.deliver("dave", 1)
    with shared.dovecot.pop3(address) as theirs:
        assert theirs.stat()[0] == 3
        with office.pop3("dave") as client:
            client.dele(2)
        theirs.retr(1)
    left = uidls(office, "dave")
    assert len(left) == 2
    shared.dovecot.doveadm("force-resync", "-u", address, "INBOX")
    with shared.dovecot.pop3(address) as theirs, office.pop3("dave") as client:
        assert seen(theirs) == seen(client)
    assert uidls(office, "dave") == left
