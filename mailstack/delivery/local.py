"""The MDA: a spooled file becomes a file in each recipient's Maildir, by a hard link.

The spooled file is complete and durable already, so nothing is copied and nothing is written: the link appears in
``new/`` at once and whole. Then the folders are made durable, and only then the recipient counts as served.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen
from zope.interface import implementer

from mailstack.durable import copy_into, hard_link, make_folders
from mailstack.interfaces import IDirectory, IDurable, IEventLog, ISpool, ITransport
from mailstack.model.letter import Due, Letter
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome
from mailstack.model.reply import Reply

RELAY = "local"
DELIVERED = Delivered(Reply(250, "2.0.0", "delivered to the Maildir"), RELAY)
NO_USER = Reply(550, "5.1.1", "No such user here any more")
LOST = Reply(451, "4.3.0", "The message file is missing in the spool")
FULL = (errno.ENOSPC, errno.EDQUOT)


def file_name(letter: Letter, hostname: str) -> str:
    """``TIME.UNIQUE.HOST,S=octets,W=octets``. The same for the same letter, so that a delivery that is repeated
    after a crash finds that it was made. A slash or colon must not stand in it (Maildir's rule)."""
    host = hostname.replace("/", "\\057").replace(":", "\\072")
    return f"{int(letter.arrived)}.Q{letter.id}.{host},S={letter.size},W={letter.wire_size}"


@frozen
class Maildir:
    """The folders of one that is known to exist."""

    new: Path
    tmp: Path


@frozen
class Placed:
    """A letter in a Maildir, not durable yet. ``name`` is the file that this attempt made; None: it was there."""

    folder: Path
    name: str | None

    def take_back(self) -> None:
        """The sync failed. The next attempt must write the folder anew, or its sync would succeed for nothing."""
        if self.name is not None:
            with suppress(OSError):
                Path(self.name).unlink()


@implementer(ITransport)
class LocalDelivery:
    def __init__(
        self,
        mail: Path,
        hostname: str,
        directory: IDirectory,
        spool: ISpool,
        durable: IDurable,
        in_thread: Callable[..., Awaitable[Any]],
        log: IEventLog,
    ) -> None:
        """``mail`` is the folder of all Maildirs. ``in_thread`` calls a function in another thread."""
        self._in_thread = in_thread
        self._mail = mail
        self._hostname = hostname
        self._directory = directory
        self._spool = spool
        self._durable = durable
        self._log = log
        self._maildirs: dict[str, Maildir] = {}

    async def deliver(self, dues: Sequence[Due]) -> Sequence[dict[int, Outcome]]:
        outcomes: list[dict[int, Outcome]] = [{} for _ in dues]
        placed = [await self._place_all(due, failed) for due, failed in zip(dues, outcomes, strict=True)]
        problem = await self._make_durable([each for links in placed for each in links.values()])
        for due, links, found in zip(dues, placed, outcomes, strict=True):
            if links:
                found.update(dict.fromkeys(links, DELIVERED if problem is None else self._trouble(due.letter, problem)))
        return outcomes

    async def _place_all(self, due: Due, failed: dict[int, Outcome]) -> dict[int, Placed]:
        """The links by recipient number; what comes of the other recipients goes into ``failed``."""
        placed: dict[int, Placed] = {}
        for each in due.pending:
            mailbox = self._directory.mailbox(each.recipient.address)
            if mailbox is None:
                failed[each.number] = Failed(NO_USER, RELAY)
                continue
            try:
                placed[each.number] = await self._place(due.letter, mailbox)
            except OSError as error:
                failed[each.number] = self._trouble(due.letter, error)
        return placed

    async def _make_durable(self, placed: Sequence[Placed]) -> OSError | None:
        if not placed:
            return None
        try:
            await self._durable.flush({each.folder for each in placed})
        except OSError as error:
            for each in placed:
                each.take_back()
            return error
        return None

    async def _place(self, letter: Letter, mailbox: str) -> Placed:
        maildir = self._maildirs.get(mailbox) or self._make(mailbox)
        try:
            return await self._link(letter, maildir)
        except FileNotFoundError:
            # Somebody may have removed the Maildir that was there a moment ago.
            return await self._link(letter, self._make(mailbox))

    def _make(self, mailbox: str) -> Maildir:
        root = self._mail / mailbox
        for part in ("tmp", "new", "cur"):
            make_folders(root / part)
        self._maildirs[mailbox] = Maildir(root / "new", root / "tmp")
        return self._maildirs[mailbox]

    async def _link(self, letter: Letter, maildir: Maildir) -> Placed:
        name = file_name(letter, self._hostname)
        source, target = self._spool.path(letter.id), f"{maildir.new}/{name}"
        try:
            if not hard_link(source, target):
                await self._in_thread(copy_into, source, target, f"{maildir.tmp}/{name}")
        except FileExistsError:
            # A crash came between the delivery and its record.
            return Placed(maildir.new, None)
        return Placed(maildir.new, target)

    def _trouble(self, letter: Letter, error: OSError) -> Delayed:
        self._log.warn(letter.id, what=f"cannot deliver to a Maildir: {error}")
        if isinstance(error, FileNotFoundError) and not Path(self._spool.path(letter.id)).exists():
            return Delayed(LOST, RELAY)
        if error.errno in FULL:
            return Delayed(Reply(452, "4.2.2", "Disk full"), RELAY)
        return Delayed(Reply(451, "4.3.0", f"The Maildir cannot be written: {error.strerror}"), RELAY)
