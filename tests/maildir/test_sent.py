"""Copies in the Sent folder: links, seen, one for each Message-ID."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve
from zope.interface.verify import verifyObject

from mailstack import durable
from mailstack.interfaces.delivery import Copy, ISentFolders
from mailstack.maildir.mailboxes import Mailboxes
from mailstack.maildir.message_ids import MessageIds
from mailstack.maildir.sent import SentFolders
from mailstack.model.address import Address
from mailstack.place import Place
from tests.fakes_accounts import MemoryDirectory
from tests.spool.contract import letter

ALICE, BOB = Address("alice", "office.test"), Address("bob", "office.test")


class Post:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.mail = root / "mail"
        self.mail.mkdir()
        self.spool = root / "messages"
        self.spool.mkdir()
        directory = MemoryDirectory(["alice@office.test", "bob@office.test"])
        self.ids = MessageIds(root / "state" / "sent.db")
        path = f"{self.spool}/{{}}".format
        self.folders = SentFolders(self.mail, "mail.office.test", path, directory.mailbox, self.ids)
        self.boxes = Mailboxes(self.mail, directory.mailbox)

    @property
    def sent(self) -> Path:
        return self.mail / "office.test/alice/.Sent"

    def content(self, message_id: str) -> bytes:
        return f"Return-Path: <alice@office.test>\nMessage-ID: {message_id}\n\ntext\n".encode()

    def save(self, id: str, message_id: str = "", account: Address = ALICE) -> Copy:
        content = self.content(message_id or f"<{id}@x.test>")
        (self.spool / id).write_bytes(content)
        (copy,) = self.folders.save([evolve(letter(id, content=content, arrived=1700000000.5), sent_by=account)])
        return copy

    @property
    def files(self) -> list[Path]:
        return sorted((self.sent / "cur").iterdir())


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(tmp_path)


def test_interface(post: Post) -> None:
    assert verifyObject(ISentFolders, post.folders)


def test_no_copy_is_made_where_mailboxes_are_not_what_they_were(post: Post) -> None:
    """It would be hidden as soon as their file system is back."""
    place = Place(post.mail)
    place.remember()
    post.folders._verify = place.verify
    post.mail.rename(post.root / "away")
    post.mail.mkdir()
    copy = post.save("L1")
    assert not copy.fate and "not the one" in copy.error
    assert not list(post.mail.iterdir())


def test_the_copy_is_a_link_that_is_seen(post: Post) -> None:
    copy = post.save("L1")
    (file,) = post.files
    assert copy == Copy("saved", file)
    assert file.samefile(post.spool / "L1")
    size = len(post.content("<L1@x.test>"))
    assert file.name == f"1700000000.QL1.mail.office.test,S={size},W={size + 4}:2,S"
    box = post.boxes.open(ALICE, "sent")
    assert [box.size(index) for index in range(box.count)] == [size + 4]
    assert box.letter_id(0) == "L1"


def test_the_folder_is_made_as_maildir_wants_it(post: Post) -> None:
    """And the mailbox too, of somebody who has got no mail yet."""
    post.save("L1")
    for folder in (post.sent, post.sent.parent):
        assert all((folder / part).is_dir() for part in ("tmp", "new", "cur"))
        assert (folder / "cur").stat().st_mode & 0o777 == 0o700
    assert (post.sent / "maildirfolder").read_bytes() == b""
    assert (post.sent.parent / "subscriptions").read_bytes() == b"Sent\n"
    assert not list(post.sent.parent.glob("subscriptions.*"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"V\t2\n\nJunk\n", b"V\t2\n\nJunk\nSent\n"),
        (b"Junk", b"Junk\nSent\n"),
        (b"Junk\nSent\n", b"Junk\nSent\n"),
    ],
)
def test_subscriptions_of_others_stay(post: Post, before: bytes, after: bytes) -> None:
    post.sent.parent.mkdir(parents=True)
    (post.sent.parent / "subscriptions").write_bytes(before)
    post.save("L1")
    post.save("L2")
    assert (post.sent.parent / "subscriptions").read_bytes() == after


def test_a_program_that_writes_the_subscriptions_is_left_alone(post: Post) -> None:
    post.sent.parent.mkdir(parents=True)
    (post.sent.parent / "subscriptions.lock").touch()
    assert post.save("L1").fate == "saved"
    assert not (post.sent.parent / "subscriptions").exists()
    assert (post.sent.parent / "subscriptions.lock").exists()


def test_one_copy_for_each_message_id(post: Post) -> None:
    """A retry after a lost reply, or a program that has saved the letter itself."""
    assert post.save("L1", "<same@x.test>").fate == "saved"
    assert post.save("L2", "<same@x.test>") == Copy("known")
    (post.sent / "cur/1700000001.own.host:2,S").write_bytes(b"Message-ID: <own@x.test>\n\n")
    assert post.save("L3", "<own@x.test>").fate == "known"
    assert post.save("L4").fate == "saved"
    assert len(post.files) == 3


def test_two_in_one_go(post: Post) -> None:
    content = post.content("<same@x.test>")
    letters = [evolve(letter(id, content=content), sent_by=ALICE) for id in ("L1", "L2")]
    for each in letters:
        (post.spool / each.id).write_bytes(content)
    assert [copy.fate for copy in post.folders.save(letters)] == ["saved", "known"]


def test_what_a_crash_has_left_is_the_copy(post: Post) -> None:
    """Also when it is flagged, and the index is lost: and it is made durable again."""
    post.save("L1")
    (file,) = post.files
    answered = file.rename(file.with_name(file.name.replace(":2,S", ":2,RS")))
    post.ids.close()
    post.ids._path.unlink()
    assert post.save("L1") == Copy("saved", answered)
    assert len(post.files) == 1


def test_a_copy_that_the_index_does_not_look_at(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.maildir.message_ids.MOST", 0)
    first = post.save("L1")
    assert post.save("L1") == first
    assert len(post.files) == 1


def test_a_copy_that_was_removed_is_not_made_again_for_another_reason(post: Post) -> None:
    """What the user has deleted is no reason to leave out another one with the same Message-ID."""
    post.save("L1", "<same@x.test>")
    post.files[0].unlink()
    assert post.save("L2", "<same@x.test>").fate == "saved"


def test_each_account_has_its_own(post: Post) -> None:
    post.save("L1", "<same@x.test>")
    copy = post.save("L2", "<same@x.test>", account=BOB)
    assert copy.fate == "saved"
    assert copy.file is not None and copy.file.parent == post.mail / "office.test/bob/.Sent/cur"


def test_an_account_or_a_letter_that_is_no_more(post: Post) -> None:
    assert post.save("L1", account=Address("nobody", "office.test")) == Copy("gone")
    assert post.folders.save([evolve(letter("GONE"), sent_by=ALICE)]) == [Copy("gone")]
    assert not list(post.mail.iterdir())


def test_a_folder_that_leads_outside_is_not_followed(post: Post, tmp_path: Path) -> None:
    post.sent.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    post.sent.symlink_to(tmp_path / "elsewhere")
    copy = post.save("L1")
    assert not copy.fate and "no such folder" in copy.error
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_sent_folder_in_another_case_is_used(post: Post) -> None:
    (post.sent.parent / ".sent/cur").mkdir(parents=True)
    post.save("L1")
    assert not post.sent.exists()
    assert len(list((post.sent.parent / ".sent/cur").iterdir())) == 1


def test_where_links_are_impossible_it_is_a_copy(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.maildir.sent.hard_link", lambda source, target: False)
    post.save("L1")
    (file,) = post.files
    assert file.read_bytes() == (post.spool / "L1").read_bytes()
    assert not file.samefile(post.spool / "L1")
    assert not list((post.sent / "tmp").iterdir())


def test_a_disk_that_is_full_is_told(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left of it, and the next one has its chance."""
    with monkeypatch.context() as patch:

        def full(*args: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(durable.os, "link", full)
        copy = post.save("L1")
    assert copy.fate == "" and "No space left" in copy.error
    assert post.save("L1").fate == "saved"
    assert len(post.files) == 1


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_list_of_folders_that_is_none_stays_as_it_is(post: Post, make: Callable[[Path], None]) -> None:
    """It would be read without end, or what another file says would be written into the Maildir. The copy is saved."""
    maildir = post.sent.parent
    maildir.mkdir(parents=True)
    make(maildir / "subscriptions")
    before = (maildir / "subscriptions").lstat().st_mode
    assert post.save("A1").fate == "saved"
    assert (maildir / "subscriptions").lstat().st_mode == before
    assert not (maildir / "subscriptions.lock").exists()
