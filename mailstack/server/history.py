"""What happened to letters, kept for ``mailstack why``: [log] keep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from mailstack.config.settings import Log
from mailstack.durable import make_folders
from mailstack.interfaces.log import IEventLog
from mailstack.server import history_file
from mailstack.server.history_file import Entry, Fields

#: Seconds between two writes. What comes alone is written in the same round of the reactor; under load each write would
#: be one more page for every sync of the mail. A kill loses so much at most.
PAUSE = 0.1
MOST_WAITING = 100_000  # events before the start, or between two writes: more are lost
#: Seconds between two looks for old days, and after the start; sooner where the clock is to be believed: the newest day
#: is one of the last week. So a clock that is wrong for a moment removes nothing.
LOOK, SOON, BELIEVED = 3600.0, 60.0, timedelta(days=7)
#: Of no interest for the life of a letter, or said by another line.
_PASSED_OVER = ("removed",)
_REFUSAL = "reject: "
#: What a stranger can make us write as often as he likes, and somebody with one account.
_WITHOUT_END = ("NOQUEUE", "pop3")
_NOTHING: Fields = {}


def concerns_letters(id: str, fields: Fields) -> bool:
    """Whether a line of the log is about what happened to a letter: it has a queue id, or refuses mail, or is about a
    POP3 session. Other words are in lower case."""
    if id.islower():
        return id == "pop3"
    what = fields.get("what")
    return str(what).startswith(_REFUSAL) if id == "NOQUEUE" else what not in _PASSED_OVER


class History(Service):
    """Appends lines to the file of the day. Nothing that goes wrong here disturbs mail: lines are lost, and the log
    tells once. Never synced by itself: a power loss takes the last seconds."""

    name = "history"

    def __init__(
        self,
        settings: Log,
        data: Path,
        run: Callable[..., Awaitable[Any]],
        clock: IReactorTime,
        now: Callable[[], float],
        log: IEventLog,
    ) -> None:
        """``run`` calls a function in a thread; ``now`` is Unix time; ``log`` is the one without this history."""
        self._keep = timedelta(seconds=settings.keep)
        self._most = settings.keep_size
        self._folder = history_file.folder_below(data)
        self._run = run
        self._clock = clock
        self._now = now
        self._log = log
        self._started = False
        self._entries: list[Entry] = []
        self._noise: list[Entry] = []
        self._timer: IDelayedCall | None = None
        self._look: IDelayedCall | None = None
        self._written = -PAUSE
        self._trouble = ""

    def note(self, id: str, *several: Fields, shared: Fields = _NOTHING) -> None:
        """What the log is told of one event, or of ``several`` with what they share. Never raises for a reason of the
        disk."""
        if not self._keep or not concerns_letters(id, several[0]):
            return
        entries, now = self._noise if id in _WITHOUT_END else self._entries, self._now()
        if len(entries) < MOST_WAITING:
            entries.append((now, id, several, shared))
        if self._timer is None and self._started:
            self._write_soon()

    def _write_soon(self) -> None:
        if self.running:
            rest = self._written + PAUSE - self._clock.seconds()
            self._timer = self._clock.callLater(max(0.0, rest), self._write)
        else:
            self._write()  # others stop after us

    # ---- Start and stop

    def startService(self) -> None:
        """Only now: before, we may still be root."""
        Service.startService(self)
        self._started = True
        try:
            self._prepare()
        except OSError as error:
            self._complain(error)
        if self._entries or self._noise:
            self._write_soon()

    def _prepare(self) -> None:
        if self._keep:
            make_folders(self._folder)
            today = history_file.day_of(self._now())
            newest = max((each.date for each in history_file.days(self._folder)), default=today)
            believed = timedelta(0) <= today - newest <= BELIEVED
            self._look = self._clock.callLater(SOON if believed else LOOK, self._look_for_old_days)
            return
        for day in history_file.days(self._folder):
            day.path.unlink(missing_ok=True)

    def stopService(self) -> None:
        Service.stopService(self)
        for call in (self._timer, self._look):
            if call is not None and call.active():
                call.cancel()
        self._write()

    # ---- The files

    def _write(self) -> None:
        self._timer = None
        self._written = self._clock.seconds()
        entries, self._entries, noise, self._noise = self._entries, [], self._noise, []
        if not entries and not noise:
            return
        try:
            self._append(entries, noise)
            self._trouble = ""
        except OSError as error:
            self._complain(error)

    def _append(self, entries: list[Entry], noise: list[Entry]) -> None:
        path = history_file.path_of(self._folder, history_file.day_of(self._now()))
        size = history_file.size_of(path)
        if size >= self._most * history_file.DAY_SHARE:
            raise OSError(0, "the day's share of [log] keep_size is used up")
        wanted = entries if size >= self._most * history_file.NOISE_SHARE else entries + noise
        if wanted:
            # All together: what is done many times in a row is done faster.
            self._write_lines(path, history_file.encode(wanted).encode("utf-8", "backslashreplace"))

    def _write_lines(self, path: Path, octets: bytes) -> None:
        try:
            history_file.append(path, octets)
        except FileNotFoundError:
            # Somebody has removed it. If all of the data is elsewhere, nothing is made in its place.
            make_folders(self._folder, within=self._folder.parent)
            history_file.append(path, octets)

    def _complain(self, error: OSError) -> None:
        """Once, however long it lasts: nobody loses mail by it."""
        if str(error.strerror) != self._trouble:
            self._trouble = str(error.strerror)
            self._log.warn("history", what=f"not kept in {self._folder}: {error.strerror}")

    def _look_for_old_days(self) -> None:
        self._look = self._clock.callLater(LOOK, self._look_for_old_days)
        Deferred.fromCoroutine(self._prune())

    async def _prune(self) -> None:
        today = history_file.day_of(self._now())
        try:
            await self._run(history_file.prune, self._folder, today, self._keep, self._most)
        except OSError as error:
            self._complain(error)


@implementer(IEventLog)
@frozen
class RememberingLog:
    """The log, and what it is told of letters goes into the history, too, whatever [log] level is."""

    _log: IEventLog
    _history: History

    def event(self, id: str, **fields: object) -> None:
        self._log.event(id, **fields)
        self._history.note(id, fields)

    def each(self, id: str, several: Sequence[Mapping[str, object]], **shared: object) -> None:
        self._log.each(id, several, **shared)
        self._history.note(id, *several, shared=shared)

    def detail(self, id: str, **fields: object) -> None:
        self._log.detail(id, **fields)
        self._history.note(id, fields)

    def warn(self, id: str, **fields: object) -> None:
        self._log.warn(id, **fields)
        self._history.note(id, fields)

    def failure(self, id: str, note: str) -> None:
        self._log.failure(id, note)
        self._history.note(id, {"what": "a bug: see the log"})
