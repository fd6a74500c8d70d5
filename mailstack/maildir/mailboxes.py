"""All Maildirs: which one an account opens, and one session at a time for each."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from zope.interface import implementer

from mailstack.interfaces.mailboxes import IMailbox, IMailboxes, MailboxInUse
from mailstack.maildir import folders
from mailstack.maildir.mailbox import Mailbox
from mailstack.maildir.shelf import Shelf
from mailstack.model.address import Address


@implementer(IMailboxes)
class Mailboxes:
    """The Maildirs below ``root``; ``mailbox`` tells where an account has its own, None: no such account. ``verify``
    raises OSError while ``root`` is not what it was."""

    def __init__(
        self, root: Path, mailbox: Callable[[Address], str | None], verify: Callable[[], None] = lambda: None
    ) -> None:
        self._root = root
        self._mailbox = mailbox
        self._verify = verify
        self._in_use: set[Path] = set()
        self._guard = Lock()
        self._shelf = Shelf()

    def open(self, account: Address, folder: str = "") -> IMailbox:
        place = self._mailbox(account)
        if place is None:
            raise FileNotFoundError(f"{account} is not an account any more")
        # Unmounted, or moved away: an empty mailbox would make programs forget what they have fetched.
        if not self._root.exists():
            raise OSError(errno.EIO, "the folder of all mailboxes is gone", str(self._root))
        self._verify()
        maildir = folders.find(self._root / place, folder)
        with self._guard:
            if maildir in self._in_use:
                raise MailboxInUse
            self._in_use.add(maildir)
        try:
            return Mailbox(maildir, self._release, self._shelf)
        except BaseException:
            self._release(maildir)
            raise

    def _release(self, maildir: Path) -> None:
        with self._guard:
            self._in_use.discard(maildir)
