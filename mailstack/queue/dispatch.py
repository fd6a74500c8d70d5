"""The queue at work: what is due goes to its transport, what comes of it goes to the spool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from mailstack.interfaces.delivery import ITransport
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool
from mailstack.model.letter import Due, Letter
from mailstack.queue.attempts import STUCK, Attempts
from mailstack.queue.looks import Looks
from mailstack.queue.places import Places
from mailstack.queue.report import Reporter
from mailstack.queue.sweep import Sweep
from mailstack.queue.telling import Telling
from mailstack.queue.transports import Transports
from mailstack.queue.verdict import Verdict
from mailstack.queue.work import Work

SET_BACK = 60.0  # seconds by which the clock must be set back for times in the queue to be doubted
SET_FORWARD = 5.0  # seconds by which it must go forward for something to be due that nobody looks for
#: Seconds after which the first attempts begin, if the disk leaves no time for them before.
BREAK = 0.005
GRACE = 3.0  # seconds that attempts get to end when the server stops


class Dispatcher(Service):
    """Attempts deliveries: at once for what just came in, later on the schedule, which is in the spool's times."""

    name = "queue"

    def __init__(
        self,
        spool: ISpool,
        transports: Transports,
        verdict: Verdict,
        places: Places,
        reporter: Reporter,
        longest: float,
        log: IEventLog,
        clock: IReactorTime,
        now: Callable[[], float],
        looks: Looks,
    ) -> None:
        """``longest``: seconds; no pause between two attempts is longer. ``now`` is Unix time, of which the schedule is
        made; ``clock`` only wakes us."""
        self._spool = spool
        self._longest = longest
        self._log = log
        self._clock = clock
        self._now = now
        attempts = Attempts(spool, verdict, log, clock)
        self._telling = Telling(reporter, log, self.wake, self._follow)
        self._work = Work(spool, transports, attempts, places, self._telling, self._follow, log, clock, now)
        self._looks = looks
        self._sweep = Sweep(spool, self._work, self._telling, log, clock, now, looks.sweep)
        self._following: set[Deferred[None]] = set()
        self._grace_is_over = False
        self._ahead = 0.0
        self._changed = False  #: by somebody else, and we have not seen yet how
        self._poll: IDelayedCall | None = None
        self._getting_up: IDelayedCall | None = None
        self._taken_up = 0.0  #: when reports were last tried again
        self._trouble = ""  #: why the queue cannot be read

    # ---- Service

    def startService(self) -> None:
        Service.startService(self)
        self._work.running = True
        self._ahead = self._now() - self._clock.seconds()
        self._in_background(self._rectify())
        self._poll = self._clock.callLater(self._looks.poll, self._look)

    async def _settled(self) -> None:
        grace = self._clock.callLater(GRACE, self._cut_off)
        while self._following:
            await gatherResults(list(self._following))
        if grace.active():
            grace.cancel()

    def stopService(self) -> Deferred[None]:
        """Let attempts end that end soon; the others are in the spool as they were, and made again."""
        Service.stopService(self)
        self._work.stop()
        self._sweep.stop()
        self._telling.stop()
        for call in (self._poll, self._getting_up):
            if call is not None and call.active():
                call.cancel()
        return Deferred.fromCoroutine(self._settled())

    def _cut_off(self) -> None:
        """What goes on, and what begins as that ends: nobody waits for reports any more."""
        self._grace_is_over = True
        for work in list(self._following):
            work.cancel()

    def _follow(self, work: Deferred[None]) -> None:
        """The server does not stop before it has ended."""
        if not work.called:
            self._following.add(work)
        work.addBoth(self._ended, work)
        if self._grace_is_over:
            work.cancel()

    def _ended(self, result: Any, work: Deferred[None]) -> None:  # Any: what addBoth gives
        self._following.discard(work)
        if isinstance(result, Failure) and not result.check(CancelledError):
            self._log.failure("queue", repr(result.value))

    def _in_background(self, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except OSError as error:
                self._complain(error)
            except Exception as error:
                self._log.failure("queue", repr(error))

        Deferred.fromCoroutine(guarded())

    def _complain(self, error: OSError) -> None:
        """Once, however often it is tried; a queue that was closed meanwhile is no trouble."""
        if self.running and str(error) != self._trouble:
            self._trouble = str(error)
            self._log.warn("queue", what=f"cannot read the queue: {error}")

    # ---- What starts attempts

    def wake(self, letter: Letter) -> None:
        """A letter that was just accepted: its first attempt is now, when the client has its answer; or when its
        sender wants it."""
        if letter.not_before > self._now():
            self._sweep.soon(letter.not_before - self._now())
            return
        if not self._work.coming:
            self._getting_up = self._clock.callLater(BREAK, self._get_up)
        self._work.coming[letter.id] = Due.at_first(letter, self._now())

    def _get_up(self) -> None:
        if self.running:
            self._work.take()

    def meanwhile(self) -> None:
        """Others wait for the disk, and leave us time."""
        if self._getting_up is not None and self._getting_up.active():
            self._getting_up.cancel()
            self._get_up()

    def run(self) -> None:
        """Somebody has made letters due, and wants them to be tried whatever is known of their destination."""
        self._work.calls += 1
        self._sweep.soon()

    async def recall(self, id: str) -> bool:
        """What of a letter was just dropped is not attempted any more, unless it is just now: whether something of it
        is. OSError: the queue cannot be read."""
        self._work.coming.pop(id, None)
        self._work.keep([id], await self._spool.surviving([id]))
        return self._telling.at_work(id)

    async def out_of_turn(self, id: str, domains: Sequence[str], transport: ITransport) -> None:
        """One attempt at those recipients of a letter that wait in these domains, by a transport of one's own. Nothing
        happens when it is being attempted already."""
        if not self.running or id in self._work.coming or not self._spool.fit():
            return
        work = Deferred.fromCoroutine(self._out_of_turn(id, domains, transport))
        self._follow(work)
        await work

    async def _out_of_turn(self, id: str, domains: Sequence[str], transport: ITransport) -> None:
        try:
            await self._work.out_of_turn(id, domains, transport)
        except OSError as error:
            self._complain(error)

    # ---- What others do: the command line, and who sets the clock

    def _look(self) -> None:
        self._poll = self._clock.callLater(self._looks.poll, self._look)
        ahead = self._now() - self._clock.seconds()
        change, self._ahead = ahead - self._ahead, ahead
        if change < -SET_BACK:
            self._in_background(self._rectify())
        elif change > SET_FORWARD:
            self._sweep.soon()
        self._in_background(self._look_for_changes())
        self._in_background(self._examine())

    async def _examine(self) -> None:
        """Whether deliveries may go on that had to wait for the disk."""
        await self._spool.examine()
        if not (self._spool.fit() and self.running):
            return
        if self._work.held_up:
            self._work.resume()
            self._sweep.changed()
        now = self._clock.seconds()
        if now - self._taken_up >= STUCK and self._telling.take_up():
            self._taken_up = now
            self._sweep.changed()

    async def _rectify(self) -> None:
        """At the start, and when the clock was set back: times that it made while it was wrong are not believed."""
        try:
            count = await self._spool.rectify(self._now(), self._longest)
            if count:
                what = f"the clock was ahead: letters={count} had times that are too far away, and are due now"
                self._log.warn("queue", what=what)
        finally:
            self._sweep.soon()

    async def _look_for_changes(self) -> None:
        self._changed |= await self._spool.changed()
        if not self._changed:
            self._trouble = ""
            return
        ids = list(self._telling.letters)
        surviving = await self._spool.surviving(ids)
        self._changed, self._trouble = False, ""
        self._work.keep(set(ids), surviving)
        self._work.calls += 1
        self._sweep.changed()
