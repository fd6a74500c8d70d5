"""What our users have sent, in their Sent folders: a link to the one stored file, as at a delivery."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from zope.interface import implementer

from mailstack.durable import copy_into, hard_link, make_folders, replace, write_new
from mailstack.interfaces.delivery import GONE, KNOWN, SAVED, Copy, ISentFolders
from mailstack.maildir import folders, names
from mailstack.maildir.files import opened
from mailstack.maildir.message_ids import MessageIds, message_id
from mailstack.message.surrogate import measured
from mailstack.model.address import Address
from mailstack.model.letter import Letter
from mailstack.model.maildir_name import file_name

SENT = "Sent"
PARTS = ("tmp", "new", "cur")
SEEN = ":2,S"
MOST_SUBSCRIBED = 1024 * 1024  # octets of the file that lists folders


@implementer(ISentFolders)
class SentFolders:
    """``mail`` is the folder of all Maildirs, ``path`` says by id where a stored file is, ``mailbox`` where an account
    has its Maildir, below ``mail``; None: there is no such account."""

    def __init__(
        self,
        mail: Path,
        hostname: str,
        path: Callable[[str], str],
        mailbox: Callable[[Address], str | None],
        message_ids: MessageIds,
        verify: Callable[[], None] = lambda: None,
    ) -> None:
        """``verify`` raises OSError while ``mail`` is not what it was."""
        self._verify = verify
        self._mail = mail
        self._hostname = hostname
        self._path = path
        self._mailbox = mailbox
        self._message_ids = message_ids

    def save(self, letters: Sequence[Letter]) -> Sequence[Copy]:
        return [self._save(letter) for letter in letters]

    def _save(self, letter: Letter) -> Copy:
        source = Path(self._path(letter.id))
        place = self._mailbox(letter.sent_by) if letter.sent_by is not None else None
        try:
            if place is None or not source.exists():
                return Copy(GONE)
            self._verify()
            return self._place(source, self._folder(self._mail / place), self._name(letter, source))
        except (OSError, sqlite3.Error) as error:
            return Copy("", error=str(error))

    def _name(self, letter: Letter, source: Path) -> str:
        if not letter.smtputf8:
            return file_name(letter, self._hostname)
        with source.open("rb") as stored:
            return file_name(letter, self._hostname, measured(stored))

    def _place(self, source: Path, folder: Path, base: str) -> Copy:
        message = message_id(source)
        known = self._message_ids.find(folder, base, message)
        if known is not None:
            # If it is this one, a crash came between the copy and its record: perhaps it is not durable yet.
            return Copy(SAVED, known) if names.base(known.name) == base else Copy(KNOWN)
        file = folder / "cur" / f"{base}{SEEN}"
        # If it is there, the index is behind: it looks at the newest letters alone.
        with suppress(FileExistsError):
            if not hard_link(str(source), str(file)):
                copy_into(str(source), str(file), str(folder / "tmp" / base))
        self._message_ids.add(folder, base, message)
        return Copy(SAVED, file)

    def _folder(self, maildir: Path) -> Path:
        folder = folders.find(maildir, SENT)
        if not (folder / "cur").exists():
            for part in (*(maildir / each for each in PARTS), *(folder / each for each in PARTS)):
                make_folders(part, within=self._mail)
            with suppress(FileExistsError):
                write_new(folder / "maildirfolder", b"")  # Maildir++: this is no mailbox of its own
            _subscribe(maildir / "subscriptions", folder.name.removeprefix("."))
        return folder


def _subscribe(file: Path, name: str) -> None:
    """For Dovecot: most IMAP programs show what is subscribed to, and nothing else. The lock is Dovecot's;
    whoever has it is about to write, and a folder that is not shown can be subscribed to by hand."""
    lock = file.with_name(f"{file.name}.lock")
    try:
        write_new(lock, b"")
    except FileExistsError:
        return
    try:
        before = _content(file)
        if before is not None and name.encode() not in before.splitlines():
            end = b"\n" if before and not before.endswith(b"\n") else b""
            replace(file, before + end + name.encode() + b"\n")
    finally:
        lock.unlink(missing_ok=True)


def _content(file: Path) -> bytes | None:
    """b"": it is not there. None: it is nothing to be written anew, but a link, a pipe, or without end."""
    try:
        with os.fdopen(opened(os.fsencode(file)), "rb") as stored:
            content = stored.read(MOST_SUBSCRIBED + 1)
    except FileNotFoundError:
        return None if os.path.lexists(file) else b""
    return content if len(content) <= MOST_SUBSCRIBED else None
