"""The looks that ``mailstack doctor`` takes, one after the other; each works whatever the others have found."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic

from attrs import frozen

from mailstack.admin.findings import Level
from mailstack.admin.import_place import as_owner
from mailstack.admin.output import size, utc
from mailstack.admin.running import holder, open_files, runs, started_with
from mailstack.config.limits import FEW_INODES, FREE_SPACE
from mailstack.config.settings import Settings
from mailstack.durable import sync_paths, write_new
from mailstack.interfaces.delivery import LOCAL
from mailstack.message.phrases import Phrases
from mailstack.model.condition import CONDITIONS, FILES, GONE, INODES, LITTLE, READ_ONLY, condition_of
from mailstack.server import alarms
from mailstack.server.files import KEPT
from mailstack.spool import reserve
from mailstack.spool.aside import QUARANTINE
from mailstack.spool.onlooker import looked_at, read_only
from mailstack.spool.place import not_mounted, room
from mailstack.spool.settling import held
from mailstack.spool.states import HELD, listed

PROBE = b"x" * 4096
SLOW = 2_000  # milliseconds for a sync, which is more than any load explains
#: Letters for our own mailboxes that could not be placed, and what was last said of one.
PUT_OFF = f"""
SELECT count(DISTINCT id), max(reply) FROM recipients WHERE destination = '{LOCAL}' AND state = 'deferred'
"""
DAMAGED = f"SELECT count(DISTINCT id) FROM recipients WHERE state IN {listed(HELD)} AND reply LIKE ? || '%'"


@frozen
class Symptom:
    """``check`` is what was looked at, ``act`` what to do about it."""

    check: str
    level: Level
    text: str
    act: str = ""


@frozen
class Doctor:
    config: Path
    settings: Settings
    phrases: Phrases
    now: Callable[[], float]  #: Unix time

    @property
    def data(self) -> Path:
        return self.settings.server.data

    def symptoms(self) -> Iterator[Symptom]:
        place = self._mounted()
        yield place
        if place.level is Level.OK:
            yield from self._apart()
            yield from self._file_system()
            yield self._probe()
            yield from self._database()
            yield from self._quarantine()
        yield from self._server()

    # ---- What is said

    def _fine(self, check: str, name: str, **facts: object) -> Symptom:
        return Symptom(check, Level.OK, self.phrases.say("fine", name, data=self.data, **facts))

    def _wrong(
        self, check: str, name: str, act: str = "", level: Level = Level.PROBLEM, detail: object = "", **facts: object
    ) -> Symptom:
        text = self.phrases.say("means", name, data=self.data, **facts) + (f" ({detail})" if detail else "")
        return Symptom(check, level, text, self.phrases.say("act", act or name, data=self.data, **facts))

    # ---- The disk

    def _mounted(self) -> Symptom:
        point = not_mounted(self.data, _text("/etc/fstab"), _text("/proc/self/mounts"))
        if point is not None:
            return self._wrong("place", "not-mounted", point=point)
        try:
            (self.data / "spool" / "queue.db").stat()
            (self.data / "spool" / "messages").stat()
        except FileNotFoundError as error:
            running = self._pid() is not None
            there = (self.data / "spool").exists()
            return self._wrong("place", GONE if running or there else "never-started", detail=error.filename)
        except OSError as error:
            return self._wrong("place", condition_of(error), detail=error)
        return self._fine("place", "mounted")

    def _apart(self) -> Iterator[Symptom]:
        with suppress(FileNotFoundError):  # before the first letter there may be no mailbox
            if (self.data / "mail").stat().st_dev != (self.data / "spool").stat().st_dev:
                yield self._wrong("place", "apart", level=Level.WARNING)

    def _file_system(self) -> Iterator[Symptom]:
        spool = self.data / "spool"
        octets, inodes, read_only = room(spool)
        least = FREE_SPACE * self.settings.limits.message_size
        if read_only:
            yield self._wrong("room", READ_ONLY)
        elif octets < least:
            yield self._wrong("room", LITTLE, detail=size(octets))
        else:
            yield self._fine("room", "room", free=size(octets), least=size(int(least)))
        if inodes is None:
            yield self._fine("inodes", "uncounted")
        elif inodes < FEW_INODES:
            yield self._wrong("inodes", INODES, detail=inodes)
        else:
            yield self._fine("inodes", "inodes", inodes=f"{inodes:,}")
        if reserve.whole(spool):
            yield self._fine("reserve", "reserve", octets=size(reserve.octets(spool)))
        else:
            yield self._wrong("reserve", "reserve")

    def _probe(self) -> Symptom:
        """Write and sync, as the server does, and with its rights: root may write where it may not."""
        probe = self.data / "spool" / f"probe-{os.getpid()}"
        began = monotonic()
        try:
            with as_owner(self.data):
                try:
                    write_new(probe, PROBE)
                    sync_paths([probe, probe.parent])
                finally:
                    with suppress(OSError):
                        probe.unlink(missing_ok=True)
        except OSError as error:
            return self._wrong("sync", condition_of(error), detail=error.strerror)
        taken = round((monotonic() - began) * 1000)
        if taken > SLOW:
            return self._wrong("sync", "slow", level=Level.WARNING, milliseconds=taken)
        return self._fine("sync", "sync", milliseconds=taken)

    # ---- The queue

    def _database(self) -> Iterator[Symptom]:
        try:
            with looked_at(self.data / "spool", runs(self.data)) as (database, wrong):
                letters, held_back, (put_off, reply) = (0, 0, (0, "")) if wrong else _counts(database)
        except (OSError, sqlite3.Error) as error:
            yield self._wrong("database", "unreadable", problem=error)
            return
        if wrong:
            yield self._wrong("database", "database", problem=wrong)
            return
        yield self._fine("database", "database", letters=f"{letters:,}")
        if held_back:
            yield self._wrong("letters", "letters", letters=f"{held_back:,}")
        else:
            yield self._fine("letters", "letters")
        if put_off:
            yield self._wrong("mailboxes", "put-off", letters=f"{put_off:,}", detail=reply)
        else:
            yield self._fine("mailboxes", "mailboxes")

    def _quarantine(self) -> Iterator[Symptom]:
        with suppress(FileNotFoundError):
            lost = len(list((self.data / "spool" / QUARANTINE).iterdir()))
            if lost:
                yield self._wrong("quarantine", "quarantine", files=f"{lost:,}")

    # ---- The server

    def _pid(self) -> int | None:
        return holder(self.data) or started_with(self.config.resolve())

    def _server(self) -> Iterator[Symptom]:
        pid = self._pid()
        if pid is None:
            yield self._wrong("server", "stopped")
            return
        yield self._fine("server", "running", pid=pid)
        yield from self._open_files(pid)
        yield from self._alarms()

    def _open_files(self, pid: int) -> Iterator[Symptom]:
        try:
            used, limit = open_files(pid)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.ENOENT):
                raise
            return  # it is not ours, so nothing can be said
        if used >= limit - min(KEPT, limit // 2):
            yield self._wrong("files", "few-files", act=FILES, used=used, limit=limit)
        else:
            yield self._fine("files", "files", used=used, limit=limit)

    def _alarms(self) -> Iterator[Symptom]:
        """Of the server that runs: the last one's say nothing of now."""
        lasting = {name: facts for name, facts in alarms.read(self.data).items() if name in CONDITIONS}
        for name, facts in lasting.items():
            means = self.phrases.say("means", name, data=self.data)
            since, detail = utc(facts["since"]), facts.get("detail", "")
            yield self._wrong("alarm", "alarm", act=name, since=since, means=means, words=detail)
        if not lasting:
            yield self._fine("alarm", "alarms")


def _counts(database: Path) -> tuple[int, int, tuple[int, str]]:
    """Letters, those on hold because they are damaged, and what PUT_OFF has. sqlite3.Error."""
    with closing(read_only(database)) as db:
        ((letters,),) = db.execute("SELECT count(*) FROM messages")
        ((held_back,),) = db.execute(DAMAGED, (held(""),))
        (put_off,) = db.execute(PUT_OFF)
    return letters, held_back, put_off


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""
