"""The last sessions, for whoever wants to look at them: [log] sessions."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from mailstack.durable import make_folders, swap
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.sessions import IRecording, ISessions, Who
from mailstack.server import session_file
from mailstack.server.recording import NO_RECORDING, Recorded, Recording

#: Seconds between two looks at what has changed.
PAUSE = 1.0
#: How much longer than the last writing took the next one waits: so it never takes more than 2 % of the time.
RESPITE = 50
LONGEST_PAUSE = 60.0


@implementer(ISessions)
class Sessions(Service):
    """Keeps the ``keep`` sessions that ended last and as many of the open ones, the youngest, and writes them to a file
    for other processes.

    Each session that has ended is encoded once; of those that end within one second, no more than ``keep``. They are
    encoded and the file is replaced in a thread, and it is never synced: what a power loss takes of it is no mail.
    """

    name = "sessions"

    def __init__(
        self,
        keep: int,
        path: Path,
        run: Callable[..., Awaitable[Any]],
        clock: IReactorTime,
        now: Callable[[], float],
        log: IEventLog,
    ) -> None:
        """``run`` calls a function in a thread."""
        self._keep = keep
        self._path = path
        self._run = run
        self._clock = clock
        self._now = now
        self._log = log
        self._next = 1
        self._open: dict[int, Recording] = {}
        self._ended: deque[Recording] = deque(maxlen=keep)
        self._kept: deque[bytes] = deque(maxlen=keep)
        self._timer: IDelayedCall | None = None
        self._written: object = None
        self._writing: Deferred[None] | None = None
        self._trouble = ""

    def begin(self, service: str, port: int, who: Who) -> IRecording:
        if not self._keep:
            return NO_RECORDING
        recording = Recording(self._next, self._now(), self._clock.seconds, service, port, who, self._end)
        self._open[self._next] = recording
        self._next += 1
        self._changed()
        return recording

    def _end(self, recording: Recording) -> None:
        del self._open[recording.id]
        self._ended.append(recording)
        self._changed()

    def _changed(self) -> None:
        if self._timer is None and self._writing is None:
            self._look_again(PAUSE)

    # ---- Start and stop

    def startService(self) -> None:
        """A file that cannot be read is no reason to take no mail."""
        Service.startService(self)
        try:
            self._load()
        except OSError as error:
            self._complain(error)

    def _load(self) -> None:
        if not self._keep:
            self._path.unlink(missing_ok=True)
            return
        make_folders(self._path.parent)
        found = session_file.ended(self._path)
        self._kept.extend(found.values())
        self._next = max(found, default=0) + 1

    async def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is not None:
            await self._writing
        if self._keep:
            await self._write()

    def stopService(self) -> Deferred[None]:
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    # ---- The file

    def _look_again(self, seconds: float) -> None:
        if self.running:
            self._timer = self._clock.callLater(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        self._writing = Deferred()
        Deferred.fromCoroutine(self._look_and_write(self._writing))

    async def _look_and_write(self, done: Deferred[None]) -> None:
        began = self._clock.seconds()
        try:
            await self._write()
        finally:
            self._writing = None
            done.callback(None)
            if self._open or self._ended:
                taken = self._clock.seconds() - began
                self._look_again(min(max(PAUSE, taken * RESPITE), LONGEST_PAUSE))

    async def _write(self) -> None:
        """Nothing when nothing has changed."""
        state = self._next, len(self._ended), sum(each.lines for each in self._open.values())
        if state == self._written:
            return
        ended, self._ended = self._ended, deque(maxlen=self._keep)
        youngest = islice(reversed(self._open.values()), self._keep)
        copies = [each.copy() for each in ended], [each.copy() for each in youngest]
        self._written = self._next, 0, state[2]
        try:
            self._kept.extend(await self._run(_write, self._path, list(self._kept), *copies, self._keep))
            self._trouble = ""
        except OSError as error:
            self._written = None
            ended.extend(self._ended)
            self._ended = ended
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        """Once, however long it lasts: nobody loses mail by it."""
        if str(error) != self._trouble:
            self._trouble = str(error)
            self._log.warn("sessions", what=f"cannot be kept in {self._path}: {error.strerror}")


def _write(
    path: Path, kept: Sequence[bytes], ended: Sequence[Recorded], open_: Sequence[Recorded], keep: int
) -> list[bytes]:
    """Replace the file; those that have ended, encoded. OSError."""
    fresh = [session_file.encode(each.facts()) for each in ended]
    swap(path, b"".join([*[*kept, *fresh][-keep:], *(session_file.encode(each.facts()) for each in open_)]))
    return fresh
