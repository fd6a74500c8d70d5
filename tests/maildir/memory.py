"""Mailboxes in memory, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from typing import BinaryIO

from zope.interface import implementer

from mailstack.interfaces.mailboxes import IMailbox, IMailboxes, Item, MailboxInUse
from mailstack.maildir.sizes import wire_octets
from mailstack.message.surrogate import surrogate
from mailstack.model.address import Address


@implementer(IMailboxes)
class MemoryMailboxes:
    """``letters`` by account and uid, in order of arrival; change it as another program would.

    ``broken`` makes the disk refuse to open a mailbox, ``stuck`` to remove the letters with these uids.
    ``times`` has when letters came, by uid; ``utf8`` the uids of those that came with SMTPUTF8.
    """

    def __init__(self) -> None:
        self.letters: dict[Address, dict[str, bytes]] = {}
        self.broken: set[Address] = set()
        self.stuck: set[str] = set()
        self.times: dict[str, int] = {}
        self.utf8: set[str] = set()
        self._in_use: set[Address] = set()

    def add(self, account: Address, *letters: bytes) -> None:
        box = self.letters.setdefault(account, {})
        for letter in letters:
            box[f"uid-{len(box) + 1}"] = letter

    def in_use(self, account: Address) -> bool:
        return account in self._in_use

    def open(self, account: Address) -> IMailbox:
        if account in self.broken:
            raise OSError(5, "Input/output error")
        if account in self._in_use:
            raise MailboxInUse
        self._in_use.add(account)
        return MemoryMailbox(self.letters.get(account, {}), self, lambda: self._in_use.discard(account))


@implementer(IMailbox)
class MemoryMailbox:
    def __init__(self, letters: dict[str, bytes], place: MemoryMailboxes, release: Callable[[], None]) -> None:
        self._letters = letters
        self._stuck, self.times, self.utf8 = place.stuck, place.times, place.utf8
        self._release: Callable[[], None] | None = release
        self.items: Sequence[Item] = [Item(uid, wire_octets(BytesIO(letter))) for uid, letter in letters.items()]

    def open(self, index: int) -> BinaryIO:
        try:
            return BytesIO(self._letters[self.items[index].uid])
        except KeyError:
            raise FileNotFoundError(self.items[index].uid) from None

    def letter_id(self, index: int) -> str | None:
        return self.items[index].uid.removeprefix("uid-")

    def arrived(self, index: int) -> int | None:
        return self.times.get(self.items[index].uid)

    def surrogates(self) -> Mapping[int, int]:
        """Those that are said to be (SMTPUTF8)."""
        uids = [item.uid for item in self.items]
        return {
            uids.index(uid): wire_octets(BytesIO(b"".join(surrogate([letter]))))
            for uid, letter in self._letters.items()
            if uid in self.utf8
        }

    def delete(self, indexes: Iterable[int]) -> Sequence[int]:
        left = [index for index in indexes if self.items[index].uid in self._stuck]
        for index in indexes:
            if index not in left:
                self._letters.pop(self.items[index].uid, None)
        return left

    def close(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()
