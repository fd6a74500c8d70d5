"""Small letters are durable before their files are: their contents stand in the log of the database, too.

To sync a log costs one write; to sync twenty new files costs the journal of the file system. So the files are synced
later, together with deliveries; by then most of these letters are gone. Of those that stay the contents are removed
from the database when their files are durable.
"""

from __future__ import annotations

import errno
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from mailstack.durable import write_over
from mailstack.model.letter import Letter
from mailstack.spool.commit import GroupCommit
from mailstack.spool.files import Files
from mailstack.spool.group_sync import GroupSync

REST = 1.0  # seconds that a letter gets to go before its file is looked after
MOST_RECIPIENTS = 5
MOST_LETTERS = 10_000
TOGETHER = 500  # letters whose contents are removed in one batch
#: Something else stands in the place of the file, or the file system is damaged there; it is told of as such.
NO_FILE = (errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EBADMSG, getattr(errno, "EUCLEAN", errno.EBADMSG))

_KEPT = """
SELECT contents.id, content, checksum FROM contents JOIN messages USING (id)
WHERE typeof(content) = 'blob' AND length(content) = size AND instr(id, '/') = 0
"""


def restore(db: sqlite3.Connection, messages: Path, create: bool) -> list[str]:
    """Write their files once more, in their places: the kernel may believe pages written that are not, and a crash may
    have taken whole files, which are made anew if ``create``. Not durable yet. Returns the letters. Blocking. OSError,
    sqlite3.Error."""
    restored = []
    for id, content in _kept(db):
        try:
            write_over(messages / id, content, create)
        except OSError as error:
            if error.errno not in NO_FILE and (create or error.errno != errno.ENOENT):
                raise
        else:
            restored.append(id)
    return restored


def is_kept(db: sqlite3.Connection, id: str) -> bool:
    """Whether the database has the whole content of a letter. sqlite3.Error."""
    return any(_kept(db, id))


def _kept(db: sqlite3.Connection, id: str | None = None) -> Iterator[tuple[str, bytes]]:
    """Of all letters, or of one."""
    rows = db.execute(_KEPT) if id is None else db.execute(f"{_KEPT} AND id = ?", (id,))
    for name, content, checksum in rows:
        if zlib.crc32(content) == checksum:
            yield name, content


class Contents:
    """Of which letters the files are not known to be durable. ``seconds`` is a clock; ``by_file``: each of them has to
    be synced by itself."""

    def __init__(
        self, commit: GroupCommit, group_sync: GroupSync, files: Files, by_file: bool, seconds: Callable[[], float]
    ) -> None:
        self._commit = commit
        self._group_sync = group_sync
        self._files = files
        self._by_file = by_file
        self._seconds = seconds
        self._since: dict[str, float] = {}
        self._busy = False

    def takes(self, letter: Letter) -> bool:
        """Or its client waits for the file, as with larger letters. That takes no longer than the deliveries to many
        recipients; and a disk that is slow to take files is not given more and more of them."""
        return len(letter.recipients) <= MOST_RECIPIENTS and len(self._since) < MOST_LETTERS

    def add(self, id: str) -> None:
        self._since[id] = self._seconds()

    def forget(self, ids: Iterable[str]) -> None:
        """They are gone."""
        for id in ids:
            self._since.pop(id, None)

    def paths(self, ids: Iterable[str]) -> list[Path]:
        """What has to be synced for the files of these letters to be durable."""
        return [Path(self._files.path(id)) for id in ids if id in self._since] if self._by_file else []

    async def all_firm(self) -> Sequence[str]:
        """At the end: letters whose files are durable now. If the disk refuses, none: the next start writes them once
        more."""
        ids = list(self._since)
        try:
            await self._group_sync.join([self._files.folder, *self.paths(ids)], hurry=True)
        except OSError:
            return ()
        return ids

    async def make_firm(self) -> None:
        """Those that have been here for a while."""
        if self._busy:
            return  # the disk takes its time
        self._busy = True
        until = self._seconds() - REST
        old = [id for id, _ in takewhile(lambda item: item[1] <= until, self._since.items())]
        try:
            for first in range(0, len(old), TOGETHER):
                await self._make_firm(old[first : first + TOGETHER])
        except OSError:
            pass  # the next time
        finally:
            self._busy = False

    async def _make_firm(self, ids: Sequence[str]) -> None:
        await self._group_sync.join([self._files.folder, *self.paths(ids)])
        await self._commit.join(lambda batch: batch.firm.extend(ids), urgent=False)
        self.forget(ids)
