"""When the queue database turns out to be damaged while the server runs: said once an hour, with what to do."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from attrs import define, field

from mailstack.interfaces.log import IEventLog
from mailstack.spool.commit import InThread
from mailstack.spool.errors import Damaged

PAUSE = 3600.0  # seconds
WARY = 60.0  # seconds after the last sign of damage in which nothing new is taken


@define
class Alarm:
    log: IEventLog
    seconds: Callable[[], float]  #: of a clock
    _last: float = field(init=False, default=-PAUSE)
    _seen: float = field(init=False, default=-WARY)

    def check(self) -> None:
        """Whether a letter may be taken. What is in SQLite's memory may still be written, to where nobody will read it.
        Damaged."""
        if self.seconds() - self._seen < WARY:
            raise Damaged(errno.EIO, "queue database: it is damaged")

    def __call__(self, error: Damaged) -> None:
        self._seen = now = self.seconds()
        if now - self._last >= PAUSE:
            self._last = now
            note = "new mail is answered 451; stop and start the server: it saves what can be read of the queue"
            self.log.warn("spool", what=f"ALARM: the queue is damaged: {error}", note=note)

    def watching(self, in_thread: InThread) -> InThread:
        """The same, but that it tells of damage."""

        async def run(*args: Any, **named: Any) -> Any:  # Any: as it is given, and as it comes back
            try:
                return await in_thread(*args, **named)
            except Damaged as error:
                self(error)
                raise

        return run
