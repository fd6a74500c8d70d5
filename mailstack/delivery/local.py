"""The MDA: a spooled file becomes a file in each recipient's Maildir, by a hard link.

The spooled file is complete and durable already, so nothing is copied and nothing is written: the link appears in
``new/`` at once and whole. Then the folders are made durable, and only then the recipient counts as served.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from zope.interface import implementer

from mailstack.durable import link_or_copy, make_folders
from mailstack.interfaces import IDirectory, IDurable, IEventLog, ISpool, ITransport
from mailstack.model.letter import Letter, Pending
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome
from mailstack.model.reply import Reply

RELAY = "local"
SAVED = Reply(250, "2.0.0", "delivered to the Maildir")
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


@implementer(ITransport)
class LocalDelivery:
    def __init__(
        self, mail: Path, hostname: str, directory: IDirectory, spool: ISpool, durable: IDurable, log: IEventLog
    ) -> None:
        """``mail`` is the folder of all Maildirs."""
        self._mail = mail
        self._hostname = hostname
        self._directory = directory
        self._spool = spool
        self._durable = durable
        self._log = log
        self._maildirs: dict[str, Maildir] = {}

    async def deliver(self, letter: Letter, pending: Sequence[Pending]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        folders: set[Path] = set()
        for each in pending:
            mailbox = self._directory.mailbox(each.recipient.address)
            outcomes[each.number] = self._place(letter, mailbox, folders) if mailbox else Failed(NO_USER, RELAY)
        if folders:
            await self._make_durable(letter, folders, outcomes)
        return outcomes

    async def _make_durable(self, letter: Letter, folders: set[Path], outcomes: dict[int, Outcome]) -> None:
        try:
            await self._durable.flush(folders)
        except OSError as error:
            # The links may or may not survive; the next attempt finds them, or makes them again.
            for number, outcome in outcomes.items():
                if isinstance(outcome, Delivered):
                    outcomes[number] = self._trouble(letter, error)

    def _place(self, letter: Letter, mailbox: str, folders: set[Path]) -> Outcome:
        """Make the link, and note the folder that must become durable."""
        try:
            maildir = self._maildirs.get(mailbox) or self._make(mailbox)
            try:
                self._link(letter, maildir)
            except FileNotFoundError:
                # Somebody may have removed the Maildir that was there a moment ago.
                maildir = self._make(mailbox)
                self._link(letter, maildir)
        except OSError as error:
            return self._trouble(letter, error)
        folders.add(maildir.new)
        return Delivered(SAVED, RELAY)

    def _make(self, mailbox: str) -> Maildir:
        root = self._mail / mailbox
        for part in ("tmp", "new", "cur"):
            make_folders(root / part)
        self._maildirs[mailbox] = Maildir(root / "new", root / "tmp")
        return self._maildirs[mailbox]

    def _link(self, letter: Letter, maildir: Maildir) -> None:
        name = file_name(letter, self._hostname)
        try:
            link_or_copy(self._spool.path(letter.id), f"{maildir.new}/{name}", f"{maildir.tmp}/{name}")
        except FileExistsError:
            # A crash, or a failed sync, came between the delivery and its record.
            return

    def _trouble(self, letter: Letter, error: OSError) -> Delayed:
        self._log.warn(letter.id, what=f"cannot deliver to a Maildir: {error}")
        if isinstance(error, FileNotFoundError) and not self._spool.path(letter.id).exists():
            return Delayed(LOST, RELAY)
        if error.errno in FULL:
            return Delayed(Reply(452, "4.2.2", "Disk full"), RELAY)
        return Delayed(Reply(451, "4.3.0", f"The Maildir cannot be written: {error.strerror}"), RELAY)
