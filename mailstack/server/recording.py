"""What is said in a session, noted while it is said.

Thousands of lines a second go through here, and hardly any is ever looked at. So text is made of a line when it is
written to the file, once a session.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import frozen
from zope.interface import implementer

from mailstack.interfaces.sessions import Identity, IRecording, Said, Who
from mailstack.model.reply import Reply
from mailstack.model.transcript import CLIENT, NOTE, SERVER

#: Lines that are kept of one session: its first and its last ones. Honest clients need about 10 for each letter.
FIRST = LAST = 100
MAX_LINE = 200  # characters shown of one line; of a client's no more octets are kept, and one to tell that it is cut

#: In words, how a session ended whose last reply was this one.
_ENDINGS = {
    "221": "QUIT",
    "421 4.4.2": "time-out",
    "421 4.3.2": "server stopped",
    "554 5.5.1": "554 5.5.1",  # the client did not wait for our greeting
}
LOST = "lost"
_QUEUED = re.compile(r"queued as (\w+)\Z")  # the end of the final reply to data, which scripts rely on


@implementer(IRecording)
class Recording:
    """One session. ``seconds`` is the clock of its lines, ``end`` is told when it is over."""

    __slots__ = ("_end", "_open", "_said", "_seconds", "_start", "_times", "_who", "began", "id", "lines", "port",
                 "service", "tls")  # fmt: skip

    def __init__(
        self,
        id: int,
        began: float,
        seconds: Callable[[], float],
        service: str,
        port: int,
        who: Who,
        end: Callable[[Recording], None],
    ) -> None:
        self.id = id
        self.began = began
        self.service = service
        self.port = port
        self.tls = ""
        self.lines = 0  #: so many were said
        self._who: Who | Identity = who
        self._seconds = seconds
        self._start = seconds()
        #: The first lines, and behind them a ring of the last ones. Times are numbers in an array, and no objects:
        #: to keep one for a while costs more than to make it.
        self._said: list[Said] = []
        self._times = array("d")
        self._open = True
        self._end = end

    def add(self, said: Said) -> None:
        if self.lines < FIRST + LAST:
            self._said.append(said)
            self._times.append(self._seconds())
        else:
            place = FIRST + (self.lines - FIRST) % LAST
            self._said[place] = said
            self._times[place] = self._seconds()
        self.lines += 1

    def secured(self, tls: str) -> None:
        self.tls = tls
        self.add(f"({tls})")

    def end(self) -> None:
        if self._open:
            self._open = False
            self.add("(end of the connection)")
            # The policy behind it need not be kept for this.
            self._who = self._identity()
            self._end(self)

    def _identity(self) -> Identity:
        return self._who if isinstance(self._who, Identity) else self._who()

    def copy(self) -> Recorded:
        """What there is now: cheap, and nothing that goes on changes it, so that a thread can make text of it."""
        noted = list(zip(self._times, self._said, strict=True))
        oldest = FIRST + max(0, self.lines - FIRST - LAST) % LAST
        said = [*noted[:FIRST], *noted[oldest:], *noted[FIRST:oldest]]
        until = self._seconds() if self._open else said[-1][0]
        missing = self.lines - len(said)
        return Recorded(self, self._identity(), self.tls, self._open, self._start, until, said, missing)


@frozen
class Recorded:
    """One session as it was at a moment. Of ``of`` only what never changes is asked for."""

    of: Recording
    who: Identity
    tls: str
    open: bool
    start: float  #: as ``until``, and the times of what was said: seconds of the recording's clock
    until: float
    said: Sequence[tuple[float, Said]]
    missing: int  #: lines that were said in between

    def facts(self) -> dict[str, Any]:
        """As JSON has it: see :mod:`.session_file`."""
        return {
            "id": self.of.id,
            "began": round(self.of.began, 3),
            "seconds": round(self.until - self.start, 3),
            "client": self.who.client,
            "user": self.who.user,
            "tried": self.who.tried,
            "service": self.of.service,
            "port": self.of.port,
            "tls": self.tls,
            "ended": "" if self.open else self._ending(),
            "queue_ids": list(self._queue_ids()),
            "lines": list(self._texts()),
        }

    def _ending(self) -> str:
        for _, said in reversed(self.said):
            if isinstance(said, Reply):
                words = f"{said.code} {said.status}" if said.code >= 400 else str(said.code)
                return words if said.code == 421 and words not in _ENDINGS else _ENDINGS.get(words, LOST)
            if not isinstance(said, str):
                break
        return LOST

    def _queue_ids(self) -> Iterator[str]:
        after_message = False
        for _, said in self.said:
            if after_message and isinstance(said, Reply) and (found := _QUEUED.search(said.text)):
                yield found[1]
            after_message = isinstance(said, int)

    def _texts(self) -> Iterator[tuple[int, str, str]]:
        for number, (moment, said) in enumerate(self.said):
            milliseconds = round((moment - self.start) * 1000)
            if self.missing and number == FIRST:
                yield milliseconds, NOTE, f"({self.missing:,} lines are missing here)"
            yield from ((milliseconds, *line) for line in _spoken(said))


def _spoken(said: Said) -> Iterator[tuple[str, str]]:
    if isinstance(said, bytes):
        yield CLIENT, _short(said.decode("utf-8", "backslashreplace"))
    elif isinstance(said, Reply):
        for line in said.wire().decode("utf-8").splitlines():
            yield SERVER, _short(line)
    elif isinstance(said, int):
        yield CLIENT, f"(message, {said:,} octets)"
    else:
        yield NOTE, said


def _short(text: str) -> str:
    return text if len(text) <= MAX_LINE else f"{text[: MAX_LINE - 1]}…"


@implementer(IRecording)
class NoRecording:
    """Notes nothing."""

    def add(self, said: Said) -> None:
        pass

    def secured(self, tls: str) -> None:
        pass

    def end(self) -> None:
        pass


NO_RECORDING = NoRecording()
