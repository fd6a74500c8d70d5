"""Looks into the database for what is due, as far as there is room for it in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool, Wanted
from mailstack.model.letter import Due
from mailstack.queue.attempts import STUCK
from mailstack.queue.lines import AT_ONCE, BACKLOG, SHORT, Hurry, Line
from mailstack.queue.telling import Telling
from mailstack.queue.transports import LOCAL
from mailstack.queue.work import Work

LONGEST = 60.0  # seconds; the longest sleep, so that a clock that was set does no harm for longer
PACE = 0.25  # seconds between two looks, if nothing but time has passed
HAIR = 0.01  # seconds by which an attempt may be early: timers are not exact
HERE = 200  # letters for our own Maildirs, from the database, at a time
DESTINATIONS = 200  # that come into memory at a time
UNTOLD = 1_000  # letters of which somebody is to be told, at a time


class Sweep:
    """There are two kinds of looks: at all that is due, and, more often, only for lines of which it is known that there
    is more. One look at a time; it asks for nothing that is in memory when it begins, and what is recorded has been
    so before the next one. So nothing is taken twice."""

    def __init__(
        self, spool: ISpool, work: Work, telling: Telling, log: IEventLog, clock: IReactorTime, now: Callable[[], float]
    ) -> None:
        self._spool = spool
        self._work = work
        self._lines = work.lines
        self._telling = telling
        self._log = log
        self._clock = clock
        self._now = now
        self._timer: IDelayedCall | None = None  #: for a look at all
        self._refill: IDelayedCall | None = None  #: for a look for some lines
        self._looking = False
        self._all = False  #: what the next look is for
        self._some = False
        self._newest = False
        self._more_here = False
        self._told = -LONGEST
        work.on_room = self._room
        work.on_deferred = lambda at: self.soon(max(at - now(), PACE))

    def stop(self) -> None:
        for timer in (self._timer, self._refill):
            if timer is not None and timer.active():
                timer.cancel()

    def soon(self, delay: float = 0.0) -> None:
        """At the latest in ``delay`` seconds, look at all."""
        if not self._work.running:
            return
        delay = min(max(delay, 0.0), LONGEST)
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= self._clock.seconds() + delay:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(delay, self._begin, True)

    def changed(self) -> None:
        """Somebody else has changed the queue."""
        self._told = -LONGEST
        self.soon()

    def _room(self, line: Line | None) -> None:
        if self._more_here if line is None else (line.more or line.hurry) and self._lines.low(line):
            self._refill_soon()
        if self._lines.others and self._lines.size <= BACKLOG * 3 // 4:
            self.soon()

    def _refill_soon(self) -> None:
        if self._work.running and (self._refill is None or not self._refill.active()):
            self._refill = self._clock.callLater(0, self._begin, False)

    def _begin(self, all: bool) -> None:
        self._all |= all
        self._some = True
        if not self._looking:
            self._looking = True
            Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        all, self._all, self._some = self._all, False, False
        try:
            await self._look(all)
        except OSError as error:
            self._log.warn("queue", what=f"cannot read the queue: {error}")
            self.soon(STUCK)
        except Exception as error:
            self._log.failure("queue", repr(error))
            self.soon(STUCK)
        self._looking = False
        if self._some and self._work.running:
            self._refill = self._clock.callLater(0, self._begin, self._all)

    async def _look(self, all: bool) -> None:
        now = self._now() + HAIR
        wanted = [*self._for_here(all), *self._for_lines(all)]
        if all:
            wanted += await self._for_others(now, BACKLOG - self._lines.size - sum(each.limit for each in wanted))
        if wanted:
            found = await self._spool.due(now, wanted)
            for each, dues in zip(wanted, found, strict=True):
                self._found(each, dues)
        for line in self._lines:
            if line.hurry is not None and not line.more:
                await self._hasten(line, line.hurry)
        if all:
            await self._find_untold()
            following = await self._spool.next_due(now)
            self.soon(LONGEST if following is None else max(following - self._now(), PACE))
            self._room(None)

    # ---- What is wanted

    def _for_here(self, all: bool) -> list[Wanted]:
        if not (all or self._more_here) or len(self._work.here) >= HERE:
            self._more_here |= all
            return []
        return [Wanted(LOCAL, HERE, frozenset(self._work.here))]

    def _for_lines(self, all: bool) -> list[Wanted]:
        wanted: list[Wanted] = []
        room = BACKLOG - self._lines.size
        for line in self._lines:
            if not (all or line.more or line.hurry):
                continue
            limit = min(self._lines.room(line), room)
            if limit <= 0:
                line.more = True
                continue
            # From both ends in turn: so neither what waits long nor what has just come has to wait for all the rest.
            line.newest = not line.newest
            wanted.append(Wanted(line.key, limit, frozenset(line.ids), line.newest))
            room -= limit
            self._lines.behind(line)
        return wanted

    async def _for_others(self, now: float, room: int) -> list[Wanted]:
        """Destinations of which nothing is in memory."""
        limit = min(room, DESTINATIONS)
        if limit <= 0:
            self._lines.others = True
            return []
        self._newest = not self._newest
        here = [LOCAL, *(line.key for line in self._lines)]
        keys = await self._spool.destinations(now, limit, here, self._newest)
        self._lines.others = len(keys) == limit
        share = min(SHORT, room // max(1, len(keys)))
        return [Wanted(key, share, newest=self._newest) for key in keys]

    # ---- What is found

    def _found(self, wanted: Wanted, dues: Sequence[Due]) -> None:
        more = len(dues) == wanted.limit
        if wanted.destination == LOCAL:
            self._more_here = more
        line = self._lines.get(wanted.destination)
        if line is not None:
            line.more = more
        if dues:
            self._work.find(wanted.destination, dues, more)
        elif line is not None:
            self._lines.close(line)

    async def _hasten(self, line: Line, hurry: Hurry) -> None:
        """What was put off while the destination was dead, a little of it at a time."""
        if self._lines.room(line) <= 0:
            return
        after = await self._spool.hurry(line.key, hurry.since, hurry.after, self._now(), AT_ONCE)
        if line.hurry is not hurry:
            return  # it has died again
        line.hurry = None if after is None else evolve(hurry, after=after)
        line.more = after is not None
        if line.more:
            self._refill_soon()
        self._lines.close(line)

    async def _find_untold(self) -> None:
        """Letters of whose fate a crash, the disk or the administrator has left something to tell."""
        if self._clock.seconds() - self._told < LONGEST:
            return
        self._told = self._clock.seconds()
        found = await self._spool.untold(UNTOLD, list(self._telling.letters))
        for due in found:
            if due.letter.id not in self._telling.letters and due.letter.id not in self._work.coming:
                self._telling.consider(self._telling.of(due))
        if len(found) == UNTOLD:
            self._told = STUCK - LONGEST + self._clock.seconds()
            self.soon(STUCK)
