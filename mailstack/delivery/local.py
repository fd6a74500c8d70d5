"""The MDA: a spooled file becomes a file in each recipient's Maildir, by a hard link.

The spooled file is complete already, so nothing is copied and nothing is written: the link appears in ``new/`` at once
and whole. Then it and the folders are made durable, and only then the recipient counts as served.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import Factory, define, frozen
from zope.interface import implementer

from mailstack.durable import NotOpened, copy_into, hard_link, make_folders
from mailstack.interfaces.accounts import IDirectory
from mailstack.interfaces.alarms import SILENT, IAlarms
from mailstack.interfaces.delivery import ITransport, Outcomes
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import IDurable, ISpool
from mailstack.message.surrogate import measured
from mailstack.model.condition import MAILBOXES, NO_ROOM
from mailstack.model.letter import Due, Letter
from mailstack.model.maildir_name import file_name
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome
from mailstack.model.reply import Reply

RELAY = "local"
DELIVERED = Delivered(Reply(250, "2.0.0", "delivered to the Maildir"), RELAY)
NO_USER = Reply(550, "5.1.1", "No such user here any more")
LOST = Reply(451, "4.3.0", "The message file is missing in the spool")
#: What one mailbox meets with here, the others meet with as well.
OF_ALL = (*NO_ROOM, errno.EROFS, errno.EIO)


def surrogate_octets(path: str) -> int:
    """Of what POP3 sends of this file to programs that cannot have UTF-8 in the header (RFC 6858). OSError."""
    with Path(path).open("rb") as letter:
        return measured(letter)


@frozen
class Maildir:
    """The folders of one that is known to exist."""

    new: Path
    tmp: Path
    arrivals: str  #: ``new`` with a slash, for the paths of letters: they are mostly text, see DiskSpool


@define
class Attempt:
    """What has become of one letter before the sync: by recipient number the Maildirs that it is in, not durably yet,
    and what failed. ``held_up``: from there on it must be copied, and would hold up the others."""

    source: str  #: the spooled file
    name: str = ""  #: of the file in each Maildir, once it is known
    placed: dict[int, Maildir] = Factory(dict)
    failed: dict[int, Outcome] = Factory(dict)
    held_up: bool = False

    def take_back(self, folders: Collection[Path]) -> None:
        """Their sync failed. The next attempt must write them anew, or its sync would succeed for nothing."""
        for maildir in self.placed.values():
            if maildir.new in folders:
                with suppress(OSError):
                    (maildir.new / self.name).unlink()


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
        verify: Callable[[], None] = lambda: None,
        alarms: IAlarms = SILENT,
    ) -> None:
        """``mail`` is the folder of all Maildirs. ``in_thread`` calls a function in another thread. ``verify`` raises
        OSError while ``mail`` is not what it was: what would be placed there could be hidden for ever."""
        self._verify = verify
        self._misplaced = False
        self._in_thread = in_thread
        self._mail = mail
        self._hostname = hostname
        self._directory = directory
        self._spool = spool
        self._durable = durable
        self._log = log
        self._alarms = alarms
        self._maildirs: dict[str, Maildir] = {}

    async def deliver(self, dues: Sequence[Due]) -> Sequence[Outcomes | None]:
        try:
            self._verify()
        except OSError as error:
            self._misplaced = True
            self._alarms.seen(MAILBOXES, str(error))
            return [self._put_off(due, error) for due in dues]
        if self._misplaced:
            self._misplaced = False
            self._alarms.over(MAILBOXES)
        before = self._durable.failed_syncs()
        attempts = [await self._place_all(due, alone=len(dues) == 1) for due in dues]
        problem, folders = await self._make_durable(dues, attempts, before)
        return [self._outcomes(due, attempt, problem, folders) for due, attempt in zip(dues, attempts, strict=True)]

    def _put_off(self, due: Due, error: OSError) -> Outcomes:
        return dict.fromkeys((each.number for each in due.pending), self._trouble(due.letter, error))

    def _outcomes(
        self, due: Due, attempt: Attempt, problem: OSError | None, folders: Collection[Path]
    ) -> Outcomes | None:
        """``problem`` is that of these ``folders``."""
        if not attempt.placed:
            return None if attempt.held_up and not attempt.failed else attempt.failed
        if problem is None:
            return {**attempt.failed, **dict.fromkeys(attempt.placed, DELIVERED)}
        put_off = [number for number, maildir in attempt.placed.items() if maildir.new in folders]
        came: Outcomes = dict.fromkeys(attempt.placed, DELIVERED)
        if put_off:
            came |= dict.fromkeys(put_off, self._trouble(due.letter, problem))
        return {**attempt.failed, **came}

    async def _place_all(self, due: Due, alone: bool) -> Attempt:
        letter = due.letter
        attempt = Attempt(self._spool.path(letter.id))
        for each in due.pending:
            mailbox = self._directory.mailbox(each.recipient.address)
            if mailbox is None:
                attempt.failed[each.number] = Failed(NO_USER, RELAY)
                continue
            try:
                attempt.name = attempt.name or await self._name(letter)
                # One copy, and it is recorded: a stop does not wait for twenty.
                may_copy = alone and not attempt.placed
                maildir = self._linked(attempt, mailbox) or await self._place(attempt, mailbox, may_copy)
            except OSError as error:
                self._watch(error)
                attempt.failed[each.number] = self._trouble(letter, error)
                continue
            if maildir is None:
                attempt.held_up = True
                break
            attempt.placed[each.number] = maildir
        return attempt

    async def _make_durable(
        self, dues: Sequence[Due], attempts: Sequence[Attempt], before: int
    ) -> tuple[OSError | None, Collection[Path]]:
        """What goes wrong, and with which folders."""
        folders = {maildir.new for attempt in attempts for maildir in attempt.placed.values()}
        if not folders:
            return None, ()
        letters = [due.letter.id for due, attempt in zip(dues, attempts, strict=True) if attempt.placed]
        try:
            await self._durable.flush(folders, letters, before)
        except OSError as error:
            if isinstance(error, NotOpened) and error.paths <= folders:
                folders = error.paths
                self._watch(error)
            for attempt in attempts:
                attempt.take_back(folders)
            return error, folders
        self._alarms.over(MAILBOXES)
        return None, ()

    def _linked(self, attempt: Attempt, mailbox: str) -> Maildir | None:
        """Most letters go this way. None: the Maildir is not there, or links are impossible."""
        maildir = self._maildirs.get(mailbox)
        try:
            return maildir if maildir and _link(attempt, maildir) else None
        except FileNotFoundError:
            return None

    async def _place(self, attempt: Attempt, mailbox: str, may_copy: bool) -> Maildir | None:
        """None: it would have to be copied, which takes its time."""
        maildir = self._maildirs.get(mailbox) or self._make(mailbox)
        try:
            return await self._put(attempt, maildir, may_copy)
        except FileNotFoundError:
            # Somebody may have removed the Maildir that was there a moment ago.
            return await self._put(attempt, self._make(mailbox), may_copy)

    def _make(self, mailbox: str) -> Maildir:
        # It may be a while since that was asked.
        self._verify()
        root = self._mail / mailbox
        make_folders(root, 0o777, within=self._mail)
        for part in ("tmp", "new", "cur"):
            make_folders(root / part, within=root)
        self._maildirs[mailbox] = Maildir(root / "new", root / "tmp", f"{root}/new/")
        return self._maildirs[mailbox]

    async def _put(self, attempt: Attempt, maildir: Maildir, may_copy: bool) -> Maildir | None:
        if _link(attempt, maildir):
            return maildir
        if not may_copy:
            return None
        target, scratch = maildir.new / attempt.name, maildir.tmp / attempt.name
        await self._in_thread(copy_into, attempt.source, str(target), str(scratch))
        return maildir

    async def _name(self, letter: Letter) -> str:
        """Of the file; with the octets of its surrogate, if it may need one."""
        octets = None
        if letter.smtputf8:
            octets = await self._in_thread(surrogate_octets, self._spool.path(letter.id))
        return file_name(letter, self._hostname, octets)

    def _watch(self, error: OSError) -> None:
        """A sync that fails is the spool's to tell of."""
        if error.errno in OF_ALL:
            self._alarms.seen(MAILBOXES, str(error))

    def _trouble(self, letter: Letter, error: OSError) -> Delayed:
        self._log.warn(letter.id, what=f"cannot deliver to a Maildir: {error}")
        if isinstance(error, FileNotFoundError) and not Path(self._spool.path(letter.id)).exists():
            return Delayed(LOST, RELAY)
        if error.errno in NO_ROOM:
            return Delayed(Reply(452, "4.2.2", "Disk full"), RELAY)
        return Delayed(Reply(451, "4.3.0", f"The Maildir cannot be written: {error.strerror}"), RELAY)


def _link(attempt: Attempt, maildir: Maildir) -> bool:
    """False: links are impossible there."""
    target = maildir.arrivals + attempt.name
    try:
        return hard_link(attempt.source, target)
    except FileExistsError:
        # A crash came between the delivery and its record, or its sync has failed: it may be a part, or not last.
        Path(target).unlink(missing_ok=True)
        return hard_link(attempt.source, target)
