"""What is in memory, at work: attempts, in turn, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from mailstack.interfaces.delivery import LOCAL, Outcomes
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool, Result
from mailstack.model.letter import Due
from mailstack.queue.active import Part
from mailstack.queue.attempts import Attempts
from mailstack.queue.lines import Hurry, Line, Lines
from mailstack.queue.out_of_turn import OutOfTurn
from mailstack.queue.overtime import Overtime
from mailstack.queue.places import Lane, Places
from mailstack.queue.telling import Telling
from mailstack.queue.transports import Transports

BREATH = 0.1  # seconds in which letters gather that are put off because their destination rests
HEARING = 1.5  # seconds after which a call for an attempt has been heard, though we have seen the letter before

Follow = Callable[[Deferred[None]], object]


class Work:
    """Takes letters, makes attempts as places and destinations allow, records what they come to, lets go."""

    def __init__(
        self,
        spool: ISpool,
        transports: Transports,
        attempts: Attempts,
        places: Places,
        telling: Telling,
        follow: Follow,
        log: IEventLog,
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        """``follow`` is told of all work that a stop has to wait for; ``now`` is Unix time."""
        self._spool = spool
        self._transports = transports
        self._attempts = attempts
        self._places = places
        self._overtime = Overtime(clock, self._pump)
        self._telling = telling
        self._follow = follow
        self._log = log
        self._clock = clock
        self._now = now
        self.lines = Lines(places, clock.seconds)
        self.coming: dict[str, Due] = {}  #: letters that have just been accepted, by id
        self.here: set[str] = set()  #: letters on their way into our own Maildirs
        self.found_here = 0  #: how many of them have come from the database
        self.calls = 0  #: how often somebody has called for attempts now, whatever is known of a destination
        self.running = False
        self.held_up = False  #: something was not begun, as its outcome could not have been recorded
        self._pumping = False
        self._resting: set[Line] = set()
        #: told when there is room, in a line or (None) elsewhere; and of the time of a next attempt
        self.on_room: Callable[[Line | None], None] = lambda line: None
        self.on_deferred: Callable[[float], None] = lambda at: None
        self.out_of_turn = OutOfTurn(
            spool, transports, self.lines, telling, attempts, now, self._settle, self._release, self._leave
        )

    def stop(self) -> None:
        """Begin nothing more."""
        self.running = False
        self._attempts.stop()
        self._overtime.stop()

    def _may_begin(self) -> bool:
        """Nothing is delivered whose outcome cannot be recorded: or the next start would deliver it again."""
        fit = self._spool.fit()
        self.held_up |= not fit
        return self.running and fit

    def resume(self) -> None:
        """The spool is fit again. What is not in memory is found by a sweep."""
        self.held_up = False
        for line in list(self.lines):
            self._serve(line)

    # ---- Taking letters

    def take(self) -> None:
        """The letters that are coming. What stays here goes together: so it waits for the disk once. What finds no room
        is left in the database, and looked for later."""
        dues = list(self.coming.values())
        self.coming.clear()
        if not self._may_begin():
            return
        groups = self._transports.groups(dues)
        # All parts of a letter are known before the first one ends: its sender is told of all at once.
        admitted = {key: self._admit(key, group) for key, group in groups.items()}
        self._put_here(admitted.pop(LOCAL, []))
        left = [part for parts in admitted.values() for part in parts if not self._queue(part)]
        for part in left:
            self._release(part, [])
        for due in dues:
            if not due.pending:
                self._telling.consider(self._telling.of(due))

    def find(self, key: str, dues: Sequence[Due], more: bool) -> None:
        """Letters from the database, as many as there was room for; whether there are ``more``."""
        parts = self._admit(key, [due for due in dues if due.letter.id not in self.coming], found=True)
        if key == LOCAL:
            self.found_here += len(parts)
            self._put_here(parts)
            return
        for part in parts:
            line = self._line(part)
            line.more = more
            self.lines.join(line, part)
        if parts:
            self._serve(self._line(parts[0]))

    def _admit(self, key: str, dues: Iterable[Due], found: bool = False) -> list[Part]:
        """Without those that are here already."""
        line = self.lines.get(key)
        busy = self.here if key == LOCAL else line.ids if line else ()
        parts = [self._part(due, key, found) for due in dues if due.letter.id not in busy]
        for part in parts:
            part.active.keys.add(key)
        return parts

    def _part(self, due: Due, key: str, found: bool) -> Part:
        """All parts share one letter, which may have a thousand recipients."""
        active = self._telling.of(due)
        return Part(active, due if due.letter is active.letter else evolve(due, letter=active.letter), key, found)

    def _line(self, part: Part) -> Line:
        domain = part.due.pending[0].recipient.address.domain
        return self.lines.open(part.key, self._transports.terms(domain))

    def _queue(self, part: Part) -> bool:
        """Whether there is room for a letter that has just come."""
        if not self.lines.admits(part.key):
            return False
        line = self._line(part)
        self.lines.join(line, part)
        self._serve(line)
        return True

    def keep(self, asked: Collection[str], surviving: Mapping[str, Collection[int]]) -> None:
        """Of these letters nothing but that is to be attempted: the administrator has held, dropped or ended the rest.
        What is being attempted is."""
        for id in asked:
            active = self._telling.letters.get(id)
            if active is not None and id not in surviving:
                active.dropped = True
        for line in self.lines:
            for part in [part for part in line.parts if part.id in asked]:
                self._keep(line, part, surviving.get(part.id, ()))

    def _keep(self, line: Line, part: Part, numbers: Collection[int]) -> None:
        left = tuple(each for each in part.due.pending if each.number in numbers)
        if len(left) == len(part.due.pending):
            return
        part.active.unreported = True  # perhaps: an end that is to be told
        part.due = evolve(part.due, pending=left)
        if not left:
            line.parts.remove(part)
            self._release(part, [])

    # ---- Our own Maildirs

    def _put_here(self, parts: list[Part]) -> None:
        if parts and self._may_begin():
            self.here.update(part.id for part in parts)
            self._follow(Deferred.fromCoroutine(self._deliver_here(parts)))
        else:
            for part in parts:
                self._release(part, [])

    async def _deliver_here(self, parts: list[Part]) -> None:
        started = self._now()
        try:
            dues = [part.due for part in parts]
            outcomes = await self._attempts.outcomes(self._transports.local, dues, to_the_end=True)
        except CancelledError:
            return
        await self._settle(parts, outcomes, started)

    # ---- Elsewhere

    def _serve(self, line: Line) -> None:
        """See to what waits in a line."""
        if line.parts and line.destination.resting(self._clock.seconds()):
            asked = line.parts[0].asked
            if asked and line.destination.call < self.calls:
                line.destination.wake()
            elif line not in self._resting:
                self._resting.add(line)
                self._clock.callLater(HEARING if asked else BREATH, self._put_off, line)
        self.lines.offer(line)
        self._pump()

    def _put_off(self, line: Line) -> None:
        """All that is in the line of a destination that rests, without a try."""
        self._resting.discard(line)
        if not self._may_begin():
            return
        called = line.parts and line.parts[0].asked and line.destination.call < self.calls
        if called or not line.destination.resting(self._clock.seconds()):
            self._serve(line)
            return
        parts = list(line.parts)
        line.parts.clear()
        outcome = line.destination.suspended()
        outcomes: list[Outcomes] = [{each.number: outcome for each in part.due.pending} for part in parts]
        self._follow(Deferred.fromCoroutine(self._settle(parts, outcomes, self._now())))

    def _pump(self) -> None:
        """Begin all attempts that may begin. An attempt that ends at once comes back here: then the loop goes on."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._may_begin() and (turn := self.lines.next()) is not None:
                self._follow(Deferred.fromCoroutine(self._attempt(*turn)))
        finally:
            self._pumping = False

    async def _attempt(self, line: Line, part: Part, lane: Lane) -> None:
        if part.asked:
            line.destination.call = self.calls
        era = line.destination.begin()
        self.lines.offer(line)
        place = self._places.take(lane)
        self._overtime.begin(place)
        outcomes: Outcomes | None = None
        started = self._now()
        try:
            (outcomes,) = await self._attempts.outcomes(self._transports.remote, [part.due])
        except CancelledError:
            return  # The server stops. The letter is in the spool as it was.
        finally:
            self._overtime.end(place)
            place.leave()
            self._ended(line, era, outcomes or {})
        await self._settle([part], [outcomes], started)

    def _ended(self, line: Line, era: int, outcomes: Outcomes) -> None:
        """An attempt: what it says of the destination. One that has come back to life gets what was put off."""
        destination = line.destination
        if destination.end(era, outcomes.values(), self._clock.seconds(), line.terms.schedule.rest):
            now = self._now()
            line.hurry = Hurry(now, now)
        elif destination.dead:
            line.hurry = None
        self._serve(line)

    # ---- What comes of it

    async def _settle(self, parts: Sequence[Part], outcomes: Sequence[Outcomes | None], started: float) -> None:
        """Parts of different letters."""
        results: dict[str, list[Result]] = {}
        alone: list[Part] = []
        for part, found in zip(parts, outcomes, strict=True):
            if part.active.dropped:
                self._telling.log_outlived(part, found or {})
            elif found is None:
                alone.append(part)
            else:
                results[part.id] = self._attempts.results(part.due, found, started)
        self._recorded(parts, 1)
        try:
            await self._attempts.record(results)
        finally:
            self._recorded(parts, -1)
            for part, found in zip(parts, outcomes, strict=True):
                if part not in alone:
                    self._let_go(part, found or {}, results.get(part.id, []))
        for part in alone:
            self._put_here([part])
        deferred = [each.next_attempt for part in results.values() for each in part if each.state == "deferred"]
        if deferred:
            self.on_deferred(min(deferred))

    def _recorded(self, parts: Sequence[Part], by: int) -> None:
        """They are being recorded, or are not any more. Others may come in their place meanwhile."""
        for line in self.lines.of(parts):
            line.recorded += by
            if line.more:
                self.on_room(line)

    def _let_go(self, part: Part, outcomes: Outcomes, results: Sequence[Result]) -> None:
        """Who had no turn in the attempt has one now: what it came to for the others is recorded."""
        left = tuple(each for each in part.due.pending if each.number not in outcomes)
        line = self.lines.get(part.key)
        here = part.key == LOCAL
        if not (left and results and (here or line) and self.running) or part.active.dropped:
            self._release(part, results)
            return
        self._telling.consider(part.active, results)
        part.due = evolve(part.due, pending=left)
        if line is None:
            self._put_here([part])
        else:
            line.parts.appendleft(part)
            self._serve(line)

    def _release(self, part: Part, results: Sequence[Result]) -> None:
        part.active.keys.discard(part.key)
        self._telling.consider(part.active, results)
        if part.key == LOCAL:
            self.here.discard(part.id)
            self.found_here -= part.found
            self.on_room(None)
        elif line := self.lines.get(part.key):
            self._leave(line, part.id)

    def _leave(self, line: Line, id: str) -> None:
        self.lines.unmark(line, id)
        self.on_room(line)
        self.lines.close(line)
