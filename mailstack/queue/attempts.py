"""One attempt: what the transport says, what it comes to, and that it is written down."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from mailstack.interfaces.delivery import ITransport, Outcomes
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool, Result
from mailstack.model.letter import Due, Letter
from mailstack.model.outcome import Delayed
from mailstack.model.reply import Reply
from mailstack.queue.verdict import Verdict

T = TypeVar("T")

STUCK = 5.0  # seconds until a mark that the disk refused is tried again
OUR_FAULT = Reply(451, "4.3.0", "An internal error; the administrator's log says more")


class Attempts:
    """Whatever a bug or the disk do, each letter is in one state that is known."""

    def __init__(self, spool: ISpool, verdict: Verdict, log: IEventLog, clock: IReactorTime) -> None:
        self._spool = spool
        self._verdict = verdict
        self._log = log
        self._clock = clock
        self._insisting = True

    def stop(self) -> None:
        """From now on what the disk refuses to record is not tried again."""
        self._insisting = False

    async def outcomes(
        self, transport: ITransport, dues: Sequence[Due], to_the_end: bool = False
    ) -> Sequence[Outcomes | None]:
        """A bug delays what it strikes, and nothing else. Nothing ({}) of a letter that turns out to be damaged, and is
        on hold now. CancelledError: nothing has happened; ``to_the_end``: what is begun is not cut off, for a reader
        may have the letter before it is durable."""
        try:
            faults = await self._set_aside([due.letter for due in dues])
        except CancelledError:
            raise
        except OSError as error:
            return [self._unread(due, error) for due in dues]
        except Exception as error:
            self._log.failure("queue", repr(error))
            return [{each.number: Delayed(OUR_FAULT) for each in due.pending} for due in dues]
        if not faults:
            return await self._attempt(transport, dues, to_the_end)
        sound = [due for due in dues if due.letter.id not in faults]
        answers = iter(await self._attempt(transport, sound, to_the_end) if sound else ())
        return [{} if due.letter.id in faults else next(answers) for due in dues]

    def _unread(self, due: Due, error: OSError) -> Outcomes:
        why = error.strerror or str(error)
        self._log.warn(due.letter.id, note=f"the queue file cannot be read: {why}")
        reply = Reply(451, "4.3.0", f"The queue file cannot be read: {why}")
        return {each.number: Delayed(reply) for each in due.pending}

    async def _set_aside(self, letters: Sequence[Letter]) -> Mapping[str, str]:
        """Which are damaged, and on hold now. Nothing else happens to them before, or they would be looked at again and
        again. OSError: nobody can tell."""
        told = False
        # A disk that does not take the mark may have said wrong things of the letter, too: each time it is asked anew.
        while faults := await self._spool.faults(letters):
            try:
                await self._spool.quarantine(faults)
                break
            except OSError as error:
                for id, wrong in () if told else faults.items():
                    self._log.warn(id, what=f"{wrong}; cannot be put on hold, and that is tried again: {error}")
                told = True
            await deferLater(self._clock, STUCK)
        return faults

    async def _attempt(self, transport: ITransport, dues: Sequence[Due], to_the_end: bool) -> Sequence[Outcomes | None]:
        try:
            return await (_lasting(transport.deliver(dues)) if to_the_end else transport.deliver(dues))
        except CancelledError:
            raise
        except Exception as error:
            if len(dues) > 1:
                self._log.failure("queue", f"{len(dues)} letters together, now each alone: {error!r}")
                return [None] * len(dues)
            self._log.failure(dues[0].letter.id, repr(error))
            return [{each.number: Delayed(OUR_FAULT) for each in dues[0].pending}]

    def results(self, due: Due, outcomes: Outcomes, started: float) -> list[Result]:
        """Nothing of it, if a bug is in the way: it is tried again. Nothing of what went on hold."""
        if not outcomes:
            return []
        try:
            return self._verdict.results(due, outcomes, started)
        except Exception as error:
            self._log.failure(due.letter.id, repr(error))
            return []

    async def record(self, results: Mapping[str, Sequence[Result]]) -> None:
        """What happened is known; it must be written before anything else happens to these letters, or what was
        delivered would be delivered again. A bug, perhaps of another letter in the same batch, is no exception."""
        told = False
        while results:
            try:
                await self._spool.settle(results)
                break
            except CancelledError:
                raise
            except OSError as error:
                for id in () if told else results:
                    self._log.warn(id, what=f"cannot record the delivery, and goes on trying: {error}")
                told = True
            except Exception as error:
                self._log.failure("queue", f"cannot record {', '.join(results)}, and goes on trying: {error!r}")
            if not self._insisting:
                await self._record_at_last(results)
                break
            try:
                await deferLater(self._clock, STUCK)
            except CancelledError:
                await self._record_at_last(results)
                raise

    async def _record_at_last(self, results: Mapping[str, Sequence[Result]]) -> None:
        """The server stops, and the spool behind it: once more, now or never."""
        with suppress(OSError):
            await self._spool.settle(results)


async def _lasting(work: Awaitable[T]) -> T:
    """What comes of it, though whoever waits is cut off meanwhile."""

    async def run() -> T:
        return await work

    running = Deferred.fromCoroutine(run())
    done: Deferred[None] = Deferred()
    running.addBoth(_pass_on, done)
    with suppress(CancelledError):
        await done
    return await running


def _pass_on(result: T, done: Deferred[None]) -> T:
    done.callback(None)
    return result
