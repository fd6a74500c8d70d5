"""Delivery into Maildirs: links where they can be had, copies where not, and nothing counts before it is durable."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from mailstack import durable
from mailstack.delivery.local import LocalDelivery, Maildir
from mailstack.durable import NotOpened
from mailstack.interfaces.delivery import Outcomes
from mailstack.model.condition import MAILBOXES
from mailstack.model.letter import Letter
from mailstack.model.maildir_name import file_name
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome
from mailstack.spool.memory import MemorySpool
from tests.fakes import ListAlarms, ListLog, NoDisk, at_once, in_place
from tests.fakes_accounts import MemoryDirectory
from tests.spool.contract import due, letter

USERS = ("alice@office.test", "bob@office.test")
CONTENT = b"Return-Path: <a@far.test>\nSubject: x\n\ntext\n"


class FolderSpool(MemorySpool):
    """Has real files."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def path(self, id: str) -> str:
        return f"{self.folder}/{id}"


class Post:
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "messages").mkdir()
        (root / "mail").mkdir()
        self.spool = FolderSpool(root / "messages")
        self.disk = NoDisk()
        self.log = ListLog()
        self.alarms = ListAlarms()
        directory = MemoryDirectory(["alice@office.test", "bob@office.test"])
        self.delivery = LocalDelivery(
            root / "mail",
            "mail.office.test",
            directory,
            self.spool,
            self.disk,
            in_place,
            self.log,
            alarms=self.alarms,
        )

    def deliver(self, *to: str, id: str = "L1") -> dict[int, Outcome]:
        self.letter: Letter = letter(id, *to, content=CONTENT, arrived=1700000000.5)
        if not Path(self.spool.path(id)).exists():
            Path(self.spool.path(id)).write_bytes(CONTENT)
        (outcomes,) = self.attempt(self.letter)
        assert outcomes is not None, "one that is alone holds up nobody"
        return outcomes

    def attempt(self, *letters: Letter) -> Sequence[Outcomes | None]:
        return at_once(self.delivery.deliver([due(letter) for letter in letters]))

    def new(self, user: str) -> list[Path]:
        return sorted((self.root / "mail/office.test" / user / "new").iterdir())


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(tmp_path)


def test_every_mailbox_gets_a_link_to_the_one_file(post: Post) -> None:
    outcomes = post.deliver("alice@office.test", "bob@office.test")
    assert all(isinstance(outcome, Delivered) for outcome in outcomes.values())
    (first,), (second,) = post.new("alice"), post.new("bob")
    assert first.stat().st_ino == second.stat().st_ino == Path(post.spool.path("L1")).stat().st_ino
    assert first.read_bytes() == CONTENT


def test_the_name_says_time_id_host_and_sizes(post: Post) -> None:
    post.deliver("alice@office.test")
    (file,) = post.new("alice")
    size, lines = len(CONTENT), CONTENT.count(b"\n")
    assert file.name == f"1700000000.QL1.mail.office.test,S={size},W={size + lines}"


def test_the_name_of_a_letter_in_utf8_says_what_others_get_of_it(post: Post) -> None:
    """Measured once, however many have it, and the same after a crash."""
    content = "Subject: 你\n\n好\n".encode()
    calls: list[str] = []

    async def counted(function: Any, *args: Any) -> Any:
        calls.append(function.__name__)
        return function(*args)

    post.delivery._in_thread = counted
    letters = [evolve(letter(id, *USERS, content=content, arrived=1700000000.5), smtputf8=True) for id in ("L1", "L2")]
    for each in [*letters, letters[0]]:
        Path(post.spool.path(each.id)).write_bytes(content)
        post.attempt(each)
    assert calls == ["surrogate_octets"] * 3
    first, second = post.new("alice")
    assert first.name == "1700000000.QL1.mail.office.test,S=18,W=21,U=34" != second.name
    assert post.new("bob")[0].name == first.name


def test_a_letter_in_utf8_that_is_missing_in_the_spool_is_told(post: Post) -> None:
    lost = evolve(letter("L9", "alice@office.test", content=b"x\n"), smtputf8=True)
    (outcomes,) = post.attempt(lost)
    assert outcomes is not None
    assert isinstance(outcomes[0], Delayed)
    assert outcomes[0].reply.text == "The message file is missing in the spool"


def test_no_slash_and_no_colon_stands_in_the_name() -> None:
    assert "/" not in file_name(letter("L1"), "a/b:c") and ":" not in file_name(letter("L1"), "a/b:c")


def test_the_folders_are_made_durable_before_it_counts(post: Post) -> None:
    post.deliver("alice@office.test", "bob@office.test")
    mail = post.root / "mail/office.test"
    assert post.disk.flushed == [{mail / "alice/new", mail / "bob/new"}]


def test_what_the_disk_did_not_keep_is_taken_back_and_made_again(post: Post) -> None:
    post.disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    assert isinstance(post.deliver("alice@office.test")[0], Delayed)
    assert post.new("alice") == [], "a name that is made anew is written anew"
    post.disk.error = None
    assert isinstance(post.deliver("alice@office.test")[0], Delivered)
    assert len(post.new("alice")) == 1


def test_nothing_is_placed_where_mailboxes_are_not_what_they_were(post: Post) -> None:
    """Below a mount point whose file system is gone it would be hidden, as soon as that is back."""
    stale = OSError(errno.ESTALE, "this is not the one that the server has opened", "/data/mail")

    def verify() -> None:
        raise stale

    post.delivery._verify = verify
    outcomes = post.deliver("alice@office.test", "bob@office.test")
    assert [type(outcomes[number]) for number in range(2)] == [Delayed] * 2
    assert not (post.root / "mail/office.test").exists()
    assert post.alarms.lasting == {MAILBOXES: str(stale)}
    post.delivery._verify = lambda: None
    assert isinstance(post.deliver("alice@office.test")[0], Delivered)
    assert not post.alarms.lasting


def test_a_mailbox_that_cannot_be_opened_is_nobody_elses_trouble(post: Post) -> None:
    mail = post.root / "mail/office.test"
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(mail / "bob/new"))
    post.disk.error = NotOpened(denied, [mail / "bob/new"])
    outcomes = post.deliver("alice@office.test", "bob@office.test")
    assert isinstance(outcomes[0], Delivered) and isinstance(outcomes[1], Delayed)
    assert len(post.new("alice")) == 1 and post.new("bob") == []
    assert not post.alarms.lasting, "it is the matter of one"


def test_letters_that_go_together_are_durable_with_one_sync(post: Post) -> None:
    """One that cannot be placed does not hold up the others; a sync that fails takes them all back."""
    for id in ("L1", "L2"):
        Path(post.spool.path(id)).write_bytes(CONTENT)
    letters = [letter("L1", "alice@office.test"), letter("L2", "bob@office.test"), letter("LOST", "bob@office.test")]
    outcomes = [outcome[0] for outcome in post.attempt(*letters) if outcome]
    assert [type(outcome) for outcome in outcomes] == [Delivered, Delivered, Delayed]
    mail = post.root / "mail/office.test"
    assert post.disk.flushed == [{mail / "alice/new", mail / "bob/new"}]
    for user in ("alice", "bob"):
        post.new(user)[0].unlink()
    post.disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    assert all(isinstance(outcome[0], Delayed) for outcome in post.attempt(*letters) if outcome)
    assert post.new("alice") == post.new("bob") == []


def refuse_links(monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    """Into one mailbox, as if it were on another file system."""
    link = os.link

    def refuse(source: str, target: str) -> None:
        if user in target:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(source, target)

    monkeypatch.setattr(os, "link", refuse)


def test_a_letter_that_must_be_copied_does_not_hold_up_the_others(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_links(monkeypatch, "alice")
    for id in ("L1", "L2"):
        Path(post.spool.path(id)).write_bytes(CONTENT)
    first, second = letter("L1", "alice@office.test"), letter("L2", "bob@office.test")
    held_up, outcomes = post.attempt(first, second)
    assert held_up is None and outcomes is not None and isinstance(outcomes[0], Delivered)
    assert not post.new("alice")
    (alone,) = post.attempt(first)
    assert alone is not None and isinstance(alone[0], Delivered)
    assert len(post.new("alice")) == 1


def test_whoever_has_a_letter_that_must_be_copied_for_others_does_not_get_it_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """His program may have taken it out of new/ by then."""
    refuse_links(monkeypatch, "bob")
    for id in ("L1", "L2"):
        Path(post.spool.path(id)).write_bytes(CONTENT)
    shared = letter("L1", "gone@office.test", "alice@office.test", "bob@office.test")
    outcomes, _ = post.attempt(shared, letter("L2", "alice@office.test"))
    assert outcomes is not None and [type(outcomes[number]) for number in sorted(outcomes)] == [Failed, Delivered]
    assert not post.new("bob")


def test_what_a_crash_left_and_the_disk_does_not_keep_is_made_again(post: Post) -> None:
    post.deliver("alice@office.test")
    post.disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    assert isinstance(post.deliver("alice@office.test")[0], Delayed)
    assert post.new("alice") == []


def test_a_copy_whose_sync_fails_is_not_believed_later(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next sync would succeed for nothing; and a reader would take it, and get another one."""
    refuse_links(monkeypatch, "alice")
    post.deliver("bob@office.test", id="L2")

    def refuse(paths: Iterable[Path]) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(durable, "sync_paths", refuse)
        post.delivery._make = lambda mailbox: Maildir(new, new.parent / "tmp", f"{new}/")  # type: ignore[method-assign]
        new = post.root / "mail/office.test/alice/new"
        for part in ("new", "tmp"):
            (new.parent / part).mkdir(parents=True)
        assert isinstance(post.deliver("alice@office.test")[0], Delayed)
    assert post.new("alice") == [] == list((new.parent / "tmp").iterdir())
    assert isinstance(post.deliver("alice@office.test")[0], Delivered)
    assert len(post.new("alice")) == 1


def test_one_copy_is_recorded_before_the_next_is_made(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop waits for what is begun: that must not be twenty copies."""
    refuse_links(monkeypatch, "office.test")
    outcomes = post.deliver("alice@office.test", "bob@office.test")
    assert list(outcomes) == [0] and isinstance(outcomes[0], Delivered)
    assert len(post.new("alice")) == 1 and post.new("bob") == []


def test_no_mailbox_is_made_where_all_have_gone_meanwhile(post: Post) -> None:
    asked: list[None] = []

    def verify() -> None:
        asked.append(None)
        if len(asked) > 1:
            raise OSError(errno.ESTALE, "this is not the one that the server has opened")

    post.delivery._verify = verify
    assert isinstance(post.deliver("alice@office.test")[0], Delayed)
    assert not (post.root / "mail/office.test").exists()


def test_what_stands_there_already_is_made_anew(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sync may have failed, and it could not be taken back: the next sync would succeed for nothing."""
    post.deliver("alice@office.test")
    made: list[object] = []
    link = os.link

    def counted(source: object, target: object) -> None:
        made.append(target)
        link(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", counted)
    assert isinstance(post.deliver("alice@office.test")[0], Delivered)
    assert len(made) == 2 and made[0] == made[1], "refused as it was there, and made"
    assert len(post.new("alice")) == 1


def test_what_a_crash_left_is_found_and_not_made_twice(post: Post) -> None:
    post.deliver("alice@office.test")
    assert isinstance(post.deliver("alice@office.test")[0], Delivered)
    assert len(post.new("alice")) == 1


@pytest.mark.parametrize("left", [b"", CONTENT[:9], bytes(len(CONTENT))])
def test_what_a_power_loss_has_left_of_it_is_replaced(post: Post, left: bytes) -> None:
    """The name was on the disk already, the content was not, and the spooled file is a new one since."""
    post.deliver("alice@office.test")
    (file,) = post.new("alice")
    file.unlink()
    file.write_bytes(left)
    assert isinstance(post.deliver("alice@office.test")[0], Delivered)
    assert post.new("alice") == [file] and file.read_bytes() == CONTENT
    assert file.samefile(post.spool.path("L1")) and list((file.parent.parent / "tmp").iterdir()) == []


def test_an_account_that_was_removed_meanwhile_fails_for_good_and_alone(post: Post) -> None:
    outcomes = post.deliver("alice@office.test", "gone@office.test")
    assert isinstance(outcomes[0], Delivered)
    assert isinstance(outcomes[1], Failed) and outcomes[1].reply.status == "5.1.1"


@pytest.mark.parametrize("number", sorted(durable.NO_LINK))
def test_where_links_are_impossible_a_copy_goes_through_tmp(
    post: Post, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    assert isinstance(post.deliver("alice@office.test")[0], Delivered)
    (file,) = post.new("alice")
    assert file.read_bytes() == CONTENT and file.stat().st_nlink == 1
    assert list((post.root / "mail/office.test/alice/tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "status", "of_all"),
    [
        (errno.ENOSPC, "4.2.2", True),
        (errno.EDQUOT, "4.2.2", True),
        (errno.EROFS, "4.3.0", True),
        (errno.EIO, "4.3.0", True),
        (errno.EACCES, "4.3.0", False),
    ],
)
def test_a_full_or_closed_disk_delays(
    post: Post, monkeypatch: pytest.MonkeyPatch, number: int, status: str, of_all: bool
) -> None:
    """The mailboxes may be on a file system of their own, where the spool notices nothing."""

    def refuse(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", refuse)
        outcome = post.deliver("alice@office.test")[0]
    assert isinstance(outcome, Delayed) and outcome.reply.status == status
    assert post.log.warnings
    assert (MAILBOXES in post.alarms.lasting) is of_all
    assert isinstance(post.deliver("alice@office.test")[0], Delivered)
    assert not post.alarms.lasting


def test_a_failed_sync_is_told_by_the_spool_alone(post: Post) -> None:
    post.disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    post.deliver("alice@office.test")
    assert not post.alarms.lasting


def test_a_maildir_that_was_removed_is_made_again(post: Post) -> None:
    post.deliver("alice@office.test")
    for folder in ("new", "cur", "tmp"):
        for file in (post.root / "mail/office.test/alice" / folder).iterdir():
            file.unlink()
        (post.root / "mail/office.test/alice" / folder).rmdir()
    assert isinstance(post.deliver("alice@office.test", id="L2")[0], Delivered)
    assert len(post.new("alice")) == 1


def test_a_file_that_is_missing_in_the_spool_is_told(post: Post) -> None:
    post.deliver("bob@office.test")
    Path(post.spool.path("L1")).unlink()
    (post.root / "mail/office.test/bob/new" / file_name(post.letter, "mail.office.test")).unlink()
    outcome = (post.attempt(post.letter)[0] or {})[0]
    assert isinstance(outcome, Delayed) and "missing in the spool" in outcome.reply.text


def test_mailboxes_are_closed_to_others(post: Post) -> None:
    os.umask(0o077)
    post.deliver("alice@office.test")
    assert (post.root / "mail/office.test/alice").stat().st_mode & 0o077 == 0


def test_nothing_is_made_where_the_folder_of_all_mail_is_gone(post: Post) -> None:
    """It may be unmounted: what came to be below the mount point would vanish when it is back."""
    (post.root / "mail").rmdir()
    outcome = post.deliver("alice@office.test")[0]
    assert isinstance(outcome, Delayed) and outcome.reply.code == 451
    assert not (post.root / "mail").exists()
