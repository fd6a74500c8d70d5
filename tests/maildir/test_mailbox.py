"""Maildirs that other programs change while a session reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.maildir.mailboxes import Mailboxes
from mailstack.model.address import Address
from mailstack.place import Place
from tests.maildir.contract import ALICE, BOB, MailboxesContract, content, sizes, uids


class TestMailboxes(MailboxesContract):
    @pytest.fixture(autouse=True)
    def _set_up(self, tmp_path: Path) -> None:
        self.root = tmp_path
        self.count = 0
        self.mailboxes = Mailboxes(tmp_path, _place)

    def folder(self, account: Address) -> Path:
        place = _place(account)
        assert place is not None
        return self.root / place

    def put(self, name: str, letter: bytes = b"x\n", place: str = "new") -> Path:
        path = self.folder(ALICE) / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(letter)
        return path

    def deliver(self, account: Address, letter: bytes) -> None:
        new = self.folder(account) / "new"
        new.mkdir(parents=True, exist_ok=True)
        (new / f"17000000{self.count:02}.M{self.count}.host").write_bytes(letter)
        self.count += 1

    def deliver_to(self, account: Address, folder: str, letter: bytes) -> None:
        new = self.folder(account) / ("." + folder.replace("/", ".")) / "new"
        new.mkdir(parents=True, exist_ok=True)
        (new / "1700000000.M1.host").write_bytes(letter)

    def remove(self, account: Address, index: int) -> None:
        sorted((self.folder(account) / "new").iterdir())[index].unlink()

    def break_mailbox(self, account: Address) -> None:
        self.folder(account).parent.mkdir(parents=True, exist_ok=True)
        self.folder(account).write_text("not a folder")

    def test_new_and_cur_are_one_list_oldest_first(self) -> None:
        """By the time in the name as a number, then by name."""
        self.put("1700000001.b.host:2,S", place="cur")
        self.put("999999999.z.host")
        self.put("1700000001.a.host")
        assert uids(self.mailboxes.open(ALICE)) == [
            "999999999.z.host",
            "1700000001.a.host",
            "1700000001.b.host",
        ]

    def test_time_of_arrival_is_that_of_the_name(self) -> None:
        self.put("1700000001.a.host,S=3:2,S", place="cur")
        self.put("odd")
        box = self.mailboxes.open(ALICE)
        assert [box.arrived(index) for index in range(2)] == [None, 1700000001]

    @pytest.mark.parametrize("time", ["0", "1", "820454399", "00000000001"])
    def test_time_before_there_were_maildirs_is_none(self, time: str) -> None:
        """Or what came a moment ago would be as old as can be, and ``[pop3] expire`` would remove it."""
        self.put(f"{time}.a.host")
        assert self.mailboxes.open(ALICE).arrived(0) is None

    def test_letters_that_need_utf8_are_known_by_their_names(self) -> None:
        """Without a look into them."""
        self.put("1.a.host,S=3,W=4")
        self.put("2.b.host,S=3,W=4,U=44:2,S", place="cur")
        self.put("3.c.host,U=x,S=3")
        box = self.mailboxes.open(ALICE)
        assert box.surrogates() == {1: 44}
        assert [box.uid(index) for index in range(box.count)] == ["1.a.host", "2.b.host", "3.c.host"]

    def test_size_is_taken_from_the_name(self) -> None:
        self.put("1.a.host,S=3,W=4")
        self.put("2.b.host,S=2", b"a\nb\n")
        assert sizes(self.mailboxes.open(ALICE)) == [4, 6]

    def test_what_is_not_a_letter_is_ignored(self) -> None:
        """Names with a dot in front, folders, and whatever is in tmp."""
        self.put(".hidden")
        self.put("1.a.host", place="tmp")
        (self.put("2.b.host").parent / "folder").mkdir()
        assert uids(self.mailboxes.open(ALICE)) == ["2.b.host"]

    @pytest.mark.parametrize("by", ["reading", "deleting"])
    def test_renamed_letter_is_found_again(self, by: str) -> None:
        """Another program has seen it, or changed its flags."""
        old = self.put("1.a.host,S=2,W=3")
        self.put("2.b.host,S=2,W=3:2,", place="cur")
        box = self.mailboxes.open(ALICE)
        new = old.rename(self.folder(ALICE) / "cur/1.a.host,S=2,W=3:2,S")
        if by == "reading":
            assert content(box.open(0)) == b"x\n"
        else:
            assert list(box.delete([0])) == []
            assert not new.exists()
        assert content(box.open(1)) == b"x\n"

    def test_unique_id_survives_flags(self) -> None:
        path = self.put("1.a.host,S=2")
        box = self.mailboxes.open(ALICE)
        before = uids(box)
        box.close()
        path.rename(self.put("1.a.host,S=2:2,RS", place="cur"))
        assert uids(self.mailboxes.open(ALICE)) == before

    def test_letter_seen_in_both_places_is_one(self) -> None:
        """It was moved while the folders were listed."""
        self.put("1.a.host")
        self.put("1.a.host:2,S", place="cur")
        assert self.mailboxes.open(ALICE).count == 1

    def test_what_cannot_be_removed_is_reported(self) -> None:
        self.put("1.a.host")
        box = self.mailboxes.open(ALICE)
        new = self.folder(ALICE) / "new"
        new.rename(self.folder(ALICE) / "aside")
        new.write_text("not a folder")
        assert list(box.delete([0])) == [0]

    def test_nothing_is_changed_by_reading(self) -> None:
        self.put("1.a.host")
        box = self.mailboxes.open(ALICE)
        content(box.open(0))
        box.close()
        assert [str(path.relative_to(self.folder(ALICE))) for path in self.folder(ALICE).glob("*/*")] == [
            "new/1.a.host"
        ]

    def test_account_that_is_gone(self) -> None:
        """It was removed between log-in and opening."""
        with pytest.raises(OSError, match="not an account"):
            self.mailboxes.open(Address("carol", "office.test"))


def _place(account: Address) -> str | None:
    return f"{account.domain}/{account.local}" if account in (ALICE, BOB) else None


@pytest.mark.parametrize("folder", ["", ".Junk"])
class TestOwnerWithAShell:
    """Whoever owns a Maildir may change anything in it at any moment; the server may do what he may not."""

    @pytest.fixture(autouse=True)
    def _set_up(self, tmp_path: Path, folder: str) -> None:
        self.mailboxes = Mailboxes(tmp_path, _place)
        self.name, self.own = folder.removeprefix("."), tmp_path / (_place(ALICE) or "") / folder
        self.foreign = tmp_path / (_place(BOB) or "") / folder
        for maildir, letter in ((self.own, b"own\n"), (self.foreign, b"foreign\n")):
            for part in ("new", "cur"):
                (maildir / part).mkdir(parents=True)
            (maildir / "cur" / "1.a.host:2,S").write_bytes(letter)

    def lead_away(self, part: Path, to: Path) -> None:
        part.rename(part.with_name("away"))
        part.symlink_to(to, target_is_directory=True)

    def test_link_in_the_place_of_a_directory_is_not_followed(self, folder: str) -> None:
        self.lead_away(self.own / "cur", self.foreign / "cur")
        with pytest.raises(OSError):
            self.mailboxes.open(ALICE, self.name)

    @pytest.mark.parametrize("whole", [False, True])
    def test_nor_one_that_is_put_there_during_the_session(self, folder: str, whole: bool) -> None:
        if whole and not folder:
            pytest.skip("the inbox stands in a directory of the server")
        box = self.mailboxes.open(ALICE, self.name)
        if whole:
            self.lead_away(self.own, self.foreign)
        else:
            self.lead_away(self.own / "cur", self.foreign / "cur")
        with pytest.raises(OSError):
            box.open(0)
        assert list(box.delete([0])) == [0]
        assert (self.foreign / "cur" / "1.a.host:2,S").exists()


def test_no_mailbox_is_empty_because_the_folder_of_all_is_gone(tmp_path: Path) -> None:
    """It may be unmounted. A program that sees no letters forgets which ones it has, and fetches all of them again."""
    with pytest.raises(OSError, match="gone") as caught:
        Mailboxes(tmp_path / "mail", _place).open(ALICE)
    assert not isinstance(caught.value, FileNotFoundError), "which means that there is no such folder of his"
    (tmp_path / "mail").mkdir()
    mailbox = Mailboxes(tmp_path / "mail", _place).open(ALICE)
    assert sizes(mailbox) == []
    mailbox.close()


def test_no_mailbox_is_empty_because_the_folder_of_all_is_another_one(tmp_path: Path) -> None:
    """That below a mount point whose file system is gone."""
    (tmp_path / "mail").mkdir()
    known = Place(tmp_path / "mail")
    known.remember()
    mailboxes = Mailboxes(tmp_path / "mail", _place, known.verify)
    mailboxes.open(ALICE).close()
    (tmp_path / "mail").rename(tmp_path / "away")
    (tmp_path / "mail").mkdir()
    with pytest.raises(OSError, match="not the one"):
        mailboxes.open(ALICE)
