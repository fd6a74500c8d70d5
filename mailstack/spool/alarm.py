"""When the queue database turns out to be damaged while the server runs: said once an hour, with what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field

from mailstack.interfaces.log import IEventLog
from mailstack.spool.commit import InThread
from mailstack.spool.errors import Damaged

PAUSE = 3600.0  # seconds


@define
class Alarm:
    log: IEventLog
    seconds: Callable[[], float]  #: of a clock
    _last: float = field(init=False, default=-PAUSE)

    def __call__(self, error: Damaged) -> None:
        now = self.seconds()
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
