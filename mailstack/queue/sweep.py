"""Looks into the database for what is due, as far as there is room for it in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailstack.interfaces.delivery import LOCAL
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool, Wanted
from mailstack.model.letter import Due
from mailstack.queue.attempts import STUCK
from mailstack.queue.lines import BACKLOG, Hurry, Line
from mailstack.queue.telling import Telling
from mailstack.queue.work import Work

PACE = 0.25  # seconds between two looks, if nothing but time has passed
HAIR = 0.01  # seconds by which an attempt may be early: timers are not exact
#: Letters that come into memory at a time. The next ones come when the reactor has seen to all else once: so however
#: long the queue is, new mail waits for few of them.
MOUTHFUL = 10
DESTINATIONS = 500  # where something is due, known at a time
UNTOLD = 50  # letters of which somebody is to be told, at a time


class Sweep:
    """A look at all tells where something is due; then one mouthful after the other is taken in.

    There is one look at a time, and it asks for nothing that is in memory when it begins. What has been recorded since
    was in memory then, and all queries and records go through one thread, in order. So nothing is taken twice."""

    def __init__(
        self,
        spool: ISpool,
        work: Work,
        telling: Telling,
        log: IEventLog,
        clock: IReactorTime,
        now: Callable[[], float],
        longest: float,
    ) -> None:
        """``longest``: seconds between two looks at all, at the most."""
        self._longest = longest
        self._spool = spool
        self._work = work
        self._lines = work.lines
        self._telling = telling
        self._log = log
        self._clock = clock
        self._now = now
        self._timer: IDelayedCall | None = None  #: for a look at all
        self._refill: IDelayedCall | None = None  #: for a look for some lines
        self._trouble = ""  #: why the queue cannot be read
        self._looking = False
        self._all = False  #: what the next look is for
        self._some = False
        self._newest = False
        self._starved = False  #: memory was full: somebody may wait for room
        self._more_here = False
        self._others: deque[str] = deque()  #: destinations where something is due, and nothing in memory
        self._told: str | None = ""  #: the last letter of which there was something to tell; None: all are told of
        self._told_at = 0.0
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
        delay = min(max(delay, 0.0), self._longest)
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= self._clock.seconds() + delay:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(delay, self._begin, True)

    def changed(self) -> None:
        """Somebody else has changed the queue."""
        self._told = ""
        self.soon()

    def _room(self, line: Line | None) -> None:
        if self._more_here if line is None else self._hungry(line):
            self._refill_soon()
        # Not for each that goes: a look costs as much as a mouthful.
        if not self._full() and self._starved and self._lines.room() >= MOUTHFUL:
            self._starved = False
            self._refill_soon()
        if self._lines.others and not self._others and self._lines.size <= BACKLOG * 3 // 4:
            self.soon()

    def _full(self) -> bool:
        """Whether there is no room at all for what is in the database, which is noted."""
        full = self._lines.room() <= 0
        self._starved |= full
        return full

    def _hungry(self, line: Line) -> bool:
        return (line.more or line.hurry is not None) and self._lines.low(line) and self._lines.room(line) > 0

    def _refill_soon(self) -> None:
        if self._work.running and (self._refill is None or not self._refill.active()):
            self._refill = self._clock.callLater(0, self._begin, False)

    def _begin(self, all: bool) -> None:
        if not self._work.running:
            return
        self._all |= all
        self._some = True
        if not self._looking:
            self._looking = True
            Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        all, self._all, self._some = self._all, False, False
        try:
            if self._spool.fit():
                await self._look(all)
                self._trouble = ""
            else:
                self._work.held_up = True  # and then somebody calls again
        except OSError as error:
            self._complain(error)
            self.soon(STUCK)
        except Exception as error:
            self._log.failure("queue", repr(error))
            self.soon(STUCK)
        self._looking = False
        if self._some:
            self._refill_soon()

    def _complain(self, error: OSError) -> None:
        """Once, however often it is tried."""
        if str(error) != self._trouble:
            self._trouble = str(error)
            self._log.warn("queue", what=f"cannot read the queue: {error}")

    async def _look(self, all: bool) -> None:
        self._work.take()  # or what has just come would be found, and left alone, again and again
        now = self._now() + HAIR
        if all:
            await self._look_at_all(now)
        wanted = self._mouthful()
        if wanted:
            found = await self._spool.due(now, wanted)
            for each, dues in zip(wanted, found, strict=True):
                self._found(each, dues)
        for line in self._lines:
            if line.hurry is not None and not line.more and self._hungry(line):
                await self._hasten(line, line.hurry)
        if (
            (self._more_here and not self._work.found_here)
            or (self._others and not self._full())
            or any(self._hungry(line) for line in self._lines)
        ):
            self._refill_soon()

    async def _look_at_all(self, now: float) -> None:
        self._more_here = True
        for line in self._lines:
            line.more = True
        if not self._others:
            self._newest = not self._newest
            here = [LOCAL, *(line.key for line in self._lines)]
            self._others.extend(await self._spool.destinations(now, DESTINATIONS, here, self._newest))
            self._lines.others = len(self._others) == DESTINATIONS
        await self._find_untold()
        following = await self._spool.next_due(now)
        self.soon(self._longest if following is None else max(following - self._now(), PACE))

    # ---- A mouthful

    def _mouthful(self) -> list[Wanted]:
        wanted: list[Wanted] = []
        if self._more_here and not self._work.found_here:
            wanted.append(Wanted(LOCAL, MOUTHFUL, frozenset(self._work.here)))
        left = min(MOUTHFUL, BACKLOG - self._lines.size)
        hungry = [line for line in self._lines if line.more and self._hungry(line)][:left]
        for line in hungry:
            limit = min(self._lines.room(line), max(1, left // len(hungry)))
            # From both ends in turn: so neither what waits long nor what has just come waits for all the rest.
            line.newest, line.missed = not line.newest, False
            wanted.append(Wanted(line.key, limit, frozenset(line.ids), line.newest))
            self._lines.behind(line)
        left -= len(hungry) * max(1, left // len(hungry)) if hungry else 0
        while left > 0 and self._others:
            key = self._others.popleft()
            if key not in self._lines:
                wanted.append(Wanted(key, 1, newest=self._newest))
                left -= 1
        return wanted

    def _found(self, wanted: Wanted, dues: Sequence[Due]) -> None:
        line = self._lines.get(wanted.destination)
        more = len(dues) == wanted.limit or (line is not None and line.missed)
        if wanted.destination == LOCAL:
            self._more_here = more
        if line is not None:
            line.more = more
        if dues:
            self._work.find(wanted.destination, dues, more)
        elif line is not None:
            self._lines.close(line)

    async def _hasten(self, line: Line, hurry: Hurry) -> None:
        """What was put off while the destination was dead, a little of it at a time."""
        after = await self._spool.hurry(line.key, hurry.since, hurry.after, self._now(), self._lines.room(line))
        if line.hurry is not hurry:
            return  # it has died again
        line.hurry = None if after is None else evolve(hurry, after=after)
        line.more |= after is not None  # some may have found no room meanwhile
        self._lines.close(line)

    async def _find_untold(self) -> None:
        """Letters of whose fate a crash, the disk or the administrator has left something to tell."""
        if self._told is None:
            if self._clock.seconds() - self._told_at < self._longest:
                return
            self._told = ""
        found = await self._spool.untold(UNTOLD, self._told)
        self._told, self._told_at = (found[-1].letter.id if len(found) == UNTOLD else None), self._clock.seconds()
        for due in found:
            if due.letter.id not in self._telling.letters and due.letter.id not in self._work.coming:
                self._telling.consider(self._telling.of(due))
        if self._told is not None:
            self.soon(PACE)
