"""Mailboxes in memory, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO

from zope.interface import implementer

from mailstack.interfaces.mailboxes import IMailbox, IMailboxes, Letter, MailboxInUse
from mailstack.maildir.sizes import counted
from mailstack.message.surrogate import surrogate
from mailstack.model.address import Address

STANDARD = ("Sent", "Drafts", "Junk", "Trash", "Archive")


@implementer(IMailboxes)
class MemoryMailboxes:
    """``letters`` by account and uid, in order of arrival; change it as another program would.

    ``broken`` makes the disk refuse to open a mailbox, ``stuck`` to remove the letters with these uids; those that are
    ``moved`` are found by another look. ``times`` has when letters came, by uid; ``utf8`` the uids of those that came
    with SMTPUTF8. ``folders`` are those that are there besides the inbox, by account and name.
    """

    def __init__(self) -> None:
        self.letters: dict[Address, dict[str, bytes]] = {}
        self.broken: set[Address] = set()
        self.stuck: set[str] = set()
        self.moved: set[str] = set()
        self.times: dict[str, int] = {}
        self.utf8: set[str] = set()
        self.folders: dict[tuple[Address, str], dict[str, bytes]] = {}
        self._in_use: set[tuple[Address, str]] = set()

    def add(self, account: Address, *letters: bytes) -> None:
        box = self.letters.setdefault(account, {})
        for letter in letters:
            box[f"uid-{len(box) + 1}"] = letter

    def in_use(self, account: Address) -> bool:
        return (account, "") in self._in_use

    def open(self, account: Address, folder: str = "") -> IMailbox:
        if account in self.broken:
            raise OSError(5, "Input/output error")
        place = (account, "" if folder.lower() == "inbox" else folder)
        if place in self._in_use:
            raise MailboxInUse
        letters = self._letters(*place)
        self._in_use.add(place)
        return MemoryMailbox(letters, self, lambda: self._in_use.discard(place))

    def _letters(self, account: Address, folder: str) -> dict[str, bytes]:
        if not folder:
            return self.letters.get(account, {})
        if folder in STANDARD:
            return self.folders.get((account, folder), {})
        try:
            return self.folders[account, folder]
        except KeyError:
            raise FileNotFoundError(folder) from None


@implementer(IMailbox)
class MemoryMailbox:
    def __init__(self, letters: dict[str, bytes], place: MemoryMailboxes, release: Callable[[], None]) -> None:
        self._letters = letters
        self._stuck, self._moved = place.stuck, place.moved
        self.times, self.utf8 = place.times, place.utf8
        self._release: Callable[[], None] | None = release
        self._uids = list(letters)
        self._sizes = [counted(BytesIO(letter)) for letter in letters.values()]
        self.count = len(self._uids)
        self.octets = sum(self._sizes)

    def size(self, index: int) -> int:
        return self._sizes[index]

    def uid(self, index: int) -> str:
        return self._uids[index]

    def size_lines(self, start: int, stop: int) -> Iterable[bytes]:
        return (f"{index + 1} {self._sizes[index]}\r\n".encode() for index in range(start, stop))

    def uid_lines(self, start: int, stop: int) -> Iterable[bytes]:
        return (f"{index + 1} {self._uids[index]}\r\n".encode() for index in range(start, stop))

    def open(self, index: int) -> Letter:
        if self._uids[index] in self._moved:
            raise FileNotFoundError(self._uids[index])
        try:
            return BytesIO(self._letters[self._uids[index]])
        except KeyError:
            raise FileNotFoundError(self._uids[index]) from None

    def look_again(self) -> None:
        self._moved.clear()

    def measured(self, index: int, octets: int) -> None:
        assert octets == self._sizes[index], "what is sent is what was told"

    def letter_id(self, index: int) -> str | None:
        return self._uids[index].removeprefix("uid-")

    def arrived(self, index: int) -> int | None:
        return self.times.get(self._uids[index])

    def surrogates(self) -> Mapping[int, int]:
        """Those that are said to be (SMTPUTF8)."""
        return {
            self._uids.index(uid): counted(BytesIO(b"".join(surrogate([letter]))))
            for uid, letter in self._letters.items()
            if uid in self.utf8
        }

    def delete(self, indexes: Iterable[int]) -> Sequence[int]:
        left = [index for index in indexes if self._uids[index] in self._stuck]
        for index in indexes:
            if index not in left:
                self._letters.pop(self._uids[index], None)
        return left

    def close(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()
