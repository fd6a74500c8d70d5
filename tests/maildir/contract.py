"""What every IMailboxes must do. A provider's test class inherits this and says how letters get in."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from mailstack.interfaces.mailboxes import IMailbox, IMailboxes, Letter, MailboxInUse
from mailstack.model.address import Address

ALICE = Address("alice", "office.test")
BOB = Address("bob", "office.test")


def content(letter: Letter) -> bytes:
    whole = b""
    while piece := letter.read(1000):
        whole += piece
    letter.close()
    return whole


def uids(box: IMailbox) -> list[str]:
    return [box.uid(index) for index in range(box.count)]


def sizes(box: IMailbox) -> list[int]:
    return [box.size(index) for index in range(box.count)]


class MailboxesContract:
    """``mailboxes`` knows alice and bob; ``deliver`` and ``remove`` act as other programs do."""

    mailboxes: IMailboxes

    def deliver(self, account: Address, letter: bytes) -> None:
        raise NotImplementedError

    def deliver_to(self, account: Address, folder: str, letter: bytes) -> None:
        """Into a folder, named as people do, which is made."""
        raise NotImplementedError

    def remove(self, account: Address, index: int) -> None:
        """Take away the letter that arrived as number ``index``."""
        raise NotImplementedError

    def break_mailbox(self, account: Address) -> None:
        """From now on the disk refuses to open it."""
        raise NotImplementedError

    def test_interfaces(self) -> None:
        assert verifyObject(IMailboxes, self.mailboxes)
        assert verifyObject(IMailbox, self.mailboxes.open(ALICE))

    def test_mailbox_without_mail_is_empty(self) -> None:
        assert self.mailboxes.open(ALICE).count == 0

    def test_letters_come_in_order_of_arrival_with_exact_sizes(self) -> None:
        """A size counts CRLF line ends, and the last one also where it is missing."""
        for letter in (b"a: 1\n\nx\n", b"a: 2\n\nwithout end", b""):
            self.deliver(ALICE, letter)
        box = self.mailboxes.open(ALICE)
        assert [content(box.open(index)) for index in range(3)] == [b"a: 1\n\nx\n", b"a: 2\n\nwithout end", b""]
        assert sizes(box) == [11, 21, 0]

    def test_unique_ids_stay_and_fit_the_protocol(self) -> None:
        """RFC 1939 §7: 1 to 70 printable characters, the same in each session, also after a letter went."""
        for letter in (b"1\n", b"2\n", b"3\n"):
            self.deliver(ALICE, letter)
        box = self.mailboxes.open(ALICE)
        first = uids(box)
        box.delete([0])
        box.close()
        assert uids(self.mailboxes.open(ALICE)) == first[1:]
        assert len(set(first)) == 3
        assert all(1 <= len(uid) <= 70 and all("!" <= char <= "~" for char in uid) for uid in first)

    def test_listings_have_the_numbers_of_the_whole(self) -> None:
        """And any part of it can be had."""
        for letter in (b"1\n", b"22\n", b"333\n"):
            self.deliver(ALICE, letter)
        box = self.mailboxes.open(ALICE)
        lines = [f"{index + 1} {size}\r\n".encode() for index, size in enumerate(sizes(box))]
        uid_lines = [f"{index + 1} {uid}\r\n".encode() for index, uid in enumerate(uids(box))]
        for start in range(4):
            for stop in range(start, 4):
                assert b"".join(box.size_lines(start, stop)) == b"".join(lines[start:stop])
                assert b"".join(box.uid_lines(start, stop)) == b"".join(uid_lines[start:stop])
        assert box.octets == sum(sizes(box))

    def test_one_session_at_a_time(self) -> None:
        box = self.mailboxes.open(ALICE)
        with pytest.raises(MailboxInUse):
            self.mailboxes.open(ALICE)
        box.close()
        self.mailboxes.open(ALICE).close()

    def test_closing_twice_does_not_let_a_third_session_in(self) -> None:
        box = self.mailboxes.open(ALICE)
        box.close()
        self.mailboxes.open(ALICE)
        box.close()
        with pytest.raises(MailboxInUse):
            self.mailboxes.open(ALICE)

    def test_mailboxes_do_not_disturb_each_other(self) -> None:
        self.deliver(BOB, b"for bob\n")
        assert self.mailboxes.open(ALICE).count == 0
        assert self.mailboxes.open(BOB).count == 1

    def test_a_folder_is_a_mailbox_of_its_own(self) -> None:
        """Each with one session at a time; INBOX is the inbox."""
        self.deliver(ALICE, b"inbox\n")
        self.deliver_to(ALICE, "Work/2026", b"budget\n")
        inbox, work = self.mailboxes.open(ALICE, "INBOX"), self.mailboxes.open(ALICE, "Work/2026")
        assert [box.open(0).read(100) for box in (inbox, work)] == [b"inbox\n", b"budget\n"]
        for folder in ("", "inbox", "Work/2026"):
            with pytest.raises(MailboxInUse):
                self.mailboxes.open(ALICE, folder)
        work.close()
        self.mailboxes.open(ALICE, "Work/2026").close()

    def test_a_folder_that_is_not_there(self) -> None:
        self.deliver_to(BOB, "Plans", b"secret\n")
        for folder in ("Plans", "../bob", "..", "/"):
            with pytest.raises(FileNotFoundError):
                self.mailboxes.open(ALICE, folder)

    def test_folders_that_programs_expect_are_empty(self) -> None:
        for folder in ("Sent", "Drafts", "Junk", "Trash", "Archive"):
            box = self.mailboxes.open(ALICE, folder)
            assert box.count == 0
            with pytest.raises(MailboxInUse):
                self.mailboxes.open(ALICE, folder)

    def test_session_is_a_snapshot(self) -> None:
        """What arrives later is for the next session."""
        self.deliver(ALICE, b"1\n")
        box = self.mailboxes.open(ALICE)
        self.deliver(ALICE, b"2\n")
        assert box.count == 1
        box.close()
        assert self.mailboxes.open(ALICE).count == 2

    def test_letters_tell_when_they_came_or_that_they_do_not(self) -> None:
        self.deliver(ALICE, b"1\n")
        arrived = self.mailboxes.open(ALICE).arrived(0)
        assert arrived is None or arrived > 0

    def test_removed_letter_is_said_to_be_gone(self) -> None:
        self.deliver(ALICE, b"1\n")
        self.deliver(ALICE, b"2\n")
        box = self.mailboxes.open(ALICE)
        self.remove(ALICE, 0)
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                box.open(0)
            box.look_again()
        assert content(box.open(1)) == b"2\n"

    def test_deleting(self) -> None:
        """Only what was named goes; what is gone already is as good as deleted."""
        for letter in (b"1\n", b"2\n", b"3\n"):
            self.deliver(ALICE, letter)
        box = self.mailboxes.open(ALICE)
        self.remove(ALICE, 0)
        assert list(box.delete([0, 2])) == []
        box.close()
        box = self.mailboxes.open(ALICE)
        assert [content(box.open(index)) for index in range(box.count)] == [b"2\n"]

    def test_disk_that_refuses(self) -> None:
        """OSError each time: the failed session leaves no lock behind."""
        self.break_mailbox(ALICE)
        for _ in range(2):
            with pytest.raises(OSError):
                self.mailboxes.open(ALICE)
