"""Where a letter is by now: in which Maildirs, and for whom in the queue. Blocking."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from attrs import define, field

from mailstack.admin.why_story import Copy, Life, Waiting, with_present
from mailstack.interfaces.spool import IQueueDesk
from mailstack.maildir import folders, names
from mailstack.model.address import Address
from mailstack.model.entry import Entry
from mailstack.model.maildir_name import below_mail

SEEN = "S"  # the flag of Maildir
IN_QUEUE = ("active", "deferred", "hold")


@define
class Present:
    """``mail`` is the folder of all Maildirs. Each is listed once."""

    mail: Path
    queue: IQueueDesk
    now: float
    _known: dict[str, dict[str, list[Copy]] | None] = field(factory=dict)

    def of(self, life: Life) -> Life:
        """With what has become of it."""
        found = {user: self._letters_of(user) for user in sorted(life.mailboxes)}
        looked = all(each is not None for each in found.values())
        copies = [copy for each in found.values() if each for copy in each.get(life.id, ())]
        return with_present(life, copies, waiting(self.queue.entry(life.id)), self.now, looked)

    def _letters_of(self, user: str) -> dict[str, list[Copy]] | None:
        """By queue id; None: it cannot be read."""
        if user not in self._known:
            try:
                self._known[user] = _by_id(copies(self.mail / below_mail(Address.parse(user)), user))
            except (OSError, ValueError):
                self._known[user] = None
        return self._known[user]


def waiting(entry: Entry | None) -> Sequence[Waiting]:
    recipients = entry.recipients if entry else ()
    return [Waiting(str(each.address), each.state, each.next_attempt) for each in recipients if each.state in IN_QUEUE]


def _by_id(found: Iterable[tuple[str, Copy]]) -> dict[str, list[Copy]]:
    letters: dict[str, list[Copy]] = {}
    for id, copy in found:
        letters.setdefault(id, []).append(copy)
    return letters


def copies(maildir: Path, user: str) -> Iterator[tuple[str, Copy]]:
    """The letters with queue ids in a Maildir and its folders; none where it is not there yet. OSError."""
    for folder in _folders(maildir):
        for part in ("new", "cur"):
            yield from _letters_in(maildir / folder / part, folders.shown(folder), user)


def _folders(maildir: Path) -> Iterator[str]:
    yield ""
    try:
        with os.scandir(maildir) as entries:
            yield from sorted(entry.name for entry in entries if entry.name.startswith(".") and entry.is_dir())
    except FileNotFoundError:
        pass


def _letters_in(path: Path, folder: str, user: str) -> Iterator[tuple[str, Copy]]:
    try:
        entries = os.scandir(path)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            id = names.letter_id(entry.name)
            if id is not None:
                flags = entry.name.rpartition(":2,")[2] if ":2," in entry.name else ""
                yield id, Copy(user, folder, SEEN in flags, entry.path)
