"""The mailboxes that other tests use keep the contract, too."""

from __future__ import annotations

import pytest

from mailstack.model.address import Address
from tests.maildir.contract import MailboxesContract
from tests.maildir.memory import MemoryMailboxes


class TestMemoryMailboxes(MailboxesContract):
    mailboxes: MemoryMailboxes

    @pytest.fixture(autouse=True)
    def _set_up(self) -> None:
        self.mailboxes = MemoryMailboxes()

    def deliver(self, account: Address, letter: bytes) -> None:
        self.mailboxes.add(account, letter)

    def deliver_to(self, account: Address, folder: str, letter: bytes) -> None:
        self.mailboxes.folders[account, folder] = {"1": letter}

    def remove(self, account: Address, index: int) -> None:
        box = self.mailboxes.letters[account]
        del box[list(box)[index]]

    def break_mailbox(self, account: Address) -> None:
        self.mailboxes.broken.add(account)
