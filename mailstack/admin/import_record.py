"""What was imported into one mailbox, so that nothing comes twice: also not what its owner has removed since.

``state/import/DOMAIN/LOCALPART/FOLDER`` below ``data`` (``INBOX`` for the mailbox itself) has a JSON array a line, and
is only ever appended to:

====================================================  ==============================================================
``["source", NAME]``                                  what follows came from there
``["letter", ID, UID, LISTED, SCRATCH, FILE]``        intention: ``tmp/SCRATCH``, durable by now, becomes ``FILE``
``["done"]``                                          all letters above are where they belong, durably
``["lost", ID]``                                      this letter may come again
====================================================  ==============================================================

So a crash leaves letters between two ``done`` that are either still in ``tmp`` or published: a rename is one step. The
file takes some 200 octets for each letter that ever came.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from time import time
from typing import Any

from attrs import field, frozen

from mailstack import durable, owners
from mailstack.maildir import names

#: How many follow the kind.
_WORDS = {"source": 1, "letter": 5, "done": 0, "lost": 1}


class InUse(Exception):
    """Another import into the same mailbox goes on."""


@frozen
class Letter:
    id: str  #: what tells it from the others of its source
    uid: str  #: its unique-id with us
    listed: int | None  #: octets, as the source said
    scratch: str  #: in ``tmp``
    file: str  #: ``new/NAME`` or ``cur/NAME:2,FLAGS``

    @property
    def name(self) -> str:
        """Without its flags, which may change."""
        return names.base(self.file.partition("/")[2])

    @property
    def had(self) -> Had:
        """What is remembered; ids are mostly what they were, so they share their memory."""
        uid = self.id if self.uid == self.id else self.uid
        return Had(uid, self.listed, names.wire_size(self.name), names.age(self.name)[0])


@frozen
class Had:
    """What is remembered of a letter, of which there may be 100,000."""

    uid: str
    listed: int | None
    wire_size: int | None
    moment: int  #: Unix time, of the file's name


@frozen
class Past:
    """What one source has given before: by id."""

    letters: dict[str, Had] = field(factory=dict)

    def gone(self, there: Collection[str]) -> list[str]:
        """What of it is not among these unique-ids of ours."""
        return [id for id, letter in self.letters.items() if letter.uid not in there]


class Record:
    """Open for one import; :meth:`close` it. InUse, OSError."""

    def __init__(self, path: Path, source: str) -> None:
        durable.make_folders(path.parent)
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            owners.give(self._fd, path.parent)
            self._changed = os.fstat(self._fd).st_mtime
            self.pasts, self.unfinished = _read(self._fd)
            self._end_torn_line()
        except BlockingIOError:
            os.close(self._fd)
            raise InUse from None
        except BaseException:
            os.close(self._fd)
            raise
        self.own = self.pasts.setdefault(source, Past())
        self._source = source
        self._headed = False

    def intend(self, letters: Sequence[Letter]) -> None:
        """Durable on return: from here on it is sure that these letters come, once."""
        head = [] if self._headed else [["source", self._source]]
        self._headed = True
        self._append(
            [*head, *(["letter", each.id, each.uid, each.listed, each.scratch, each.file] for each in letters)]
        )
        durable.sync_paths([self.path, self.path.parent])
        self.own.letters.update({each.id: each.had for each in letters})

    def done(self) -> None:
        """Not synced: without it the next start looks, and finds all of them published."""
        self._append([["done"]])
        self.unfinished = []

    def lost(self, source: str, ids: Sequence[str]) -> None:
        """They may come again."""
        self._append([["source", source], *(["lost", id] for id in ids)])
        self._headed = False
        for id in ids:
            self.pasts[source].letters.pop(id, None)

    def age(self) -> float:
        """Seconds since the last change before this import."""
        return time() - self._changed

    def forget(self, there: Collection[str]) -> None:
        """What this source has given before may come again, but for what is ``there``, by our unique-ids."""
        self.lost(self._source, self.own.gone(there))

    def close(self) -> None:
        os.close(self._fd)

    def _end_torn_line(self) -> None:
        """What a crash has left must not swallow the next line."""
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            durable.write_all(self._fd, b"\n")

    def _append(self, lines: Iterable[Sequence[Any]]) -> None:  # Any: what JSON has
        durable.write_all(self._fd, b"".join(json.dumps(line).encode("ascii") + b"\n" for line in lines))


def look(path: Path, source: str) -> tuple[dict[str, Past], Past]:
    """The same without changing anything, for a trial."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}, Past()
    try:
        pasts, _ = _read(fd)
    finally:
        os.close(fd)
    return pasts, pasts.setdefault(source, Past())


def _read(fd: int) -> tuple[dict[str, Past], list[tuple[str, Letter]]]:
    """All sources, and the letters of the last batch, each with its source, if it was not done."""
    pasts: dict[str, Past] = {}
    unfinished: list[tuple[str, Letter]] = []
    source, current = "", Past()
    with os.fdopen(os.dup(fd), "rb") as file:
        for kind, words in filter(None, map(_parsed, file)):
            if kind == "source":
                source = words[0]
                current = pasts.setdefault(source, Past())
            elif kind == "lost":
                current.letters.pop(words[0], None)
            elif kind == "done":
                unfinished = []
            elif kind == "letter":
                letter = Letter(*words)
                current.letters[letter.id] = letter.had
                unfinished.append((source, letter))
    return pasts, unfinished


def _parsed(line: bytes) -> tuple[str, list[Any]] | None:  # Any: what JSON has
    """None: a line that a crash has torn. It was not durable, so nothing was done that it speaks of."""
    try:
        kind, *words = json.loads(line)
    except (TypeError, ValueError):
        return None
    return (kind, words) if isinstance(kind, str) and len(words) == _WORDS.get(kind) else None
