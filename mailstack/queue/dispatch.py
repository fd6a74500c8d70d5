"""The queue at work: what is due goes to its transport, what comes of it goes to the spool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailstack.interfaces.delivery import ITransport, Outcomes
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool, Result
from mailstack.model.letter import Due, Letter
from mailstack.queue.attempts import STUCK, Attempts
from mailstack.queue.lines import Lines
from mailstack.queue.report import Reporter
from mailstack.queue.transports import LOCAL, Transports
from mailstack.queue.verdict import Verdict

MAX_ACTIVE = 1000  # letters with remote recipients in memory at a time; the others wait in the database
SWEEP = 60.0  # seconds; the longest sleep, so that a clock that was set does no harm for longer
POLL = 1.0  # seconds between looks whether the command line has changed the queue
GRACE = 3.0  # seconds that attempts get to end when the server stops


class Dispatcher(Service):
    """Attempts deliveries: at once for what just came in, later on the schedule, which is in the spool's times."""

    name = "queue"

    def __init__(
        self,
        spool: ISpool,
        transports: Transports,
        verdict: Verdict,
        lines: Lines,
        reporter: Reporter,
        log: IEventLog,
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        """``now`` is Unix time, of which the schedule is made; ``clock`` only wakes us."""
        self._spool = spool
        self._transports = transports
        self._attempts = Attempts(spool, verdict, log, clock)
        self._lines = lines
        self._reporter = reporter
        self._log = log
        self._clock = clock
        self._now = now
        self._active: dict[str, Deferred[None]] = {}
        self._woken: dict[str, Due] = {}
        self._dropped: set[str] = set()
        self._crowded = False
        self._sweeping = False
        self._again = False
        self._timer: IDelayedCall | None = None
        self._poll: IDelayedCall | None = None

    # ---- Service

    def startService(self) -> None:
        Service.startService(self)
        self._sweep_soon(0)
        self._poll = self._clock.callLater(POLL, self._look)

    async def _settled(self) -> None:
        while self._active:
            await gatherResults(list(set(self._active.values())))

    def stopService(self) -> Deferred[None]:
        """Let attempts end that end soon; the others are in the spool as they were, and made again."""
        Service.stopService(self)
        for timer in (self._timer, self._poll):
            if timer is not None and timer.active():
                timer.cancel()
        self._reporter.hurry()
        done = Deferred.fromCoroutine(self._settled())
        done.addTimeout(GRACE, self._clock)
        return done.addErrback(lambda _: None)

    # ---- What starts attempts

    def wake(self, letter: Letter) -> None:
        """A letter that was just accepted: its first attempt is now, when the client has its answer; or when its
        sender wants it."""
        if letter.not_before > self._now():
            self._sweep_soon(letter.not_before - self._now())
            return
        if not self._woken:
            # Not in the next round of the reactor, when the answers leave, but in the one after.
            self._clock.callLater(0, self._clock.callLater, 0, self._get_up)
        self._woken[letter.id] = Due.at_first(letter, self._now())

    def run(self) -> None:
        """Somebody has made letters due: look now."""
        self._sweep_soon(0)

    def _get_up(self) -> None:
        """What stays here goes together: so many letters wait for the disk once."""
        woken, self._woken = self._woken, {}
        together: list[Due] = []
        for due in woken.values():
            if self._transports.stays_here(due):
                together.append(due)
            else:
                self._start(due)
        if together and self.running:
            self._begin(together)

    def _start(self, due: Due) -> None:
        if not self.running or due.letter.id in self._active or due.letter.id in self._woken:
            return
        if len(self._active) >= MAX_ACTIVE and LOCAL not in self._transports.groups([due]):
            # It stays due in the spool, and is found when there is room.
            self._crowded = True
            return
        self._begin([due])

    def _begin(self, dues: Sequence[Due]) -> None:
        self._follow([due.letter.id for due in dues], Deferred.fromCoroutine(self._serve(dues)))

    def _follow(self, ids: Sequence[str], work: Deferred[None]) -> None:
        """These letters are active until the work ends, unless other work has taken them over."""
        if not work.called:
            self._active.update(dict.fromkeys(ids, work))
        work.addBoth(lambda _: self._ended(ids, work))

    def _ended(self, ids: Sequence[str], work: Deferred[None]) -> None:
        for id in ids:
            if self._active.get(id) is work:
                del self._active[id]
                self._dropped.discard(id)
        self._make_room()

    def _make_room(self) -> None:
        if self._crowded and len(self._active) < MAX_ACTIVE // 2:
            self._crowded = False
            self._sweep_soon(0)

    def _sweep_soon(self, delay: float) -> None:
        """At the latest in ``delay`` seconds, look for what is due."""
        delay = min(max(delay, 0), SWEEP)
        if not self.running:
            return
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= self._clock.seconds() + delay:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(delay, lambda: self._in_background(self._sweep()))

    def _in_background(self, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception as error:
                self._log.failure("queue", repr(error))

        Deferred.fromCoroutine(guarded())

    async def _sweep(self) -> None:
        """Start all that is due, then sleep until the next is."""
        if self._sweeping:
            self._again = True
            return
        self._sweeping, self._again = True, False
        wait = STUCK
        try:
            wait = await self._start_what_is_due()
        except OSError as error:
            self._log.warn("queue", what=f"cannot read the queue: {error}")
        finally:
            self._sweeping = False
            self._sweep_soon(0 if self._again else wait)

    async def _start_what_is_due(self) -> float:
        """Returns the seconds until the next look."""
        now = self._now()
        found = await self._spool.due(now, MAX_ACTIVE, [*self._active, *self._woken])
        for due in found:
            self._start(due)
        if len(found) == MAX_ACTIVE:
            # There may be more. They are looked for when there is room.
            self._crowded = True
            self._make_room()
        following = await self._spool.next_due(now)
        return SWEEP if following is None else following - self._now()

    def _look(self) -> None:
        self._poll = self._clock.callLater(POLL, self._look)
        self._in_background(self._look_for_changes())

    async def _look_for_changes(self) -> None:
        try:
            if not await self._spool.changed():
                return
            active = list(self._active)
            dropped = set(active) - await self._spool.surviving(active)
            self._dropped.update(dropped.intersection(self._active))
        except OSError as error:
            self._log.warn("queue", what=f"cannot read the queue: {error}")
            return
        self._sweep_soon(0)

    # ---- Attempts

    async def out_of_turn(self, id: str, domains: Sequence[str], transport: ITransport) -> None:
        """One attempt at those recipients of a letter that wait in these domains, by a transport of one's own. Nothing
        happens when it is being attempted already."""
        if not self.running or id in self._active or id in self._woken:
            return
        # Active before it is looked up: so whatever else may start it either has ended before, or does not begin.
        work = Deferred.fromCoroutine(self._serve_out_of_turn(id, domains, transport))
        self._follow([id], work)
        await work

    async def _serve_out_of_turn(self, id: str, domains: Sequence[str], transport: ITransport) -> None:
        try:
            due = await self._spool.ahead_of_time(id, domains)
            if due is None or due.letter.not_before > self._now():
                return
            started = self._now()
            outcomes = await self._attempts.outcomes(transport, [due])
            results = await self._settle([due], outcomes, started)
        except CancelledError:
            return
        except OSError as error:
            self._log.warn("queue", what=f"cannot read the queue: {error}")
            return
        except Exception as error:
            self._log.failure(id, repr(error))
            return
        self._tell([due], [results])

    async def _serve(self, dues: Sequence[Due]) -> None:
        """One letter; or several, all for our own Maildirs, so that none waits for another's remote server."""
        try:
            groups = self._transports.groups(dues)
            attempts = [self._attempt(key, group) for key, group in groups.items()]
            # The usual letter has one destination, and needs no gathering.
            if len(attempts) == 1:
                done = [await attempts[0]]
            else:
                done = await gatherResults([Deferred.fromCoroutine(attempt) for attempt in attempts])
        except CancelledError:
            # The server stops. What was not recorded is in the spool as it was.
            return
        except Exception as error:
            for due in dues:
                self._log.failure(due.letter.id, repr(error))
            return
        self._tell(dues, done)

    def _tell(self, dues: Sequence[Due], done: Sequence[Mapping[str, Sequence[Result]]]) -> None:
        """The senders, of what is not well; ``done`` are results by queue id."""
        for due in dues:
            parts = [part[due.letter.id] for part in done if due.letter.id in part]
            if due.pending and not parts:
                continue  # dropped; or begun again, alone, and what there is to tell is told when that has ended
            results = [result for part in parts for result in part]
            if due.unreported or any(result.state != "sent" for result in results):
                self._follow([due.letter.id], Deferred.fromCoroutine(self._report(due, results)))

    async def _report(self, due: Due, results: Sequence[Result]) -> None:
        try:
            await self._reporter.report(due, results, self.wake)
        except CancelledError:
            return
        except Exception as error:
            self._log.failure(due.letter.id, repr(error))

    async def _attempt(self, key: str, dues: Sequence[Due]) -> dict[str, list[Result]]:
        """One attempt at one destination; the results by queue id."""
        if key == LOCAL:
            started = self._now()
            outcomes = await self._attempts.outcomes(self._transports.local, dues)
        else:
            async with self._lines.place(key):
                # Whatever was dropped while it waited for its place is not sent.
                dues = [due for due in dues if due.letter.id not in self._dropped]
                started = self._now()
                outcomes = await self._attempts.outcomes(self._transports.remote, dues)
        return await self._settle(dues, outcomes, started)

    async def _settle(
        self, dues: Sequence[Due], outcomes: Sequence[Outcomes | None], started: float
    ) -> dict[str, list[Result]]:
        results = {}
        for due, found in zip(dues, outcomes, strict=True):
            if due.letter.id in self._dropped:
                what = "was dropped by the administrator during an attempt: nobody is told"
                self._log.event(due.letter.id, what=what)
            elif found is None:
                self._begin([due])
            else:
                results[due.letter.id] = self._attempts.results(due, found, started)
        await self._record(results)
        return results

    async def _record(self, results: Mapping[str, Sequence[Result]]) -> None:
        await self._attempts.record(results)
        deferred = [each.next_attempt for part in results.values() for each in part if each.state == "deferred"]
        if deferred:
            self._sweep_soon(min(deferred) - self._now())
